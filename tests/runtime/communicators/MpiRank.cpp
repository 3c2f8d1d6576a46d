//===- MpiRank.cpp - One rank of the tests of several processes -----------===//
//
// mpirun -n N primus_mpi_rank SEED COUNT      random collectives and the host's helpers; says what is wrong first
//
//===----------------------------------------------------------------------===//

#include "runtime/communicators/mpi/MpiLibrary.h"
#include "tests/runtime/communicators/CollectiveCases.h"

#include <cstdlib>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  CommunicatorOptions options;
  options.timeoutSeconds = 60;
  Expected<std::unique_ptr<Communicator>> communicator = createMpiCommunicator(options);
  std::string message = communicator ? "" : communicator.takeError().getMessage();
  if (message.empty())
    message = test::checkHostHelpers(**communicator);
  if (message.empty())
    message = test::checkRandomCollectives(**communicator, std::strtoull(argv[1], nullptr, 10), std::atoi(argv[2]));
  if (message.empty())
    return 0;
  fmt::print(stderr, "{}\n", message);
  // Without the goodbyes that MPI would wait for.
  std::_Exit(1);
}
