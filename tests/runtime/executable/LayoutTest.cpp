//===- LayoutTest.cpp - What each rank has of a tensor --------------------===//

#include "tests/runtime/RandomLayouts.h"

#include <gtest/gtest.h>
#include <map>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;

static executable::Mesh makeMesh(std::vector<std::pair<const char *, int64_t>> axes) {
  executable::Mesh mesh;
  for (auto [name, size] : axes) {
    mesh.add_names(name);
    mesh.add_sizes(size);
  }
  return mesh;
}

TEST(Layout, TheFirstAxisOfADimensionIsTheMajorOne) {
  executable::Mesh mesh = makeMesh({{"fsdp", 3}, {"tp", 2}});
  executable::Layout layout;
  for (int64_t size : {12, 5}) {
    layout.add_global_shape(size);
    layout.add_dims();
  }
  std::vector<int64_t> part = {2, 5};
  for (const char *axis : {"tp", "fsdp"})
    layout.mutable_dims(0)->add_names(axis);
  // Rank 3 is at fsdp 1, tp 1.
  EXPECT_EQ(RankMesh(mesh).getRegion(3, part, &layout), (TensorRegion{{8, 0}, {2, 5}}));
  layout.mutable_dims(0)->mutable_names()->SwapElements(0, 1);
  EXPECT_EQ(RankMesh(mesh).getRegion(3, part, &layout), (TensorRegion{{6, 0}, {2, 5}}));
  EXPECT_EQ(RankMesh(mesh).getRegion(3, part, nullptr), TensorRegion::whole(part));
  EXPECT_EQ(RankMesh(mesh).getReplicaAxes(&layout).size(), 0);
  EXPECT_EQ(RankMesh(mesh).getReplicaAxes(nullptr).size(), 2);
}

/// All parts together are the tensor, and ranks that have the same part are those that differ in the other axes only.
TEST(Layout, PartsAreTheTensorAsOftenAsItHasReplicas) {
  RandomLayouts random(1);
  int split = 0;
  for (int round = 0; round < 2000; ++round) {
    executable::Mesh mesh = random.makeMesh(48);
    std::vector<int64_t> shape = random.makeShape();
    executable::Layout layout = random.makeLayout(mesh, shape);
    RankMesh ranks(mesh);
    AxisList replicaAxes = ranks.getReplicaAxes(&layout);
    std::vector<int> holders(static_cast<size_t>(TensorRegion::whole(shape).getElements()));
    std::map<std::vector<int64_t>, std::vector<int>> byBegin;
    for (int rank = 0; rank < ranks.getNumRanks(); ++rank) {
      TensorRegion region = ranks.getRegion(rank, getPartShape(mesh, layout), &layout);
      forEachCommonRun(region, TensorRegion::whole(shape), [&](int64_t, int64_t begin, int64_t count) {
        for (int64_t i = begin; i < begin + count; ++i)
          ++holders.at(static_cast<size_t>(i));
      });
      byBegin[region.begin].push_back(rank);
    }
    for (int count : holders)
      ASSERT_EQ(count, ranks.getGroupSize(replicaAxes)) << layout.DebugString() << mesh.DebugString();
    for (const auto &[begin, members] : byBegin) {
      EXPECT_EQ(ranks.getGroup(members.front(), replicaAxes), members);
      for (size_t i = 0; i < members.size(); ++i)
        EXPECT_EQ(ranks.getGroupIndex(members[i], replicaAxes), static_cast<int>(i));
    }
    split += byBegin.size() > 1;
  }
  EXPECT_GT(split, 500);
}
