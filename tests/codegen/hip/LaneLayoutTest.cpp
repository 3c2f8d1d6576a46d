//===- LaneLayoutTest.cpp - Every element of a tile has its lanes ---------===//

#include "codegen/hip/LaneLayout.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <map>

using namespace mlir;
using namespace primus::codegen;

namespace {

TilePosition getPosition(const LaneLayout &layout, int64_t lane, size_t number) {
  TilePosition position = layout.registers[number];
  for (int64_t bit = 0; bit < kWaveBits; ++bit)
    for (unsigned coordinate = 0; coordinate < 2; ++coordinate)
      position[coordinate] += (lane >> bit & 1) * layout.lanes[bit][coordinate];
  return position;
}

/// How many lanes hold each element.
std::map<TilePosition, int64_t> countHolders(const LaneLayout &layout) {
  std::map<TilePosition, int64_t> holders;
  for (int64_t lane = 0; lane < kWaveLanes; ++lane)
    for (size_t number = 0; number < layout.registers.size(); ++number)
      ++holders[getPosition(layout, lane, number)];
  return holders;
}

void expectCover(const LaneLayout &layout, int64_t rows, int64_t columns) {
  std::map<TilePosition, int64_t> holders = countHolders(layout);
  EXPECT_EQ(holders.size(), size_t(rows * columns));
  for (auto [position, count] : holders) {
    EXPECT_TRUE(position[0] < rows && position[1] < columns) << position[0] << ", " << position[1];
    EXPECT_EQ(count, holders.begin()->second) << position[0] << ", " << position[1];
  }
}

TEST(LaneLayoutTest, TilesAreCovered) {
  MLIRContext context;
  auto get = [&](ArrayRef<int64_t> shape) { return LaneLayout::get(RankedTensorType::get(shape, Float32Type::get(&context))); };
  for (int64_t size : {1, 2, 32, 64, 128, 192, 256, 320, 512, 1024}) {
    SCOPED_TRACE(size);
    ASSERT_TRUE(get({size}));
    expectCover(*get({size}), 1, size);
  }
  for (auto [rows, columns] : {std::pair(32, 32), {64, 32}, {32, 96}, {1, 32}, {64, 1}}) {
    SCOPED_TRACE(testing::Message() << rows << " x " << columns);
    ASSERT_TRUE(get({rows, columns}));
    expectCover(*get({rows, columns}), rows, columns);
  }
  EXPECT_FALSE(get({96}));
  EXPECT_FALSE(get({8, 32}));
}

/// Both operands hold the same k in the same lane's half and register, which is what makes their products meet.
TEST(LaneLayoutTest, OperandsOfMfmaMeet) {
  for (int64_t depth : {2, 8, 16}) {
    LaneLayout left = LaneLayout::getMfmaLeft(depth), right = LaneLayout::getMfmaRight(depth);
    expectCover(left, 32, depth);
    expectCover(right, depth, 32);
    for (int64_t lane = 0; lane < kWaveLanes; ++lane)
      for (size_t number = 0; number < left.registers.size(); ++number) {
        EXPECT_EQ(getPosition(left, lane, number)[1], getPosition(right, lane, number)[0]);
        EXPECT_EQ(getPosition(left, lane, number)[0], lane % 32);
        EXPECT_EQ(getPosition(right, lane, number)[1], lane % 32);
      }
  }
}

/// The AMD Matrix Instruction Calculator's formula for v_mfma_f32_32x32x8_bf16, D.
TEST(LaneLayoutTest, ResultOfMfma) {
  MLIRContext context;
  LaneLayout layout = *LaneLayout::get(RankedTensorType::get({32, 32}, Float32Type::get(&context)));
  for (int64_t lane = 0; lane < kWaveLanes; ++lane)
    for (int64_t number = 0; number < 16; ++number)
      EXPECT_EQ(getPosition(layout, lane, number), (TilePosition{8 * (number / 4) + 4 * (lane / 32) + number % 4, lane % 32}));
}

} // namespace
