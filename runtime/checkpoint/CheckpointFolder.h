//===- CheckpointFolder.h - The checkpoints of a run ----------------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTFOLDER_H
#define PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTFOLDER_H

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/CheckpointDraft.h"
#include "runtime/checkpoint/Ranks.h"

namespace primus::runtime {

/// A folder of checkpoints, named step_00000100 after their step. (A run that starts anew in a used folder writes
/// step_00000100-2: no checkpoint is ever replaced. The newest is the one that was written last, whatever its step.)
class CheckpointFolder {
public:
  /// Opens it for writing: creates it where it is missing, and clears away what a killed run has left unfinished.
  static Expected<CheckpointFolder> openForWriting(const std::string &path);

  /// Starts the next checkpoint, whose number it chooses.
  Expected<CheckpointDraft> create(CheckpointIndex index);

  /// Deletes all checkpoints but the `keep` newest and those of steps that `retainInterval` divides. With both 0,
  /// nothing is deleted; with `keep` 0 it is 1 otherwise.
  Error prune(int64_t keep, int64_t retainInterval) const;

private:
  explicit CheckpointFolder(std::string path) : path(std::move(path)) {}

  std::string path;
  int64_t nextNumber = 0;
};

/// Finds a checkpoint to load: `path` is one, or a folder of them, of which the newest is taken that is whole, with a
/// warning for each that is not. With a `step` other than 0 only those of that step count. Nothing if there is none.
/// What is returned is verified. Several ranks that call it together find the same one, share the reading, and use it only
/// if it is whole for all of them; rank 0 says what is not used.
Expected<std::optional<Checkpoint>> findCheckpoint(const std::string &path, int64_t step = 0,
                                                   Communicator *ranks = nullptr);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTFOLDER_H
