//===- ZeroBubble.cpp - Gradients of weights fill the bubble --------------===//
//
// Qi et al., "Zero Bubble Pipeline Parallelism" (2024), arXiv 2401.10241: the schedule ZB-H1, which keeps as much as 1F1B
// keeps on its first rank, on each rank.
//
//===----------------------------------------------------------------------===//

#include "passes/schedules/Greedy.h"

using namespace primus;
using namespace primus::schedules;

/// As 1F1B, but a rank's gradients of weights are behind by as many microbatches as its number: what later ranks put off
/// is what they compute while earlier ones still wait for the last gradients.
static std::vector<Action> getRow(int32_t rank, const Request &request) {
  std::vector<Action> row;
  int32_t count = request.microbatches, ahead = std::min(request.ranks - 1 - rank, count), weights = 0;
  for (int32_t step = 0; step < count + ahead; ++step) {
    if (step < count)
      row.push_back({ActionKind::Forward, rank, step});
    int32_t backward = step - ahead;
    if (backward < 0)
      continue;
    row.push_back({ActionKind::InputGradient, rank, backward});
    // Where no forward pass is left, the wait for the next gradient has room for one, too.
    if (backward >= rank || (step >= count && weights <= backward))
      row.push_back({ActionKind::WeightGradient, rank, weights++});
  }
  while (weights < count)
    row.push_back({ActionKind::WeightGradient, rank, weights++});
  return row;
}

Rows schedules::generateZeroBubble(const Request &request, const Table &places) {
  // Of several stages a rank, as many microbatches in flight as interleaving keeps on its first rank.
  int32_t chunks = request.stagesPerRank;
  if (chunks > 1)
    return generateGreedily(request, places, (chunks + 1) * request.ranks - 1);
  Rows rows;
  for (int32_t rank = 0; rank < request.ranks; ++rank)
    rows.push_back(getRow(rank, request));
  // In the same memory, stages of unequal length may have a better order than that which suits equal ones.
  return chooseFastest(request, places, {std::move(rows), generateGreedily(request, places, request.ranks)});
}
