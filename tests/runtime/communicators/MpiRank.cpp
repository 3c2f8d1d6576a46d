//===- MpiRank.cpp - One rank of the tests of several processes -----------===//
//
// mpirun -n N primus_mpi_rank SEED COUNT      random collectives and messages, and the host's helpers; says what is wrong first
// mpirun -n 4 primus_mpi_rank lost            ranks that wait in chains for one that is away; says what each is told
//
//===----------------------------------------------------------------------===//

#include "runtime/communicators/mpi/MpiLibrary.h"
#include "tests/runtime/communicators/CollectiveCases.h"

#include <cstdlib>
#include <fmt/format.h>
#include <string_view>

using namespace primus;
using namespace primus::runtime;

int main(int argc, char **argv) {
  bool isLost = argc == 2 && std::string_view(argv[1]) == "lost";
  if (argc != 3 && !isLost)
    return 2;
  CommunicatorOptions options;
  options.timeoutSeconds = isLost ? 0.5 : 60;
  Expected<std::unique_ptr<Communicator>> communicator = createMpiCommunicator(options);
  std::string message = communicator ? "" : communicator.takeError().getMessage();
  if (message.empty() && isLost)
    message = test::waitInChains(**communicator);
  if (message.empty() && !isLost)
    message = test::checkHostHelpers(**communicator);
  if (message.empty() && !isLost)
    message = test::checkRandomCollectives(**communicator, std::strtoull(argv[1], nullptr, 10), std::atoi(argv[2]));
  if (message.empty() && !isLost)
    message = test::checkRandomMessages(**communicator, std::strtoull(argv[1], nullptr, 10), 4 * std::atoi(argv[2]));
  if (message.empty())
    return 0;
  fmt::print(stderr, "{}\n", message);
  // Without the goodbyes that MPI would wait for.
  std::_Exit(1);
}
