//===- Interleaved.cpp - 1F1B over several stages a rank ------------------===//
//
// Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM" (2021), arXiv
// 2104.04473. Microbatches go in groups of about as many as there are ranks: a group passes a rank's first stage, then its
// second, and so on; backward likewise from the last.
//
//===----------------------------------------------------------------------===//

#include "passes/schedules/Schedules.h"

using namespace primus;
using namespace primus::schedules;

/// A rank's stages and microbatches in the order in which it computes them, forward or backward.
static std::vector<Action> getOrder(const Request &request, int32_t rank, ActionKind kind) {
  std::vector<Action> order;
  int32_t groups = std::max(1, request.microbatches / request.ranks);
  for (int32_t group = 0; group < groups; ++group) {
    // Groups differ by one microbatch at most, larger ones first.
    auto getFirst = [&](int32_t group) {
      return group * (request.microbatches / groups) + std::min(group, request.microbatches % groups);
    };
    for (int32_t turn = 0; turn < request.stagesPerRank; ++turn) {
      int32_t chunk = kind == ActionKind::Forward ? turn : request.stagesPerRank - 1 - turn;
      for (int32_t microbatch = getFirst(group); microbatch < getFirst(group + 1); ++microbatch)
        order.push_back({kind, chunk * request.ranks + rank, microbatch});
    }
  }
  return order;
}

Rows schedules::generateInterleaved(const Request &request, const Table &places) {
  Rows rows(request.ranks);
  int32_t groups = std::max(1, request.microbatches / request.ranks);
  int32_t largest = (request.microbatches + groups - 1) / groups;
  for (int32_t rank = 0; rank < request.ranks; ++rank) {
    std::vector<Action> forward = getOrder(request, rank, ActionKind::Forward),
                        backward = getOrder(request, rank, ActionKind::Backward);
    int32_t total = static_cast<int32_t>(forward.size());
    // The first group has to reach the last stage; then a rank is ahead of the next by a way there and back.
    int32_t ahead = std::min(total, (request.stagesPerRank - 1) * largest + (request.stagesPerRank > 1 ? 2 : 1) * (request.ranks - 1 - rank));
    for (int32_t step = 0; step < total + ahead; ++step) {
      if (step < total)
        rows[rank].push_back(forward[step]);
      if (step >= ahead)
        rows[rank].push_back(backward[step - ahead]);
    }
  }
  return rows;
}
