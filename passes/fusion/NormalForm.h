//===- NormalForm.h - Forms in which ops are fused ---------------*- C++ -*-===//
//
// Kernel families know few forms of each op. Everything else is brought into them by views and transposes first:
//
//   elementwise ops, broadcasts     rank at most two, [rows, columns]
//   reductions                      [rows, columns] over one dimension, or all of a tensor
//   products                        [batch, m, k] x [batch, k, n] (see kernels/MatmulProblem.h)
//   composites without a kernel     their definitions
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace primus::fusion {

/// Brings a layer's function into normal form, with common subexpressions merged.
mlir::LogicalResult normalise(mlir::func::FuncOp function);

} // namespace primus::fusion
