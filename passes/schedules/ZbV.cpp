//===- ZbV.cpp - Zero bubble with stages in the shape of a V --------------===//
//
// Qi et al., "Zero Bubble Pipeline Parallelism" (2024), arXiv 2401.10241, section 6: the first rank has the first and the
// last stage, so that its forward passes are followed by backward passes at once. Stages are half as long as with one a
// rank: activations of 2 p of them are what 1F1B keeps on its first rank.
//
//===----------------------------------------------------------------------===//

#include "passes/schedules/Greedy.h"

using namespace primus;
using namespace primus::schedules;

Rows schedules::generateZbV(const Request &request, const Table &places) {
  return generateGreedily(request, places, 2 * request.ranks);
}
