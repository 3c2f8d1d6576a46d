//===- Decomposition.h - From composites to primitives -----------*- C++ -*-===//

#pragma once

#include "mlir/IR/Operation.h"

namespace primus::graph {

/// Replaces every composite within `root` by its definition, and the composites of that definition in turn, until only
/// primitives and structure are left. Emits a located error if a definition does not fit the op that it defines.
mlir::LogicalResult decomposeComposites(mlir::Operation *root);

} // namespace primus::graph
