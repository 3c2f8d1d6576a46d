//===- LaneLayoutTest.cpp - Every element of a tile has its lanes ---------===//

#include "codegen/hip/LaneLayout.h"

#include <gtest/gtest.h>

#include <map>

using namespace mlir;
using namespace primus::codegen;

namespace {

/// How many threads hold each element.
std::map<TilePosition, int64_t> countHolders(const LaneLayout &layout) {
  std::map<TilePosition, int64_t> holders;
  for (int64_t thread = 0; thread < int64_t(1) << layout.threads.size(); ++thread)
    for (size_t number = 0; number < layout.registers.size(); ++number)
      ++holders[layout.getPosition(thread, number)];
  return holders;
}

/// Each element of the tile has equally many holders, and so has the padding.
void expectCover(const LaneLayout &layout, int64_t rows, int64_t columns) {
  std::map<TilePosition, int64_t> holders = countHolders(layout);
  TilePosition extent = layout.getExtent();
  EXPECT_EQ(holders.size(), size_t(extent[0] * extent[1]));
  EXPECT_TRUE(extent[0] >= rows && extent[1] >= columns);
  for (auto [position, count] : holders)
    EXPECT_EQ(count, holders.begin()->second) << position[0] << ", " << position[1];
  EXPECT_EQ(layout.registers.size() % layout.partSize, 0u);
}

std::vector<KernelShape> getShapes() {
  std::vector<KernelShape> shapes;
  for (std::array<int64_t, 2> waves : {std::array<int64_t, 2>{1, 1}, {4, 1}, {1, 4}, {2, 2}, {4, 4}})
    for (int64_t neighbours : {4, 8})
      for (bool hasDots : {false, true})
        shapes.push_back({waves, hasDots, neighbours});
  return shapes;
}

TEST(LaneLayoutTest, TilesAreCovered) {
  std::vector<SmallVector<int64_t>> tiles{{32, 32}, {64, 32}, {32, 96}, {128, 128}, {1, 32}, {64, 1},
                                          {8, 32},  {5, 7},   {64, 64}, {1, 1},     {3, 1},  {1, 700}};
  for (int64_t size : {1, 2, 3, 32, 64, 96, 128, 192, 256, 320, 512, 700, 1024, 4096})
    tiles.push_back({size});
  for (const KernelShape &shape : getShapes())
    for (ArrayRef<int64_t> tile : tiles) {
      SCOPED_TRACE(testing::Message() << "[" << tile[0] << ", " << (tile.size() == 2 ? tile[1] : 0) << "], waves "
                                      << shape.waves[0] << " x " << shape.waves[1] << ", dots " << shape.hasDots);
      expectCover(LaneLayout::get(tile, shape), tile.size() == 2 ? tile[0] : 1, tile.back());
    }
}

/// Sixteen bytes a lane and access wherever the tile has as much for each lane.
TEST(LaneLayoutTest, NeighboursFillAnAccess) {
  EXPECT_EQ(LaneLayout::get({256}, {{1, 1}, false, 4}).partSize, 4);
  EXPECT_EQ(LaneLayout::get({512}, {{1, 1}, false, 8}).partSize, 8);
  EXPECT_EQ(LaneLayout::get({2048}, {{1, 4}, false, 8}).partSize, 8);
  EXPECT_EQ(LaneLayout::get({256}, {{1, 4}, false, 8}).partSize, 1);
  EXPECT_EQ(LaneLayout::get({64, 64}, {{4, 1}, false, 8}).partSize, 8);
  // The edge of a tile is the edge of an access.
  EXPECT_EQ(LaneLayout::get({1002}, {{1, 1}, false, 8}).partSize, 2);
}

/// The AMD Matrix Instruction Calculator's formula for v_mfma_f32_32x32x8_bf16, D, transposed.
TEST(LaneLayoutTest, ResultOfMfma) {
  LaneLayout layout = LaneLayout::get({32, 32}, {{1, 1}, true, 4});
  ASSERT_EQ(layout.partSize, 16);
  for (int64_t lane = 0; lane < kWaveLanes; ++lane)
    for (int64_t number = 0; number < 16; ++number)
      EXPECT_EQ(layout.getPosition(lane, number),
                (TilePosition{lane % 32, 8 * (number / 4) + 4 * (lane / 32) + number % 4}));
}

/// Waves hold contiguous shares; a coordinate that they cannot divide is copied.
TEST(LaneLayoutTest, WavesOfMfmaResults) {
  LaneLayout layout = LaneLayout::get({64, 192}, {{4, 2}, true, 4});
  EXPECT_EQ(layout.threads[6], (TilePosition{0, 96}));
  EXPECT_EQ(layout.threads[7], (TilePosition{32, 0}));
  EXPECT_EQ(layout.threads[8], (TilePosition{0, 0}));
  EXPECT_EQ(layout.getParts(), 3);
  EXPECT_EQ(layout.getCopyBits(), 1 << 8);
}

/// Statistics of rows meet the rows in place: those of a tile lie as the tile's rows do.
TEST(LaneLayoutTest, Projections) {
  KernelShape shape{{2, 2}, true, 4};
  LaneLayout tile = LaneLayout::get({128, 64}, shape);
  EXPECT_EQ(tile.project(1), LaneLayout::get({128, 1}, shape));
  EXPECT_EQ(tile.project(0), LaneLayout::get({1, 64}, shape));
  EXPECT_EQ(tile.project(1).partSize, 1);
  EXPECT_EQ(tile.project(0).partSize, 16);
}

} // namespace
