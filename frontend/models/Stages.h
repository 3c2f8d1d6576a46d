//===- Stages.h - From parallel sizes to a pipeline --------------*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"

#include "mlir/IR/BuiltinOps.h"

namespace primus::models {

/// Writes `graph.pipeline` (passes/stages/StageMap.h) on a module of several stages: layers in the numbers that the spec
/// says, or equal ones; the embedding belongs to the first stage, the head to the last. The schedule is the spec's table, or
/// that of the schedule that it names. Sizes that do not fit are errors; the spec's own rules exclude them.
mlir::LogicalResult setPipeline(mlir::ModuleOp module, const spec::TrainingSpec &spec, int64_t microbatches);

} // namespace primus::models
