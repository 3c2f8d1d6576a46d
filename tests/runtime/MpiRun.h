//===- MpiRun.h - Commands under mpirun -----------------------------------===//

#ifndef PRIMUS_TESTS_RUNTIME_MPIRUN_H
#define PRIMUS_TESTS_RUNTIME_MPIRUN_H

#include <string>
#include <vector>

namespace primus::test {

/// The command that starts `ranks` processes of a command on this host, more than there are processors if need be.
inline std::vector<std::string> withMpirun(int ranks, const std::vector<std::string> &command) {
  std::vector<std::string> all = {PRIMUS_MPIRUN, "--oversubscribe", "--allow-run-as-root", "--bind-to", "none",
                                  "-n", std::to_string(ranks)};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

} // namespace primus::test

#endif // PRIMUS_TESTS_RUNTIME_MPIRUN_H
