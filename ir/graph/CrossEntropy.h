//===- CrossEntropy.h - Steps of the loss that passes build too --*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"

#include "mlir/IR/Builders.h"

namespace primus::graph {

/// The log of a sum of exponentials whose parts have the logs `parts`, f32 [parts, tokens...]: a value of `type`, which is
/// f32 [tokens...].
mlir::Value buildJointLse(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value parts, mlir::RankedTensorType type);

} // namespace primus::graph
