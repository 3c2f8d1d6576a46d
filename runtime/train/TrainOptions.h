//===- TrainOptions.h - The command line of primus-train ------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_TRAINOPTIONS_H
#define PRIMUS_RUNTIME_TRAIN_TRAINOPTIONS_H

#include "runtime/support/Error.h"

#include <optional>
#include <string>
#include <vector>

namespace primus::runtime {

struct TrainOptions {
  /// An experiment (YAML), or an executable (.primus).
  std::string input;
  /// The experiment, its overrides and the options that are the compiler's, as it expects them.
  std::vector<std::string> compileArguments;
  std::string dataPath;
  std::string metricsPath;
  std::string reportPath;
  std::string profilePath;
  std::string resume; ///< empty, "auto", or a checkpoint or folder of checkpoints
  int threads = 0; ///< of a process; 0: as many as there are processors
  int ranks = 0;   ///< 0: as many as the program is compiled for, or mpirun has started
  std::string communicator; ///< local, mpi, rccl, or empty: whichever fits how the process was started
  double timeoutSeconds = 600;
  bool isExecutable() const { return input.ends_with(".primus"); }
};

/// Parses the command line. Nothing if --help has been printed.
Expected<std::optional<TrainOptions>> parseTrainOptions(int argc, const char *const *argv);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_TRAINOPTIONS_H
