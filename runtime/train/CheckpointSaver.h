//===- CheckpointSaver.h - Writes a run's checkpoints ---------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_CHECKPOINTSAVER_H
#define PRIMUS_RUNTIME_TRAIN_CHECKPOINTSAVER_H

#include "runtime/checkpoint/CheckpointFolder.h"
#include "runtime/checkpoint/CheckpointWriter.h"
#include "runtime/executor/Executor.h"

namespace primus::runtime {

/// Writes checkpoints of an executor's variables, as Executable.training.checkpoint says. Tensors stream from the arena;
/// there is no second copy of them.
class CheckpointSaver {
public:
  /// Opens the folder, so that one that cannot be written to is found before training. `executor` must outlive the saver.
  static Expected<CheckpointSaver> create(Executor &executor);

  /// Whether the interval asks for a checkpoint after `step`.
  bool isDue(int64_t step) const;

  /// Saves, then deletes old checkpoints as configured. Nothing happens if this step was saved last.
  Error save(const CheckpointState &state);

private:
  CheckpointSaver(Executor &executor, CheckpointFolder folder)
      : executor(executor), config(executor.getExecutable().training().checkpoint()), folder(std::move(folder)) {}

  Error write(const CheckpointState &state, std::string &path);

  Executor &executor;
  const executable::Checkpoint &config;
  CheckpointFolder folder;
  int64_t savedStep = -1;
};

/// How a variable lies in a checkpoint.
CheckpointTensor describeVariable(const executable::Variable &variable);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_CHECKPOINTSAVER_H
