//===- Tensor.h - Values of the interpreter ----------------------*- C++ -*-===//

#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"

#include <vector>

namespace primus::interpreter {

/// The least number of f8E8M0FNU, which has no zero.
inline constexpr double kLeastPowerFactor = 0x1p-127;

/// A tensor's value. Elements are doubles in row-major order, whatever the type: a double holds every narrower float,
/// and integers up to 2^53, exactly.
struct Tensor {
  llvm::SmallVector<int64_t> shape;
  mlir::Type elementType;
  std::vector<double> values;

  Tensor() = default;
  /// A tensor of zeros. The type's encoding is ignored; its shape must be static.
  explicit Tensor(mlir::RankedTensorType type);
  Tensor(mlir::RankedTensorType type, std::vector<double> values);

  /// A tensor of zeros, or an error at `op` if the interpreter cannot hold a value of that type: the shape is not
  /// static, or too large.
  static mlir::FailureOr<Tensor> make(mlir::Operation *op, mlir::Type type);
  /// The value of a constant, or failure if its elements are neither integers nor floats held in the attribute.
  static mlir::FailureOr<Tensor> get(mlir::ElementsAttr attribute);

  /// The type, without an encoding.
  mlir::RankedTensorType getType() const { return mlir::RankedTensorType::get(shape, elementType); }
  /// Whether shape and element type are those of `type`.
  bool fits(mlir::RankedTensorType type) const {
    return type.getShape() == llvm::ArrayRef(shape) && type.getElementType() == elementType;
  }
  int64_t size() const { return static_cast<int64_t>(values.size()); }

  /// Rounds each element to the nearest value of the element type, as graph.convert does. Integers wrap around.
  void round();
  /// Prints nested lists, e.g. [[1, 2], [3, 4]], with nine significant digits (enough for f32).
  void print(llvm::raw_ostream &os) const;
};

/// Row-major strides of a packed tensor.
llvm::SmallVector<int64_t> getStrides(llvm::ArrayRef<int64_t> shape);

/// Calls `visit(offset)` for each index of `shape` in row-major order, with offset = base + sum of index[i] *
/// strides[i].
template <typename Visit>
void forEachOffset(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<int64_t> strides, int64_t base, Visit visit) {
  if (shape.empty()) {
    visit(base);
    return;
  }
  if (llvm::is_contained(shape, 0))
    return;
  llvm::SmallVector<int64_t> index(shape.size(), 0);
  const int64_t last = static_cast<int64_t>(shape.size()) - 1, inner = shape[last], step = strides[last];
  while (true) {
    for (int64_t i = 0, offset = base; i < inner; ++i, offset += step)
      visit(offset);
    int64_t dim = last - 1;
    for (; dim >= 0; --dim) {
      base += strides[dim];
      if (++index[dim] < shape[dim])
        break;
      base -= strides[dim] * shape[dim];
      index[dim] = 0;
    }
    if (dim < 0)
      return;
  }
}

} // namespace primus::interpreter
