//===- CheckpointIndex.h - What a checkpoint says about itself ------------===//
//
// A checkpoint is a folder of safetensors files, one per rank, and checkpoint.json, which is written last:
//
//   {"format": "primus-checkpoint", "version": 1, "checksum": CRC-32 of "content" as this library prints it,
//    "content": {"step", "samples", "optimizer_steps", "seed", "world_size", "number",
//                "settings": {name: value},
//                "files":    [{"name", "bytes", "checksum"}],
//                "tensors":  {name: {"role", "dtype", "shape", "slices": [{"file", "begin", "shape"}]}}}}
//
// Shapes are those of the whole tensors; a slice is the box of one that a file holds under the same name, so that a
// checkpoint can be loaded into another layout than it was saved from.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTINDEX_H
#define PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTINDEX_H

#include "runtime/checkpoint/Safetensors.h"
#include "runtime/support/TensorRegion.h"

namespace primus::runtime {

/// The part of a tensor that one of the files holds.
struct TensorSlice : TensorRegion {
  size_t file = 0; ///< index into CheckpointIndex::files
};

struct CheckpointTensor : TensorDescription {
  std::string role; ///< parameter or optimizer
  /// Disjoint; together they are the tensor. Those who write through a CheckpointWriter leave them to it.
  std::vector<TensorSlice> slices;
};

struct CheckpointFile {
  std::string name;
  uint64_t bytes = 0;
  uint32_t checksum = 0; ///< CRC-32
};

/// Where a run stood. Random numbers and the order of the data are functions of the seed and of the counts here, so that
/// nothing else needs to be kept.
struct CheckpointState {
  int64_t step = 0;           ///< steps done
  int64_t samples = 0;        ///< sequences read of the training data
  int64_t optimizerSteps = 0; ///< updates of the optimizer's state since it was zero
  uint64_t seed = 0;
  int64_t worldSize = 1; ///< ranks of the run that saved it
  /// What the run was configured to, by path ("model.width"). Empty: unknown, such as after an import.
  std::map<std::string, std::string> settings;
};

struct CheckpointIndex {
  CheckpointState state;
  /// Counts the checkpoints of a run's folder in the order in which they were written.
  int64_t number = 0;
  std::vector<CheckpointFile> files;
  std::vector<CheckpointTensor> tensors; ///< by name

  /// Whether there are tensors of this role.
  bool hasRole(std::string_view role) const;
};

/// The file in a checkpoint's folder.
inline constexpr const char *checkpointIndexName = "checkpoint.json";

std::string printCheckpointIndex(const CheckpointIndex &index);

/// Reads and checks an index: file names stay in the folder, and slices cover their tensor. Errors say what is wrong, as a
/// sentence to go on from the file's name.
Expected<CheckpointIndex> parseCheckpointIndex(std::string_view text);

/// The same for the index of the checkpoint in `folder`. Errors name the file.
Expected<CheckpointIndex> readCheckpointIndex(const std::string &folder);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTINDEX_H
