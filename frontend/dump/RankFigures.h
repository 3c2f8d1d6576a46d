//===- RankFigures.h - What each pipeline rank holds and sends ----*- C++ -*-===//

#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <nlohmann/json.hpp>

namespace primus::cli {

/// `ranks` of the report for a module whose memory is not planned yet, in phase `placed` or `fused`: one entry for each
/// program of the step. Variables and messages are exact; `peak_bytes` and `activation_bytes` are estimated from liveness
/// (`peak_planned` is false). Null before `placed`.
nlohmann::ordered_json describeRanks(mlir::ModuleOp module);

} // namespace primus::cli
