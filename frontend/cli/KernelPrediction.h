//===- KernelPrediction.h - How long kernels should take ---------*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"

#include "mlir/IR/BuiltinOps.h"

#include <nlohmann/json.hpp>

namespace primus::cli {

/// Adds to a report's kernels, which are those of the module in order, `predicted_seconds` of one launch and `bound`, what takes the most
/// time. Where the kernel's family has chosen its tile by a model of the time (its attribute `prediction`), that is the answer. Elsewhere the
/// device's roofline is (Williams et al., 2009), with the bounds compute and memory: the larger of operations over the rate of the products'
/// type and bytes over the memory's bandwidth. Adds nothing without such figures of the device.
void addPredictions(nlohmann::ordered_json &kernels, mlir::ModuleOp module, const spec::Hardware &hardware);

} // namespace primus::cli
