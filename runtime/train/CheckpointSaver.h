//===- CheckpointSaver.h - Writes a run's checkpoints ---------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_CHECKPOINTSAVER_H
#define PRIMUS_RUNTIME_TRAIN_CHECKPOINTSAVER_H

#include "runtime/checkpoint/CheckpointFolder.h"
#include "runtime/checkpoint/Ranks.h"
#include "runtime/checkpoint/StagingBuffer.h"
#include "runtime/executor/Executor.h"
#include "runtime/train/CheckpointShards.h"

#include <chrono>
#include <future>

namespace primus::runtime {

/// Writes checkpoints of an executor's variables, as Executable.training.checkpoint says, beside the steps: a step waits
/// only until the state is copied, and another thread writes the copy. Every rank has a saver and calls the same functions
/// after the same steps. Rank 0 makes the folder and names it when all have written their files; if one fails, the
/// checkpoint fails on all.
class CheckpointSaver {
public:
  /// Opens the folder, so that one that cannot be written to is found before training, and allocates the memory for the
  /// copy. `executor` must outlive the saver.
  static Expected<std::unique_ptr<CheckpointSaver>> create(Executor &executor);

  /// Where a run ends by an error: one rank completes what it has begun; of several, which may be lost, each gives it up.
  ~CheckpointSaver();

  /// Whether the interval asks for a checkpoint after `step`.
  bool isDue(int64_t step) const;

  /// Copies the state to be written, after the checkpoint before is. Nothing happens if this step was saved last.
  Error save(const CheckpointState &state);

  /// After each step: takes what is written on to its end as far as that goes without waiting, and deletes old
  /// checkpoints as configured. Returns what has failed.
  Error poll();

  /// Waits until the last checkpoint is complete.
  Error finish();

private:
  using Clock = std::chrono::steady_clock;

  /// What the ranks wait for; the same on all of them.
  enum class Phase {
    Idle,
    Shards, ///< the ranks' files
    Commit, ///< rank 0: the index and the name
  };

  CheckpointSaver(Executor &executor, std::vector<ShardPart> parts, size_t stagingBytes);

  Error openFolder();
  Expected<std::string> createDraft(const CheckpointState &state);
  Error stage();
  Expected<CheckpointFile> writeShard(const std::string &folder);
  Error endShards();
  Error commit();
  Error endCommit();
  /// Whether the own part of the phase is over.
  bool isReady();

  Executor &executor;
  Communicator *ranks;
  const executable::Checkpoint &config;
  /// What this rank writes.
  std::vector<ShardPart> parts;
  StagingBuffer staging;
  /// Rank 0 only.
  std::optional<CheckpointFolder> folder;
  std::optional<CheckpointDraft> draft;

  Phase phase = Phase::Idle;
  std::future<Expected<CheckpointFile>> shard;
  std::future<Error> committed;
  int64_t savedStep = -1;
  Clock::time_point start;
  double waitedSeconds = 0; ///< of the step, for the present checkpoint
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_CHECKPOINTSAVER_H
