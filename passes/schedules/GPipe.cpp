//===- GPipe.cpp - All forward passes, then all backward passes -----------===//
//
// Huang et al., "GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism" (2019), arXiv 1811.06965.
//
//===----------------------------------------------------------------------===//

#include "passes/schedules/Schedules.h"

using namespace primus;
using namespace primus::schedules;

Rows schedules::generateGPipe(const Request &request, const Table &places) {
  Rows rows(request.ranks);
  auto add = [&](ActionKind kind, int32_t stage) {
    for (int32_t microbatch = 0; microbatch < request.microbatches; ++microbatch)
      rows[places.rankOfStage[stage]].push_back({kind, stage, microbatch});
  };
  for (int32_t stage = 0; stage < places.stages; ++stage)
    add(ActionKind::Forward, stage);
  for (int32_t stage = places.stages; stage-- > 0;)
    add(ActionKind::Backward, stage);
  return rows;
}
