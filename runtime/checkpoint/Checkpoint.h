//===- Checkpoint.h - Reading checkpoints ---------------------------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINT_H
#define PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINT_H

#include "runtime/checkpoint/CheckpointIndex.h"
#include "runtime/checkpoint/SafetensorsFile.h"

#include <functional>

namespace primus::runtime {

/// A checkpoint whose index and headers are valid and fit each other. Its files are mapped, not read.
class Checkpoint {
public:
  /// Opens the checkpoint in `folder`. Errors name the file.
  static Expected<Checkpoint> open(const std::string &folder);

  const std::string &getPath() const { return path; }
  const CheckpointState &getState() const { return index.state; }
  const CheckpointIndex &getIndex() const { return index; }
  std::span<const CheckpointTensor> getTensors() const { return index.tensors; }
  /// Null if there is none of this name.
  const CheckpointTensor *find(const std::string &name) const;

  /// Reads all files and compares their checksums. What fails here is torn or damaged and must not be used. Several ranks
  /// can share the work: each reads every `shares`-th file, from its own number on.
  Error verify(size_t share = 0, size_t shares = 1) const;

  /// Takes bytes of a region: `bytes` belong at `offset` of the region's packed row-major bytes.
  using Take = std::function<void(uint64_t offset, std::span<const std::byte> bytes)>;

  /// Hands over a region of a tensor in contiguous pieces, from whichever files hold it. The region must lie inside.
  void read(const CheckpointTensor &tensor, const TensorRegion &region, const Take &take) const;
  /// The same for the whole tensor.
  void read(const CheckpointTensor &tensor, const Take &take) const;

private:
  Checkpoint(std::string path, CheckpointIndex index) : path(std::move(path)), index(std::move(index)) {}

  Error openFiles();

  std::string path;
  CheckpointIndex index;
  std::vector<SafetensorsFile> files;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINT_H
