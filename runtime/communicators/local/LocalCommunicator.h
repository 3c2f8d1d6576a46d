//===- LocalCommunicator.h - Ranks that are threads of one process --------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_LOCAL_LOCALCOMMUNICATOR_H
#define PRIMUS_RUNTIME_COMMUNICATORS_LOCAL_LOCALCOMMUNICATOR_H

#include "runtime/communicators/Communicator.h"

namespace primus::runtime {

/// The communicators of `ranks` threads of this process, each for one of them. Ranks read each other's tensors where they
/// are; each has threads, one per channel, for what it starts and does not wait for at once.
std::vector<std::unique_ptr<Communicator>> createLocalCommunicators(int ranks, const CommunicatorOptions &options);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_LOCAL_LOCALCOMMUNICATOR_H
