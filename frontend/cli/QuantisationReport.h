//===- QuantisationReport.h - 8-bit products in reports ----------*- C++ -*-===//

#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <nlohmann/json.hpp>

namespace primus::cli {

/// The report's entry `fp8` of a module of phase step: `products`, the products of quantised tensors in its functions, and
/// `extra_passes`, the kernels that only bring operands of theirs into shape, with the bytes that one launch moves, how many launches
/// the layers' functions have, and why it is there. `extra_bytes` is what they move in a training step, however often it launches
/// each of them, and `step_bytes` what all that a step runs moves (of one rank of each stage of a pipeline together). `kernels` are the report's, which are those of the module in order. Null for a module without such products.
nlohmann::ordered_json describeQuantisation(const nlohmann::ordered_json &kernels, mlir::ModuleOp module);

} // namespace primus::cli
