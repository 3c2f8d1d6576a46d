//===- HoistWeights.h - Weights that are quantised once ----------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"

namespace primus::fp8 {

/// Weights of which a layer's functions read nothing but quantised values: the part `unshard` quantises them, once for all
/// microbatches where it is called once, and ranks that share parameters gather 8-bit values. Where forward and backward
/// function need different values, each call of `unshard` gives those that its users read; also what `measure`, the layer's part that
/// measures weights, if it has one, would read them for once more. `isMovable`: what a quantisation consists of. `backward` and
/// `measure` may be null. Calls are updated in the whole module.
void hoistWeights(mlir::func::FuncOp forward, mlir::func::FuncOp backward, mlir::func::FuncOp measure,
                  llvm::function_ref<bool(mlir::Operation *)> isMovable);

} // namespace primus::fp8
