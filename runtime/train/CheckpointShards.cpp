//===- CheckpointShards.cpp - Which rank writes what ----------------------===//

#include "runtime/train/CheckpointShards.h"

#include "runtime/executable/Types.h"

#include <algorithm>

using namespace primus;
using namespace primus::runtime;
using executable::Executable;

static StoredType getStoredType(executable::DataType type) {
  switch (type) {
  case executable::F64:
    return StoredType::F64;
  case executable::F16:
    return StoredType::F16;
  case executable::BF16:
    return StoredType::BF16;
  case executable::I64:
    return StoredType::I64;
  case executable::I32:
    return StoredType::I32;
  case executable::I8:
    return StoredType::I8;
  case executable::I1:
    return StoredType::BOOL;
  default:
    return StoredType::F32;
  }
}

CheckpointTensor primus::runtime::describeVariable(const executable::Variable &variable) {
  CheckpointTensor tensor;
  tensor.name = variable.name();
  tensor.type = getStoredType(variable.type().data_type());
  const auto &shape = variable.has_layout() ? variable.layout().global_shape() : variable.type().shape();
  tensor.shape.assign(shape.begin(), shape.end());
  tensor.role = variable.role();
  return tensor;
}

static const executable::Layout *getLayout(const executable::Variable &variable) {
  return variable.has_layout() ? &variable.layout() : nullptr;
}

TensorRegion primus::runtime::getRegion(const executable::Variable &variable, const RankMesh &mesh, int rank) {
  std::vector<int64_t> shape(variable.type().shape().begin(), variable.type().shape().end());
  return mesh.getRegion(rank, shape, getLayout(variable));
}

static bool isSaved(const executable::Variable &variable, bool parametersOnly) {
  return variable.role() == "parameter" || (variable.role() == "optimizer" && !parametersOnly);
}

std::vector<ShardPart> primus::runtime::planShard(const Executable &executable, int rank, bool parametersOnly) {
  // A piece of less is not worth an entry of the index.
  constexpr int64_t smallestPiece = 1 << 20;
  RankMesh mesh(executable.mesh());
  std::vector<ShardPart> parts;
  int64_t turn = 0;
  for (const executable::Variable &variable : executable.variables()) {
    if (!isSaved(variable, parametersOnly))
      continue;
    AxisList replicaAxes = mesh.getReplicaAxes(getLayout(variable));
    int64_t replicas = mesh.getGroupSize(replicaAxes), bytes = *getByteSize(variable.type());
    int64_t rows = variable.type().shape().empty() ? 1 : variable.type().shape(0);
    int64_t pieces = std::clamp<int64_t>(bytes / smallestPiece, 1, std::min(replicas, rows));
    // They take turns, so that what is not cut up does not all fall to the first.
    int64_t piece = (mesh.getGroupIndex(rank, replicaAxes) + replicas - turn % replicas) % replicas;
    turn += pieces;
    if (piece >= pieces)
      continue;
    int64_t first = rows * piece / pieces, last = rows * (piece + 1) / pieces, rowBytes = bytes / rows;
    TensorRegion region = getRegion(variable, mesh, rank);
    if (!region.shape.empty()) {
      region.begin[0] += first;
      region.shape[0] = last - first;
    }
    parts.push_back({&variable, std::move(region), first * rowBytes, (last - first) * rowBytes});
  }
  return parts;
}

std::vector<CheckpointTensor> primus::runtime::describeShards(const Executable &executable, bool parametersOnly) {
  std::vector<CheckpointTensor> tensors;
  std::map<const executable::Variable *, size_t> places;
  for (const executable::Variable &variable : executable.variables())
    if (isSaved(variable, parametersOnly)) {
      places[&variable] = tensors.size();
      tensors.push_back(describeVariable(variable));
    }
  int ranks = RankMesh(executable.mesh()).getNumRanks();
  for (int rank = 0; rank < ranks; ++rank)
    for (ShardPart &part : planShard(executable, rank, parametersOnly))
      tensors[places[part.variable]].slices.push_back({std::move(part.region), static_cast<size_t>(rank)});
  return tensors;
}
