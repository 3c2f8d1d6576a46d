//===- Ranks.h - Ranks that save or load together -------------------------===//
//
// A null communicator stands for a run of one rank, or a tool. Otherwise all ranks call these in the same order.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_RANKS_H
#define PRIMUS_RUNTIME_CHECKPOINT_RANKS_H

#include "runtime/communicators/Communicator.h"

#include <functional>

namespace primus::runtime {

int getRank(const Communicator *ranks);
int getNumRanks(const Communicator *ranks);

/// Success if all ranks succeeded; otherwise, on all of them, the error of the first that failed, which says its rank
/// unless all failed in the same way.
Error agree(Communicator *ranks, Error own);

/// Does `work` on all ranks and agrees on how they fared. It may take longer than the ranks' timeout: those that are done
/// wait for those that are known to work.
Error agreeAfter(Communicator *ranks, const std::function<Error()> &work);

/// What each rank says, by rank.
Expected<std::vector<std::string>> gather(Communicator *ranks, std::string own);

/// What rank 0 says.
Expected<std::string> hearFirst(Communicator *ranks, std::string own);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_RANKS_H
