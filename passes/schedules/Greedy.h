//===- Greedy.h - Schedules by simulation ------------------------*- C++ -*-===//

#pragma once

#include "passes/schedules/Schedules.h"

namespace primus::schedules {

/// Lets the ranks compute, by the request's costs, whatever they can: first the gradient that the stage before waits for,
/// then a forward pass, of the last of its stages that can, then, where a rank would be idle, gradients of weights.
/// `mostInFlight` limits the microbatches of which a rank keeps activations, counted per stage.
Rows generateGreedily(const Request &request, const Table &places, int32_t mostInFlight);

} // namespace primus::schedules
