//===- KernelPrediction.h - How long kernels should take ---------*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"

#include "mlir/IR/BuiltinOps.h"

#include <nlohmann/json.hpp>

namespace primus::cli {

/// Adds to a report's kernels, which are those of the module in order, `predicted_seconds` of one launch and `bound`, what they wait for:
/// compute or memory. The model is the device's roofline (Williams et al., 2009): the larger of operations over the rate of the products'
/// type and bytes over the memory's bandwidth. Adds nothing without such figures of the device.
void addPredictions(nlohmann::ordered_json &kernels, mlir::ModuleOp module, const spec::Hardware &hardware);

} // namespace primus::cli
