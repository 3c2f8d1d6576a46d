//===- TileCostTest.cpp - Tiles that the cost model chooses ---------------===//

#include "passes/kernels/TileCost.h"

#include "mlir/IR/Builders.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class TileCost : public testing::TestWithParam<const char *> {
protected:
  TileCost() {
    module = ModuleOp::create(builder.getUnknownLoc());
    (*module)->setAttr("primus.target", builder.getStringAttr(GetParam()));
  }
  kernel::TargetTraits getTraits() { return kernel::TargetTraits::get(*module); }
  MatmulSize getSize(int64_t m, int64_t n, int64_t k) { return {1, m, n, k, builder.getBF16Type(), 2}; }

  MLIRContext context;
  Builder builder{&context};
  OwningOpRef<ModuleOp> module;
};

} // namespace

TEST_P(TileCost, LargeProductsAreBoundByTheMatrixUnits) {
  kernel::TargetTraits traits = getTraits();
  // Two rounds of tiles of 256 x 256.
  MatmulSize size = getSize(256 * 32, 256 * traits.chip.computeUnits / 16, 8192);
  MatmulTile tile = chooseMatmulTile(size, traits);
  EXPECT_EQ(tile.rows, 256);
  EXPECT_EQ(tile.columns, 256);
  std::optional<TilePrediction> prediction = predictMatmul(size, tile, traits);
  ASSERT_TRUE(prediction);
  EXPECT_EQ(prediction->bound, "matrix");
  // No faster than the chip's peak, and not far from it.
  double peak = 2.0 * size.m * size.n * size.k / (traits.gpu->narrowOperations * traits.chip.computeUnits * traits.chip.clock);
  EXPECT_GT(prediction->seconds, peak);
  EXPECT_LT(prediction->seconds, 1.6 * peak);
}

TEST_P(TileCost, SmallAndThinProductsSpreadOverTheChip) {
  kernel::TargetTraits traits = getTraits();
  MatmulTile thin = chooseMatmulTile(getSize(16, 4096, 4096), traits);
  EXPECT_EQ(thin.rows, 32);
  EXPECT_LE(thin.columns, 64);
  MatmulTile small = chooseMatmulTile(getSize(512, 512, 4096), traits);
  EXPECT_LE(small.rows * small.columns, 64 * 64);
}

/// Which is why blocks of 16 would gain nothing.
TEST_P(TileCost, ThinProductsWaitForMemory) {
  kernel::TargetTraits traits = getTraits();
  const int64_t sizes[][3] = {{16, 4096, 4096}, {16, 28672, 8192}, {16, 16, 8192}, {8192, 16, 512}, {8192, 16, 4096}, {65536, 16, 128}};
  for (auto [m, n, k] : sizes) {
    MatmulSize size = getSize(m, n, k);
    std::optional<TilePrediction> prediction = predictMatmul(size, chooseMatmulTile(size, traits), traits);
    ASSERT_TRUE(prediction);
    EXPECT_TRUE(prediction->bound == "latency" || prediction->bound == "memory") << m << " x " << n << " x " << k << ": " << prediction->bound.str();
  }
}

TEST_P(TileCost, WhatDoesNotFitIsRefused) {
  kernel::TargetTraits traits = getTraits();
  MatmulSize size = getSize(4096, 4096, 4096);
  // One wave cannot hold the sums; shares below 32; no power of two.
  EXPECT_FALSE(predictMatmul(size, {256, 256, {1, 1}}, traits));
  EXPECT_FALSE(predictMatmul(size, {32, 32, {2, 1}}, traits));
  EXPECT_FALSE(predictMatmul(size, {96, 64, {1, 1}}, traits));
  EXPECT_TRUE(predictMatmul(size, {32, 32, {1, 1}}, traits));
  // What follows the product needs registers too.
  EXPECT_TRUE(predictMatmul(size, {256, 256, {2, 2}}, traits));
  size.hasLongEpilogue = true;
  EXPECT_FALSE(predictMatmul(size, {256, 256, {2, 2}}, traits));
  EXPECT_TRUE(predictMatmul(size, {128, 256, {2, 2}}, traits));
}

TEST_P(TileCost, TheModulesHardwareCounts) {
  Attribute tiles = builder.getArrayAttr({builder.getDenseI64ArrayAttr({0, 512, 0, 16, 64, 32, 2, 1})});
  (*module)->setAttr("primus.hardware",
                     builder.getDictionaryAttr({builder.getNamedAttr("matmul_tiles", tiles),
                                                builder.getNamedAttr("compute_units", builder.getI64IntegerAttr(1))}));
  kernel::TargetTraits traits = getTraits();
  MatmulTile stated = chooseMatmulTile(getSize(4096, 512, 4096), traits);
  EXPECT_EQ(stated.rows, 64);
  EXPECT_EQ(stated.columns, 32);
  EXPECT_EQ(stated.waves[0], 2);
  // Another product; one compute unit has no use for small tiles.
  MatmulTile other = chooseMatmulTile(getSize(512, 1024, 4096), traits);
  EXPECT_GE(other.rows * other.columns, 128 * 128);
}

INSTANTIATE_TEST_SUITE_P(, TileCost, testing::Values("gfx942", "gfx950"));
