//===- RcclCommunicator.h - Ranks whose tensors are on GPUs ---------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLCOMMUNICATOR_H
#define PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLCOMMUNICATOR_H

#include "runtime/communicators/Communicator.h"
#include "runtime/devices/hip/HipContext.h"

namespace primus::runtime {

/// Exchanges tensors of GPUs by RCCL, on a queue of its own beside the context's: a collective starts when the work before
/// it is done, and waiting for it keeps the work after it waiting, but not the host. What goes wrong is reported where the
/// host waits for the device, with checkProgress. `host` carries everything else, and has to outlive it, like the context.
///
/// RCCL is opened, and each channel gets its RCCL communicator, when the first collective starts. Messages have queues of
/// their own, so that they pass each other and collectives as the stages of a pipeline need it.
/// The order in which RCCL adds up is its own.
Expected<std::unique_ptr<Communicator>> createRcclCommunicator(Communicator &host, hip::Context &context);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLCOMMUNICATOR_H
