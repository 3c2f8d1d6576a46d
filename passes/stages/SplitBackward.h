//===- SplitBackward.h - Input and weight gradients apart --------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"

namespace primus::stages {

/// The two halves of a layer's part `backward`: `input` computes the gradients of activations, for which the stage before
/// waits; `weight` those of parameters. Null where a half would be empty.
struct BackwardHalves {
  mlir::func::FuncOp input, weight;
  /// Per argument of `input`: the argument of the whole function.
  llvm::SmallVector<unsigned> inputOperands;
  /// Per argument of `weight`: the argument of the whole function, or, counted behind those, the result of `input`.
  llvm::SmallVector<unsigned> weightOperands;
  /// Per result of the whole function: which half has it, and its number there.
  llvm::SmallVector<std::pair<bool, unsigned>> results; ///< (is of `weight`, number)
};

/// Divides a function by the backward slice of its gradients of activations. What of that slice the rest uses as well is
/// handed over as residuals, or computed again: such that what has to be kept from one half to the other, the function's
/// own arguments included, is least (a minimum cut). The functions are named `<backward>_input` and `<backward>_weight` and stand behind the
/// whole one, which stays.
BackwardHalves splitBackward(mlir::func::FuncOp backward);

} // namespace primus::stages
