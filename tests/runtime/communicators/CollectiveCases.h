//===- CollectiveCases.h - Random collectives with known results ----------===//
//
// Used on every rank alike: by threads (CommunicatorTest.cpp), and by the processes of mpirun (MpiRank.cpp).
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_TESTS_RUNTIME_COMMUNICATORS_COLLECTIVECASES_H
#define PRIMUS_TESTS_RUNTIME_COMMUNICATORS_COLLECTIVECASES_H

#include "runtime/communicators/Communicator.h"
#include "runtime/devices/Device.h"

#include <cstdint>
#include <string>

namespace primus::test {

/// Prepares random collectives of every kind on the axes of a random mesh of all ranks, with odd shapes, all types that
/// are reduced, buckets and some tensors longer than a message; runs them twice, some at once and several in flight; and compares every
/// bit of every target with a definition that goes element by element. Returns what is wrong first, or nothing. The tensors
/// are on `device`, whose arena this allocates, or on the host where there is none.
std::string checkRandomCollectives(runtime::Communicator &communicator, uint64_t seed, int count,
                                   runtime::Device *device = nullptr);

/// Sends random messages between random pairs of ranks, each rank starting them in an order of its own as far as a channel's
/// order allows, and compares what arrives. Returns what is wrong first, or nothing.
std::string checkRandomMessages(runtime::Communicator &communicator, uint64_t seed, int count);

/// Sends messages from rank 0 to rank 1 on a modelled link of 0.2 seconds, which carries one after the other. Returns what is wrong first, or nothing.
std::string checkMessagesOnLinks(runtime::Communicator &communicator);

/// Checks the helpers of the host in the same way.
std::string checkHostHelpers(runtime::Communicator &communicator);

/// Four ranks, of which the last goes away while the others wait for one another: rank 0 for 1, and 1 and 2 for the last.
/// Returns this rank's error.
std::string waitInChains(runtime::Communicator &communicator);

} // namespace primus::test

#endif // PRIMUS_TESTS_RUNTIME_COMMUNICATORS_COLLECTIVECASES_H
