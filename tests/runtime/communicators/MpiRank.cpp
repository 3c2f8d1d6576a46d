//===- MpiRank.cpp - One rank of the tests of several processes -----------===//
//
// mpirun -n N primus_mpi_rank SEED COUNT      random collectives and messages, and the host's helpers; says what is wrong first
// mpirun -n 4 primus_mpi_rank lost            ranks that wait in chains for one that is away; says what each is told
// mpirun -n 2 primus_mpi_rank link            messages on a modelled link; says what is wrong first
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
  std::string_view mode = argc == 2 ? argv[1] : "";
  if (argc != 3 && mode != "lost" && mode != "link")
    return 2;
  CommunicatorOptions options;
  options.timeoutSeconds = mode == "lost" ? 0.5 : 60;
  options.link.latencySeconds = mode == "link" ? 0.2 : 0;
  Expected<std::unique_ptr<Communicator>> communicator = createMpiCommunicator(options);
  std::string message = communicator ? "" : communicator.takeError().getMessage();
  if (message.empty() && mode == "lost")
    message = test::waitInChains(**communicator);
  if (message.empty() && mode == "link")
    message = test::checkMessagesOnLinks(**communicator);
  bool isRandom = mode.empty();
  if (message.empty() && isRandom)
    message = test::checkHostHelpers(**communicator);
  if (message.empty() && isRandom)
    message = test::checkRandomCollectives(**communicator, std::strtoull(argv[1], nullptr, 10), std::atoi(argv[2]));
  if (message.empty() && isRandom)
    message = test::checkRandomMessages(**communicator, std::strtoull(argv[1], nullptr, 10), 4 * std::atoi(argv[2]));
  if (message.empty())
    return 0;
  fmt::print(stderr, "{}\n", message);
  // Without the goodbyes that MPI would wait for.
  std::_Exit(1);
}
