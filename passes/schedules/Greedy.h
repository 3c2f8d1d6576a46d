//===- Greedy.h - Schedules by simulation ------------------------*- C++ -*-===//

#pragma once

#include "passes/schedules/Schedules.h"

namespace primus::schedules {

/// Lets the ranks compute, by the request's costs, whatever they can: first the gradient that the stage before waits for,
/// then a forward pass, of the last of its stages that can, then, where a rank would be idle, gradients of weights.
/// Where that takes longer than the order that it gives for equal stages, the latter. `mostInFlight` limits the microbatches of which a rank keeps activations, counted per stage.
Rows generateGreedily(const Request &request, const Table &places, int32_t mostInFlight);

/// The rows that take the least time by the request's costs; the first of those that take the same.
Rows chooseFastest(const Request &request, const Table &places, std::vector<Rows> candidates);

} // namespace primus::schedules
