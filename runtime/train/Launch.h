//===- Launch.h - Starting the ranks of a run -----------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_LAUNCH_H
#define PRIMUS_RUNTIME_TRAIN_LAUNCH_H

#include "runtime/train/RankRun.h"

namespace primus::runtime {

/// How a run of one process ended.
struct LaunchResult {
  Error error = Error::success();
  /// Whether the error has been reported, by this process or another.
  bool isReported = false;
  /// Whether something still runs that cannot be ended, so that the process has to end at once, without cleaning up.
  bool isStuck = false;
};

/// Ranks that this process was started as one of, by mpirun or srun; 1 otherwise.
int getLaunchedRanks();

/// This process's number among those on its host; 0 if it was started alone.
int getLaunchedLocalRank();

/// Whether a launcher that is known has started this process, and told it of the others.
bool isLaunched();

/// Processes that srun has started together without telling them of each other; 0 if there are none.
int getUnconnectedTasks();

/// Says on the terminal, and in the log files if there are any, how the run ended.
void reportError(const Error &error);

/// Makes `run` ready to run: compiles, or loads an executable. Called where there is no other rank to do it.
using PrepareRun = Error (*)(Run &run, bool &isDone);

/// Runs all ranks as threads of this process.
LaunchResult launchLocal(Run &run, PrepareRun prepare);

/// Runs this process's rank of those that mpirun or srun has started.
LaunchResult launchMpi(Run &run, PrepareRun prepare);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_LAUNCH_H
