//===- Residuals.h - What a layer's forward hands to its backward -*- C++ -*-===//
//
// A backward function starts as a copy of the forward computation followed by the gradients: in that form it is the one
// of full recompute. Handing over a value as a residual cuts the copy at that value.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"

#include "llvm/ADT/DenseMap.h"

namespace primus {

/// The copy of a forward computation in a backward function.
struct ForwardCopy {
  mlir::func::FuncOp forward, backward;
  /// The copied ops, in order.
  llvm::SmallVector<mlir::Operation *> ops;
  /// From a copied value to the forward function's.
  llvm::DenseMap<mlir::Value, mlir::Value> original;
};

/// The values of the copy that should be handed over, so that the gradients can be computed from them and the
/// function's arguments by ops for which `isCheap` holds: the choice of least memory, and among equals the one that
/// leaves least to compute. Values that the forward function returns anyway cost nothing.
llvm::SmallVector<mlir::Value> selectResiduals(ForwardCopy &copy,
                                               llvm::function_ref<bool(mlir::Operation *)> isCheap);

/// Hands over `values` (of the copy): results of the forward function, arguments of the backward function after its
/// cotangents. What remains of the copy moves to its first use. Calls of the forward function are updated in the whole
/// module. Remarks say what is handed over, and what is computed again instead.
void addResiduals(ForwardCopy &copy, llvm::ArrayRef<mlir::Value> values);

/// Where all that `backward` does with a residual begins with ops for which `isMovable` holds, and what comes out of
/// them is smaller, `forward` computes them and hands over their results instead. Where few numbers come out of such ops
/// (largest values), it hands these over as well. Calls are updated in the whole module.
void narrowResiduals(mlir::func::FuncOp forward, mlir::func::FuncOp backward,
                     llvm::function_ref<bool(mlir::Operation *)> isMovable);

} // namespace primus
