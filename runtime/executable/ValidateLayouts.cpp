//===- ValidateLayouts.cpp - Do tensors fit the mesh of ranks? ------------===//

#include "runtime/executable/Mesh.h"
#include "runtime/executable/Types.h"
#include "runtime/executable/Validation.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_set>

using namespace primus;
using namespace primus::runtime;
using executable::Executable;
using executable::Layout;

Error runtime::validateMesh(const Executable &executable) {
  const executable::Mesh &mesh = executable.mesh();
  if (mesh.names_size() != mesh.sizes_size())
    return Error::failure(fmt::format("mesh: {} names for {} sizes", mesh.names_size(), mesh.sizes_size()));
  std::unordered_set<std::string_view> names;
  int64_t ranks = 1;
  for (int i = 0; i < mesh.names_size(); ++i) {
    if (mesh.names(i).empty() || !names.insert(mesh.names(i)).second)
      return Error::failure(fmt::format("mesh: axis {} has no name, or one that occurs twice", i));
    if (mesh.sizes(i) < 1 || mesh.sizes(i) > maximumRanks / ranks)
      return Error::failure(fmt::format("mesh: the axis '{}' has the size {}", mesh.names(i), mesh.sizes(i)));
    ranks *= mesh.sizes(i);
  }
  // Executables of one rank need not say so.
  if (executable.world_size() != ranks && !(executable.world_size() == 0 && ranks == 1))
    return Error::failure(fmt::format("mesh: {} ranks, the world size is {}", ranks, executable.world_size()));
  return Error::success();
}

Error runtime::validateAxes(const RankMesh &mesh, const AxisList &axes, std::unordered_set<std::string_view> &used) {
  for (const std::string &axis : axes) {
    if (!mesh.findAxis(axis))
      return Error::failure(fmt::format("the mesh has no axis '{}'", axis));
    if (!used.insert(axis).second)
      return Error::failure(fmt::format("the axis '{}' occurs twice", axis));
  }
  return Error::success();
}

Error runtime::validateLayout(const RankMesh &mesh, const executable::TensorType &type, const Layout &layout) {
  int rank = type.shape_size();
  if (layout.global_shape_size() != rank || layout.dims_size() != rank)
    return Error::failure(fmt::format("layout: a shape of {} dimensions and axes for {}, the tensor is {}",
                                      layout.global_shape_size(), layout.dims_size(), toString(type)));
  if (!getElementCount(layout.global_shape()))
    return Error::failure("layout: no valid global shape");
  std::unordered_set<std::string_view> used;
  for (int d = 0; d < rank; ++d) {
    if (Error error = validateAxes(mesh, layout.dims(d).names(), used))
      return Error::failure(fmt::format("layout: dimension {}: {}", d, error.getMessage()));
    int parts = mesh.getGroupSize(layout.dims(d).names());
    if (layout.global_shape(d) % parts != 0 || layout.global_shape(d) / parts != type.shape(d))
      return Error::failure(fmt::format("layout: dimension {}: {} elements on {} ranks are not {} on each", d,
                                        layout.global_shape(d), parts, type.shape(d)));
  }
  if (Error error = validateAxes(mesh, layout.partial(), used))
    return Error::failure(fmt::format("layout: partial: {}", error.getMessage()));
  return Error::success();
}
