//===- ForwardStages.h - Programs that pass each stage once ------*- C++ -*-===//

#pragma once

#include "passes/stages/StageMap.h"

namespace primus::stages {

/// Adds the programs of all ranks of a pipeline, `<program>.<rank>`, for one without microbatches (evaluation, samples of
/// text): each stage runs once, after the one before it, and every rank gets the results. `map` is that of the step. The
/// program itself stays. Fails, with an error at the program, where a result is not a float.
mlir::LogicalResult splitForward(mlir::func::FuncOp program, const StageMap &map, mlir::SymbolTable &symbols);

} // namespace primus::stages
