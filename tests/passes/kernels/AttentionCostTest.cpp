//===- AttentionCostTest.cpp - Tiles of attention -------------------------===//

#include "passes/kernels/AttentionCost.h"

#include "mlir/IR/Builders.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class AttentionCost : public testing::TestWithParam<const char *> {
protected:
  AttentionCost() {
    module = ModuleOp::create(builder.getUnknownLoc());
    (*module)->setAttr("primus.target", builder.getStringAttr(GetParam()));
  }
  kernel::TargetTraits getTraits() { return kernel::TargetTraits::get(*module); }

  MLIRContext context;
  Builder builder{&context};
  OwningOpRef<ModuleOp> module;
};

} // namespace

TEST_P(AttentionCost, LongSequencesFillTheChipWithWideBlocks) {
  kernel::TargetTraits traits = getTraits();
  AttentionSize size{4, 32, 8192, 8192, 128, builder.getBF16Type(), /*visible=*/0.5};
  AttentionTile tile = chooseAttentionTile(size, traits);
  EXPECT_EQ(tile.columns, 64);
  EXPECT_EQ(tile.waves, 4);
  std::optional<TilePrediction> prediction = predictAttention(size, tile, traits);
  ASSERT_TRUE(prediction);
  // No faster than the matrix units allow, and not far from it.
  double operations = 4.0 * size.batch * size.heads * size.tokens * size.keys * size.headSize * size.visible;
  double peak = operations / (double(traits.gpu->narrowOperations) * traits.chip.computeUnits * traits.chip.clock);
  EXPECT_GT(prediction->seconds, peak);
  EXPECT_LT(prediction->seconds, 2.5 * peak);
  // What the mask hides is not computed.
  size.visible = 1;
  EXPECT_GT(predictAttention(size, tile, traits)->seconds, 1.8 * prediction->seconds);
}

TEST_P(AttentionCost, FewRowsTakeFewWaves) {
  EXPECT_EQ(chooseAttentionTile({1, 8, 20, 256, 64, builder.getBF16Type()}, getTraits()).waves, 1);
  EXPECT_LE(chooseAttentionTile({1, 8, 40, 256, 64, builder.getBF16Type()}, getTraits()).waves, 2);
  // And few keys one block of them.
  EXPECT_EQ(chooseAttentionTile({1, 8, 256, 20, 64, builder.getBF16Type()}, getTraits()).columns, 32);
}

TEST_P(AttentionCost, WhatDoesNotFitIsRefused) {
  kernel::TargetTraits traits = getTraits();
  AttentionSize size{1, 8, 4096, 4096, 512, builder.getF32Type()};
  // Keys and values of 64 columns take all of LDS, or more registers than there are.
  EXPECT_FALSE(predictAttention(size, {64, 4}, traits));
  AttentionTile tile = chooseAttentionTile(size, traits);
  EXPECT_EQ(tile.columns, 32);
}

INSTANTIATE_TEST_SUITE_P(Chips, AttentionCost, testing::Values("gfx942", "gfx950"));
