//===- CheckpointWriter.h - Writing checkpoints ---------------------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTWRITER_H
#define PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTWRITER_H

#include "runtime/checkpoint/CheckpointIndex.h"
#include "runtime/checkpoint/SafetensorsWriter.h"

namespace primus::runtime {

/// Writes a checkpoint of one rank, whose tensors come one after the other in pieces of any size. The folder appears under
/// its name when everything in it has reached the disk; until then it has a temporary one, which goes if it never does.
class CheckpointWriter {
public:
  /// `folder` must not exist, and the folder around it must. Of `index`, the files and slices are filled in; its tensors
  /// are the order in which the bytes will come.
  static Expected<CheckpointWriter> create(const std::string &folder, CheckpointIndex index);

  CheckpointWriter(CheckpointWriter &&other) noexcept;
  CheckpointWriter &operator=(CheckpointWriter &&other) = delete;
  ~CheckpointWriter();

  /// The next bytes of the tensors.
  Error append(std::span<const std::byte> bytes) { return file->append(bytes); }

  /// After the last byte: writes the index, syncs files and folders, and renames.
  Error finish();

private:
  CheckpointWriter(std::string folder, std::string temporary, CheckpointIndex index)
      : folder(std::move(folder)), temporary(std::move(temporary)), index(std::move(index)) {}

  std::string folder;
  std::string temporary; ///< empty once it is renamed
  CheckpointIndex index;
  std::optional<SafetensorsWriter> file;
};

/// The temporary name of a checkpoint's folder, and whether a name is one that a process which is gone has left behind.
std::string makeTemporaryName(const std::string &name);
bool isLeftOver(const std::string &name);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTWRITER_H
