//===- CheckpointShards.cpp - Which rank writes what ----------------------===//

#include "runtime/train/CheckpointShards.h"

#include "runtime/executable/PipelineRank.h"
#include "runtime/executable/Types.h"

#include <algorithm>
#include <map>
#include <set>

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

/// The variables that ranks with a place in the pipeline save: those of which no earlier place has a copy, too.
static std::vector<const executable::Variable *> getSaved(const Executable &executable, int place, bool parametersOnly) {
  std::set<std::string_view> earlier;
  for (int before = 0; before < place; ++before)
    for (const executable::Variable &variable : executable.pipeline_ranks(before).variables())
      earlier.insert(variable.name());
  const auto &all = executable.pipeline_ranks().empty() ? executable.variables() : executable.pipeline_ranks(place).variables();
  std::vector<const executable::Variable *> saved;
  for (const executable::Variable &variable : all)
    if (isSaved(variable, parametersOnly) && !earlier.contains(variable.name()))
      saved.push_back(&variable);
  return saved;
}

/// What `rank` writes of the variables that its place in the pipeline saves.
static std::vector<ShardPart> planParts(const Executable &executable, const RankMesh &mesh,
                                        const std::vector<const executable::Variable *> &saved, int rank) {
  // A piece of less is not worth an entry of the index.
  constexpr int64_t smallestPiece = 1 << 20;
  std::vector<ShardPart> parts;
  int64_t turn = 0;
  for (const executable::Variable *each : saved) {
    const executable::Variable &variable = *each;
    AxisList replicaAxes = mesh.getReplicaAxes(getLayout(variable));
    // Other places of the pipeline have other variables.
    if (!executable.pipeline_ranks().empty())
      replicaAxes.erase(std::remove(replicaAxes.begin(), replicaAxes.end(), pipelineAxis), replicaAxes.end());
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

std::vector<ShardPart> primus::runtime::planShard(const Executable &executable, int rank, bool parametersOnly) {
  return planParts(executable, RankMesh(executable.mesh()),
                   getSaved(executable, getPipelinePlace(executable, rank), parametersOnly), rank);
}

std::vector<CheckpointTensor> primus::runtime::describeShards(const Executable &executable, bool parametersOnly) {
  std::vector<CheckpointTensor> tensors;
  std::map<const executable::Variable *, size_t> places;
  std::vector<std::vector<const executable::Variable *>> saved;
  for (int place = 0; place < std::max(executable.pipeline_ranks_size(), 1); ++place)
    for (const executable::Variable *variable : saved.emplace_back(getSaved(executable, place, parametersOnly))) {
      places[variable] = tensors.size();
      tensors.push_back(describeVariable(*variable));
    }
  RankMesh mesh(executable.mesh());
  for (int rank = 0; rank < mesh.getNumRanks(); ++rank)
    for (ShardPart &part : planParts(executable, mesh, saved[static_cast<size_t>(getPipelinePlace(executable, rank))], rank))
      tensors[places[part.variable]].slices.push_back({std::move(part.region), static_cast<size_t>(rank)});
  return tensors;
}
