//===- Elementwise.h - Graph ops on tiles ------------------------*- C++ -*-===//

#pragma once

#include "passes/kernels/TileBuilder.h"

namespace primus::kernels {

/// Whether emitElementwise knows the op: each element of its result depends on the same element of its operands.
bool isElementwise(mlir::Operation *op);

/// The op on tiles (or scalars), one per operand, all of one shape.
Value emitElementwise(TileBuilder &builder, mlir::Operation *op, mlir::ValueRange tiles);

/// The value of a graph.constant all of whose elements are equal, or std::nullopt.
std::optional<double> getSplat(mlir::Operation *op);

} // namespace primus::kernels
