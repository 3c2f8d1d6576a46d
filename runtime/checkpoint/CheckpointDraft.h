//===- CheckpointDraft.h - A checkpoint that is being written -------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTDRAFT_H
#define PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTDRAFT_H

#include "runtime/checkpoint/CheckpointIndex.h"

namespace primus::runtime {

/// The folder of a checkpoint under a temporary name, into which one or several ranks write their files. It takes its own
/// name when everything in it has reached the disk, and goes if it never does.
class CheckpointDraft {
public:
  /// `path` must not exist, and the folder around it must. `index` is what commit writes.
  static Expected<CheckpointDraft> create(const std::string &path, CheckpointIndex index);

  CheckpointDraft(CheckpointDraft &&other) noexcept;
  CheckpointDraft &operator=(CheckpointDraft &&other) = delete;
  ~CheckpointDraft();

  /// The name that it will take.
  const std::string &getPath() const { return path; }
  /// Where the files go.
  const std::string &getFolder() const { return folder; }
  CheckpointIndex &getIndex() { return index; }

  /// After all files of the index are written and synced: writes the index, syncs the folders, and renames.
  Error commit();

private:
  CheckpointDraft(std::string path, std::string folder, CheckpointIndex index)
      : path(std::move(path)), folder(std::move(folder)), index(std::move(index)) {}

  std::string path;
  std::string folder; ///< empty once it is renamed
  CheckpointIndex index;
};

/// The name of a rank's file.
std::string getShardName(int64_t rank, int64_t numRanks);

/// The temporary name of a checkpoint's folder, and whether a name is one that a process which is gone has left behind.
std::string makeTemporaryName(const std::string &name);
bool isLeftOver(const std::string &name);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTDRAFT_H
