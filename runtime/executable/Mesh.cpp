//===- Mesh.cpp - Where a rank stands among the others --------------------===//

#include "runtime/executable/Mesh.h"

#include <algorithm>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;

RankMesh::RankMesh(const executable::Mesh &mesh) : axes(static_cast<size_t>(mesh.names_size())) {
  for (size_t i = axes.size(); i-- > 0;) {
    axes[i] = {mesh.names(static_cast<int>(i)), static_cast<int>(mesh.sizes(static_cast<int>(i))), numRanks};
    numRanks *= axes[i].size;
  }
}

std::optional<size_t> RankMesh::findAxis(std::string_view name) const {
  for (size_t i = 0; i < axes.size(); ++i)
    if (axes[i].name == name)
      return i;
  return std::nullopt;
}

int RankMesh::getGroupSize(const AxisList &names) const {
  int size = 1;
  for (const std::string &name : names)
    size *= axes[*findAxis(name)].size;
  return size;
}

int RankMesh::getGroupIndex(int rank, const AxisList &names) const {
  int index = 0;
  for (const std::string &name : names) {
    const Axis &axis = axes[*findAxis(name)];
    index = index * axis.size + getPlace(rank, axis);
  }
  return index;
}

std::vector<int> RankMesh::getGroup(int rank, const AxisList &names) const {
  int first = rank;
  for (const std::string &name : names) {
    const Axis &axis = axes[*findAxis(name)];
    first -= getPlace(rank, axis) * axis.stride;
  }
  std::vector<int> group = {first};
  for (const std::string &name : names) {
    const Axis &axis = axes[*findAxis(name)];
    std::vector<int> longer;
    for (int member : group)
      for (int i = 0; i < axis.size; ++i)
        longer.push_back(member + i * axis.stride);
    group = std::move(longer);
  }
  return group;
}

AxisList RankMesh::getReplicaAxes(const executable::Layout *layout) const {
  AxisList replicas;
  for (const Axis &axis : axes) {
    bool splits = layout && std::ranges::any_of(layout->dims(), [&](const executable::Axes &dim) {
      return std::ranges::find(dim.names(), axis.name) != dim.names().end();
    });
    if (!splits)
      *replicas.Add() = axis.name;
  }
  return replicas;
}

TensorRegion RankMesh::getRegion(int rank, std::span<const int64_t> shape, const executable::Layout *layout) const {
  TensorRegion region = {std::vector<int64_t>(shape.size(), 0), {shape.begin(), shape.end()}};
  for (size_t d = 0; layout && d < shape.size(); ++d)
    region.begin[d] = getGroupIndex(rank, layout->dims(static_cast<int>(d)).names()) * shape[d];
  return region;
}

std::string RankMesh::describeRank(int rank) const {
  std::string text;
  for (const Axis &axis : axes)
    if (axis.size > 1)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", axis.name, getPlace(rank, axis));
  return text;
}
