//===- GraphBuilder.h - Concise building of graph ops ------------*- C++ -*-===//
//
// Decompositions, derivatives and passes write formulas with it. Result types are inferred: elementwise ops keep their
// operand's type, others keep its layout as far as that is trivial.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"

#include "mlir/IR/Builders.h"

namespace primus::graph {

/// The ranked tensor type of a graph value.
inline mlir::RankedTensorType getTensorType(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

/// `type` with another shape and element type. A layout without splits or pending reductions stays one; another layout
/// is dropped where the shape's rank changes, because only the sharding rule knows where it goes.
mlir::RankedTensorType withShape(mlir::RankedTensorType type, llvm::ArrayRef<int64_t> shape, mlir::Type elementType);

/// Builds graph ops at a fixed location.
class GraphBuilder {
public:
  GraphBuilder(mlir::OpBuilder &builder, mlir::Location loc) : builder(builder), loc(loc) {}

  mlir::Type getF32() { return builder.getF32Type(); }

  /// A splat of `like`'s type.
  mlir::Value splat(mlir::RankedTensorType type, double value);
  mlir::Value splatLike(mlir::Value like, double value) { return splat(getTensorType(like), value); }

  /// Elementwise; the operands have one type.
  mlir::Value neg(mlir::Value x) { return unary<NegOp>(x); }
  mlir::Value exp(mlir::Value x) { return unary<ExpOp>(x); }
  mlir::Value log(mlir::Value x) { return unary<LogOp>(x); }
  mlir::Value sqrt(mlir::Value x) { return unary<SqrtOp>(x); }
  mlir::Value rsqrt(mlir::Value x) { return unary<RsqrtOp>(x); }
  mlir::Value tanh(mlir::Value x) { return unary<TanhOp>(x); }
  mlir::Value erf(mlir::Value x) { return unary<ErfOp>(x); }
  mlir::Value sigmoid(mlir::Value x) { return unary<SigmoidOp>(x); }
  mlir::Value add(mlir::Value a, mlir::Value b) { return binary<AddOp>(a, b); }
  mlir::Value sub(mlir::Value a, mlir::Value b) { return binary<SubOp>(a, b); }
  mlir::Value mul(mlir::Value a, mlir::Value b) { return binary<MulOp>(a, b); }
  mlir::Value div(mlir::Value a, mlir::Value b) { return binary<DivOp>(a, b); }
  mlir::Value maximum(mlir::Value a, mlir::Value b) { return binary<MaximumOp>(a, b); }
  mlir::Value minimum(mlir::Value a, mlir::Value b) { return binary<MinimumOp>(a, b); }
  /// With a number in the place of a tensor.
  mlir::Value add(mlir::Value a, double b) { return add(a, splatLike(a, b)); }
  mlir::Value sub(mlir::Value a, double b) { return sub(a, splatLike(a, b)); }
  mlir::Value mul(mlir::Value a, double b) { return mul(a, splatLike(a, b)); }
  mlir::Value div(mlir::Value a, double b) { return div(a, splatLike(a, b)); }
  mlir::Value maximum(mlir::Value a, double b) { return maximum(a, splatLike(a, b)); }
  /// `b - a`.
  mlir::Value subFrom(double b, mlir::Value a) { return sub(splatLike(a, b), a); }

  mlir::Value compare(Predicate predicate, mlir::Value a, mlir::Value b);
  mlir::Value compare(Predicate predicate, mlir::Value a, double b) { return compare(predicate, a, splatLike(a, b)); }
  mlir::Value select(mlir::Value mask, mlir::Value onTrue, mlir::Value onFalse);

  /// `x` in another element type; `x` itself if it has that one.
  mlir::Value convert(mlir::Value x, mlir::Type elementType);
  mlir::Value toF32(mlir::Value x) { return convert(x, getF32()); }

  /// Index along `dim`, as i32, in `like`'s shape.
  mlir::Value iotaLike(mlir::Value like, int64_t dim);

  mlir::Value broadcast(mlir::Value x, llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<int64_t> dims);
  /// A scalar tensor to `like`'s shape.
  mlir::Value broadcastScalar(mlir::Value x, mlir::Value like) {
    return broadcast(x, getTensorType(like).getShape(), {});
  }
  mlir::Value reshape(mlir::Value x, llvm::ArrayRef<int64_t> shape);
  mlir::Value transpose(mlir::Value x, llvm::ArrayRef<int64_t> perm);
  mlir::Value slice(mlir::Value x, llvm::ArrayRef<int64_t> offsets, llvm::ArrayRef<int64_t> sizes);
  /// Elements [begin, begin + size) of one dimension.
  mlir::Value slice(mlir::Value x, int64_t dim, int64_t begin, int64_t size);
  mlir::Value pad(mlir::Value x, llvm::ArrayRef<int64_t> low, llvm::ArrayRef<int64_t> shape);
  mlir::Value concat(mlir::ValueRange inputs, int64_t dim);
  /// Reduces to f32 (to the operand's type for integers and f64).
  mlir::Value reduce(ReduceKind kind, mlir::Value x, llvm::ArrayRef<int64_t> dims);
  mlir::Value sum(mlir::Value x, llvm::ArrayRef<int64_t> dims) { return reduce(ReduceKind::Sum, x, dims); }
  mlir::Value max(mlir::Value x, llvm::ArrayRef<int64_t> dims) { return reduce(ReduceKind::Max, x, dims); }

  /// The result's shape follows from the spec.
  mlir::Value matmul(llvm::StringRef spec, mlir::Value lhs, mlir::Value rhs, mlir::Type elementType);

  /// The largest absolute values of the blocks into which `shape` divides `x`.
  mlir::Value amax(mlir::Value x, llvm::ArrayRef<int64_t> shape);
  /// `x` by the scales (f32) or factors (powers of two) of its blocks, as 8-bit floats.
  mlir::Value quantize(mlir::Value x, mlir::Value scale, mlir::FloatType elementType);
  /// The product, whose shape follows from the spec, of what quantised tensors stand for.
  mlir::Value scaledMatmul(llvm::StringRef spec, mlir::Value lhs, mlir::Value lhsFactor, mlir::Value rhs,
                           mlir::Value rhsFactor, mlir::Type elementType);

private:
  template <typename OpT> mlir::Value unary(mlir::Value x) { return OpT::create(builder, loc, x.getType(), x); }
  template <typename OpT> mlir::Value binary(mlir::Value a, mlir::Value b) {
    return OpT::create(builder, loc, a.getType(), a, b);
  }

  mlir::OpBuilder &builder;
  mlir::Location loc;
};

} // namespace primus::graph
