//===- CheckpointShards.h - Which rank writes what ------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_CHECKPOINTSHARDS_H
#define PRIMUS_RUNTIME_TRAIN_CHECKPOINTSHARDS_H

#include "runtime/checkpoint/CheckpointIndex.h"
#include "runtime/executable/Mesh.h"

namespace primus::runtime {

/// What one rank writes of a variable: a run of rows of its own part.
struct ShardPart {
  const executable::Variable *variable;
  TensorRegion region; ///< in the whole tensor
  int64_t begin;       ///< bytes from the start of the rank's own part
  int64_t bytes;
};

/// What `rank` writes of a checkpoint. Every element of every parameter, and unless `parametersOnly` of the optimizer's
/// state, is written by exactly one rank; those that have the same part share it.
std::vector<ShardPart> planShard(const executable::Executable &executable, int rank, bool parametersOnly);

/// The tensors of the checkpoint, whose slices lie in one file per rank.
std::vector<CheckpointTensor> describeShards(const executable::Executable &executable, bool parametersOnly);

/// A variable as a checkpoint has it: the whole tensor.
CheckpointTensor describeVariable(const executable::Variable &variable);

/// The part of a variable that a rank has.
TensorRegion getRegion(const executable::Variable &variable, const RankMesh &mesh, int rank);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_CHECKPOINTSHARDS_H
