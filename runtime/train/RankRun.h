//===- RankRun.h - One rank's training run --------------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_RANKRUN_H
#define PRIMUS_RUNTIME_TRAIN_RANKRUN_H

#include "runtime/communicators/Communicator.h"
#include "runtime/compiler/CompilerInterface.h"
#include "runtime/data/DataSet.h"
#include "runtime/executable/Executable.pb.h"
#include "runtime/train/TrainOptions.h"

namespace primus::runtime {

/// What is known about a run before it starts. `compiled` is empty for an executable, and on ranks that did not compile.
struct Run {
  TrainOptions options;
  PrimusCompileResult compiled;
  executable::Executable executable;
  uint32_t executableChecksum = 0;
};

/// How a rank ended.
struct RankResult {
  Error error = Error::success();
  /// Whether all ranks have this error, so that one of them can report it.
  bool isAgreed = false;
};

/// Opens the data that the run asks for. Errors name the place of the value at fault.
Expected<DataSet> openRunData(const Run &run);

/// Directs the log as the experiment wants. Ranks after the first are muted.
Error setUpRunLogging(const Run &run);

/// Trains as one rank, from the arena to the report; `threads` compute. Tells the others if it fails.
RankResult runRank(const Run &run, const DataSet &data, Communicator &communicator, int threads);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_RANKRUN_H
