//===- RandomLayouts.h - Meshes and layouts for property tests ------------===//

#ifndef PRIMUS_TESTS_RUNTIME_RANDOMLAYOUTS_H
#define PRIMUS_TESTS_RUNTIME_RANDOMLAYOUTS_H

#include "runtime/executable/Mesh.h"

#include <algorithm>
#include <random>

namespace primus::test {

/// Equal seeds give equal choices.
class RandomLayouts {
public:
  explicit RandomLayouts(unsigned seed) : engine(seed) {}

  int64_t choose(int64_t smallest, int64_t largest) {
    return std::uniform_int_distribution<int64_t>(smallest, largest)(engine);
  }

  /// A mesh of all axes, of at most this many ranks.
  executable::Mesh makeMesh(int64_t mostRanks) {
    executable::Mesh mesh;
    std::vector<int64_t> sizes(6, 1);
    int64_t ranks = 1;
    for (int i = 0; i < 4; ++i) {
      int64_t size = choose(1, 4);
      if (ranks * size > mostRanks)
        continue;
      sizes[static_cast<size_t>(choose(0, 5))] *= size;
      ranks *= size;
    }
    for (size_t i = 0; i < sizes.size(); ++i) {
      mesh.add_names(std::vector<const char *>{"pp", "dp", "fsdp", "ep", "cp", "tp"}[i]);
      mesh.add_sizes(sizes[i]);
    }
    return mesh;
  }

  /// Axes for a tensor of this shape, in any order, as far as they divide it.
  executable::Layout makeLayout(const executable::Mesh &mesh, const std::vector<int64_t> &shape) {
    executable::Layout layout;
    layout.mutable_global_shape()->Add(shape.begin(), shape.end());
    std::vector<int64_t> rest = shape;
    for (size_t d = 0; d < shape.size(); ++d)
      layout.add_dims();
    std::vector<int> axes(static_cast<size_t>(mesh.names_size()));
    for (size_t i = 0; i < axes.size(); ++i)
      axes[i] = static_cast<int>(i);
    std::ranges::shuffle(axes, engine);
    for (int axis : axes) {
      if (shape.empty() || choose(0, 3) == 0)
        continue;
      auto d = static_cast<size_t>(choose(0, static_cast<int64_t>(shape.size()) - 1));
      if (rest[d] % mesh.sizes(axis) != 0)
        continue;
      rest[d] /= mesh.sizes(axis);
      layout.mutable_dims(static_cast<int>(d))->add_names(mesh.names(axis));
    }
    return layout;
  }

  /// A shape that many meshes divide, of up to 4 dimensions.
  std::vector<int64_t> makeShape() {
    std::vector<int64_t> shape(static_cast<size_t>(choose(0, 4)));
    for (int64_t &size : shape)
      size = std::vector<int64_t>{1, 2, 3, 4, 6, 8, 12}[static_cast<size_t>(choose(0, 6))];
    return shape;
  }

  std::mt19937 engine;
};

/// The shape of a rank's part.
inline std::vector<int64_t> getPartShape(const executable::Mesh &mesh, const executable::Layout &layout) {
  runtime::RankMesh ranks(mesh);
  std::vector<int64_t> shape;
  for (int d = 0; d < layout.dims_size(); ++d)
    shape.push_back(layout.global_shape(d) / ranks.getGroupSize(layout.dims(d).names()));
  return shape;
}

} // namespace primus::test

#endif // PRIMUS_TESTS_RUNTIME_RANDOMLAYOUTS_H
