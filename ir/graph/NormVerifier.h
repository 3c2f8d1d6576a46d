//===- NormVerifier.h - Checks that the normalisation ops share --*- C++ -*-===//

#pragma once

#include "ir/graph/GraphBuilder.h"

namespace primus::graph {

/// Checks values of an op against its input x, whose last dimension is normalised. Encodings are not compared.
class NormVerifier {
public:
  NormVerifier(mlir::Operation *op, mlir::Value x) : op(op), type(getTensorType(x)) {}

  /// `value` has x's shape and element type.
  mlir::LogicalResult sameType(llvm::StringRef name, mlir::Value value) {
    return check(name, value, type.getShape(), type.getElementType(), "x's shape and element type");
  }
  /// `value`, if it exists, is one row of x, of any float type.
  mlir::LogicalResult row(llvm::StringRef name, mlir::Value value) {
    if (type.getRank() < 1)
      return op->emitOpError("x must have a last dimension to normalise");
    if (!value)
      return mlir::success();
    return check(name, value, type.getShape().take_back(), getTensorType(value).getElementType(),
                 "the size of x's last dimension");
  }
  /// `value` is f32, of x's shape without the last dimension.
  mlir::LogicalResult statistic(llvm::StringRef name, mlir::Value value) {
    if (type.getRank() < 1)
      return op->emitOpError("x must have a last dimension to normalise");
    return check(name, value, type.getShape().drop_back(), mlir::Float32Type::get(op->getContext()),
                 "x's shape without the last dimension, in f32");
  }
  /// `value`, the gradient of `of`, exists exactly if that does, and is one f32 row.
  mlir::LogicalResult gradient(llvm::StringRef name, mlir::Value value, llvm::StringRef of, bool exists) {
    if (exists != static_cast<bool>(value))
      return op->emitOpError() << (exists ? "has a " : "has no ") << of << ", and therefore must have "
                               << (exists ? "a" : "no") << " result " << name;
    if (!value)
      return mlir::success();
    return check(name, value, type.getShape().take_back(), mlir::Float32Type::get(op->getContext()),
                 "the size of x's last dimension, in f32");
  }
  mlir::LogicalResult positive(llvm::StringRef name, const llvm::APFloat &value) {
    if (value.isNegative() || !value.isFinite())
      return op->emitOpError() << name << " must be finite and not negative";
    return mlir::success();
  }

private:
  mlir::LogicalResult check(llvm::StringRef name, mlir::Value value, llvm::ArrayRef<int64_t> shape, mlir::Type element,
                            llvm::StringRef expectation) {
    mlir::RankedTensorType actual = getTensorType(value);
    if (actual.getShape() != shape || actual.getElementType() != element)
      return op->emitOpError() << name << " of type " << actual << " must have " << expectation << ": x is " << type;
    return mlir::success();
  }

  mlir::Operation *op;
  mlir::RankedTensorType type;
};

} // namespace primus::graph
