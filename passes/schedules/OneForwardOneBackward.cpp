//===- OneForwardOneBackward.cpp - The schedule 1F1B ----------------------===//
//
// Narayanan et al., "Memory-Efficient Pipeline-Parallel DNN Training" (2021), arXiv 2006.09503: after as many forward
// passes as stages follow, each forward pass is followed by a backward pass.
//
//===----------------------------------------------------------------------===//

#include "passes/schedules/Schedules.h"

using namespace primus;
using namespace primus::schedules;

Rows schedules::generateOneForwardOneBackward(const Request &request, const Table &places) {
  Rows rows(request.ranks);
  for (int32_t rank = 0; rank < request.ranks; ++rank) {
    int32_t ahead = std::min(request.ranks - 1 - rank, request.microbatches);
    for (int32_t step = 0; step < request.microbatches + ahead; ++step) {
      if (step < request.microbatches)
        rows[rank].push_back({ActionKind::Forward, rank, step});
      if (step >= ahead)
        rows[rank].push_back({ActionKind::Backward, rank, step - ahead});
    }
  }
  return rows;
}
