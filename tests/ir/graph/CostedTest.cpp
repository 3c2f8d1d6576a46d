//===- CostedTest.cpp - Cost models of ops --------------------------------===//

#include "OpHarness.h"

using namespace mlir;
using namespace primus::graph;
using namespace primus::testing;

namespace {

class CostedTest : public OpHarness {
protected:
  void expectCost(const OpCase &opCase, int64_t flops, int64_t bytes) {
    OwningOpRef<ModuleOp> module = build(opCase);
    Cost cost = cast<Costed>(getOp(*module)).getCost();
    EXPECT_EQ(cost.flops, flops) << opCase.name;
    EXPECT_EQ(cost.bytes, bytes) << opCase.name;
  }
};

TEST_F(CostedTest, Elementwise) {
  expectCost({"add", "%x: tensor<4x8xbf16>, %y: tensor<4x8xbf16>", "graph.add %x, %y : tensor<4x8xbf16>",
              "tensor<4x8xbf16>"},
             32, 3 * 64);
}

TEST_F(CostedTest, ReshapeMovesNothing) {
  expectCost({"reshape", "%x: tensor<4x8xf32>", "graph.reshape %x : tensor<4x8xf32> -> tensor<32xf32>",
              "tensor<32xf32>"},
             0, 0);
}

TEST_F(CostedTest, SliceAndGatherReadOnlyWhatTheyTake) {
  expectCost({"slice", "%x: tensor<100x8xf32>", "graph.slice %x at [3, 0] : tensor<100x8xf32> -> tensor<2x8xf32>",
              "tensor<2x8xf32>"},
             0, 2 * 64);
  expectCost({"gather", "%t: tensor<100x8xf32>, %i: tensor<2xi32>",
              "graph.gather %t, %i : (tensor<100x8xf32>, tensor<2xi32>) -> tensor<2x8xf32>", "tensor<2x8xf32>"},
             0, 2 * 64 + 8);
}

TEST_F(CostedTest, MatmulCountsTwoPerMultiplyAdd) {
  expectCost({"matmul", "%x: tensor<2x3x4xbf16>, %w: tensor<5x4xbf16>",
              "graph.matmul \"bsh,fh->bsf\" %x, %w : (tensor<2x3x4xbf16>, tensor<5x4xbf16>) -> tensor<2x3x5xf32>",
              "tensor<2x3x5xf32>"},
             2 * 2 * 3 * 4 * 5, 2 * 24 + 2 * 20 + 4 * 30);
}

TEST_F(CostedTest, AttentionCountsVisiblePairs) {
  auto expectFlops = [&](const char *attributes, int64_t pairs) {
    std::string op = std::string("graph.attention %q, %k, %v scale 0.5 ") + attributes +
                     " : tensor<2x8x4x6xbf16>, tensor<2x8x2x6xbf16> -> tensor<2x4x8xf32>";
    expectCost({attributes, "%q: tensor<2x8x4x6xbf16>, %k: tensor<2x8x2x6xbf16>, %v: tensor<2x8x2x6xbf16>", op.c_str(),
                "tensor<2x8x4x6xbf16>, tensor<2x4x8xf32>"},
               2 * 4 * pairs * 6 * 4, 2 * (2 * 384 + 2 * 192) + 4 * 64);
  };
  expectFlops("", 8 * 8);
  expectFlops("{causal}", 8 * 8 / 2);
  expectFlops("{causal, window = 2 : i64}", 8 * 2);
}

TEST_F(CostedTest, CrossEntropyDoesNotCountPadding) {
  expectCost({"cross_entropy", "%x: tensor<4x6xf32>, %w: tensor<8x6xf32>, %l: tensor<4xi32>",
              "graph.cross_entropy %x, %w, %l vocabulary 7 : (tensor<4x6xf32>, tensor<8x6xf32>, tensor<4xi32>) -> "
              "(tensor<f32>, tensor<f32>, tensor<4xf32>)",
              "tensor<f32>, tensor<f32>, tensor<4xf32>"},
             2 * 4 * 6 * 7, 4 * (24 + 48 + 4 + 1 + 1 + 4));
}

} // namespace
