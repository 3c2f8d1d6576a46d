//===- Mesh.h - Where a rank stands among the others ----------------------===//

#ifndef PRIMUS_RUNTIME_EXECUTABLE_MESH_H
#define PRIMUS_RUNTIME_EXECUTABLE_MESH_H

#include "runtime/executable/Executable.pb.h"
#include "runtime/support/TensorRegion.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace primus::runtime {

/// Ordered lists of axes, as messages and C++ code have them.
using AxisList = google::protobuf::RepeatedPtrField<std::string>;

/// The mesh of a validated executable. An ordered list of axes, major first, makes groups of ranks: those that agree in
/// all other axes, numbered row-major over the list. Axes that are asked for must exist.
class RankMesh {
public:
  /// No axes: one rank.
  RankMesh() = default;
  explicit RankMesh(const executable::Mesh &mesh);

  int getNumRanks() const { return numRanks; }

  std::optional<size_t> findAxis(std::string_view name) const;

  /// Ranks in a group over `axes`.
  int getGroupSize(const AxisList &axes) const;
  /// The rank's number within its group over `axes`.
  int getGroupIndex(int rank, const AxisList &axes) const;
  /// The ranks of `rank`'s group over `axes`, by their number in it.
  std::vector<int> getGroup(int rank, const AxisList &axes) const;

  /// The axes that split no dimension: ranks that differ in these only have the same part of a tensor.
  AxisList getReplicaAxes(const executable::Layout *layout) const;

  /// The part of a tensor that a rank has, in the whole tensor. `shape` is the part's.
  TensorRegion getRegion(int rank, std::span<const int64_t> shape, const executable::Layout *layout) const;

  /// "dp 0, tp 1": the rank's place in the axes longer than 1.
  std::string describeRank(int rank) const;

private:
  struct Axis {
    std::string name;
    int size = 1;
    int stride = 1; ///< between neighbours along the axis
  };

  int getPlace(int rank, const Axis &axis) const { return rank / axis.stride % axis.size; }

  std::vector<Axis> axes;
  int numRanks = 1;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTABLE_MESH_H
