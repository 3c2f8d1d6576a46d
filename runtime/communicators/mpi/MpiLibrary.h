//===- MpiLibrary.h - MPI, opened when it is needed -----------------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_MPI_MPILIBRARY_H
#define PRIMUS_RUNTIME_COMMUNICATORS_MPI_MPILIBRARY_H

#include "runtime/communicators/Communicator.h"

namespace primus::runtime {

/// Opens libprimus_mpi.so, and with it MPI, which a process of one rank does not need; and joins the ranks that mpirun or
/// srun has started. Waits until all of them are there. At most once in a process.
Expected<std::unique_ptr<Communicator>> createMpiCommunicator(const CommunicatorOptions &options);

/// The library's only function: creates the communicator, or says in `error` why it cannot.
using CreateMpiCommunicator = Communicator *(*)(const CommunicatorOptions &options, std::string &error);
inline constexpr const char *createMpiCommunicatorName = "primus_create_mpi_communicator";

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_MPI_MPILIBRARY_H
