//===- StagedTileTest.cpp - Right operands of dots in LDS -----------------===//

#include "codegen/hip/StagedTile.h"

#include <gtest/gtest.h>

#include <set>

using namespace primus::codegen;
using namespace primus::codegen::hip;

namespace {

template <typename Body> void forEachTile(Body body) {
  for (int64_t depth : {32, 64, 96, 128, 256})
    for (int64_t columns : {32, 64, 96, 128})
      for (int64_t bytes : {2, 4})
        for (bool isTransposed : {false, true})
          for (int64_t waves : {1, 4, 8}) {
            SCOPED_TRACE(testing::Message() << depth << " x " << columns << ", " << bytes << " bytes, " << isTransposed << ", " << waves);
            KernelShape kernel;
            kernel.waves = {waves, 1};
            body(StagedTile::get({depth, columns}, bytes, isTransposed, kernel), kernel);
          }
}

int64_t getAddress(const StagedTile &tile, int64_t depth, int64_t column) {
  StagedTile::Place place = tile.getPlace(depth, column);
  return place.bytes + place.swizzled * StagedTile::chunkBytes;
}

TEST(StagedTileTest, HasAPlaceForEachElement) {
  forEachTile([](const StagedTile &tile, const KernelShape &) {
    std::set<int64_t> addresses;
    for (int64_t depth = 0; depth < tile.depth; ++depth)
      for (int64_t column = 0; column < tile.columns; ++column) {
        int64_t address = getAddress(tile, depth, column);
        EXPECT_TRUE(address >= 0 && address < tile.getBytes() && address % tile.elementBytes == 0);
        addresses.insert(address);
      }
    EXPECT_EQ(addresses.size(), static_cast<size_t>(tile.depth * tile.columns));
  });
}

TEST(StagedTileTest, IsLoadedOnceByThreadsWithoutCopies) {
  forEachTile([](const StagedTile &tile, const KernelShape &kernel) {
    std::multiset<TilePosition> positions;
    int64_t copies = tile.source.getCopyBits();
    for (int64_t thread = 0; thread < kernel.getThreads(); ++thread)
      for (size_t number = 0; (thread & copies) == 0 && number < tile.source.registers.size(); ++number)
        positions.insert(tile.source.getPosition(thread, static_cast<int64_t>(number)));
    EXPECT_EQ(positions.size(), static_cast<size_t>(tile.depth * tile.columns));
    EXPECT_EQ(std::set<TilePosition>(positions.begin(), positions.end()).size(), positions.size());
    // All work where sizes can be halved often enough.
    int64_t shares = (tile.depth & -tile.depth) * (tile.columns & -tile.columns) / StagedTile::unit;
    if (shares >= kernel.getThreads())
      EXPECT_EQ(copies, 0);
  });
}

/// Addresses are put together from what bits of numbers contribute.
TEST(StagedTileTest, IsLinearInTheBitsOfItsPositions) {
  forEachTile([](const StagedTile &tile, const KernelShape &kernel) {
    for (int64_t thread = 0; thread < kernel.getThreads(); ++thread)
      for (size_t number = 0; number < tile.source.registers.size(); number += 4) {
        TilePosition first = tile.source.registers[number], all = tile.source.getPosition(thread, static_cast<int64_t>(number));
        StagedTile::Place place = tile.getPlace(first[0], first[1]), expected = tile.getPlace(all[0], all[1]);
        for (size_t bit = 0; bit < tile.source.threads.size(); ++bit)
          if (thread >> bit & 1) {
            TilePosition moved = tile.source.threads[bit];
            StagedTile::Place part = tile.getPlace(moved[0], moved[1]);
            place.bytes += part.bytes;
            place.swizzled ^= part.swizzled;
          }
        ASSERT_EQ(place.bytes, expected.bytes);
        ASSERT_EQ(place.swizzled, expected.swizzled);
      }
  });
}

/// LDS serves 8 lanes' 16 bytes at once, which must lie in different banks (of 4 bytes, 32 in all).
TEST(StagedTileTest, IsReadWithoutBankConflicts) {
  const int64_t served[][8] = {{0, 1, 2, 3, 20, 21, 22, 23}, {4, 5, 6, 7, 16, 17, 18, 19},
                               {8, 9, 10, 11, 28, 29, 30, 31}, {12, 13, 14, 15, 24, 25, 26, 27}};
  forEachTile([&](const StagedTile &tile, const KernelShape &) {
    for (int64_t depth = 0; depth < tile.depth; depth += StagedTile::unit)
      for (int64_t column = 0; column < tile.columns; column += 32)
        for (auto &lanes : served) {
          std::set<int64_t> places;
          for (int64_t lane : lanes)
            places.insert(getAddress(tile, depth, column + lane) / 16 % 8);
          ASSERT_EQ(places.size(), 8u) << depth;
        }
  });
}

} // namespace
