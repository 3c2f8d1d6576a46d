//===- Inputs.h - A model's inputs from a file --------------------*- C++ -*-===//

#pragma once

#include "runtime/support/Error.h"

#include "mlir/IR/BuiltinOps.h"

#include <map>
#include <string>
#include <vector>

namespace primus::bisect {

/// Values of inputs by name, for all microbatches of a step.
using GivenInputs = std::map<std::string, std::vector<double>>;

/// Reads a safetensors file with integers (I32 or I64) for some or all inputs of the module's program `forward`: "tokens", "labels". Each has
/// as many elements as a step's microbatches take; tokens are below `vocabulary`, and negative labels are ignored ones.
runtime::Expected<GivenInputs> readInputs(const std::string &path, mlir::ModuleOp module, int64_t vocabulary);

} // namespace primus::bisect
