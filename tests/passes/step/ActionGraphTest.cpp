//===- ActionGraphTest.cpp - What must stay in order ----------------------===//

#include "passes/step/ActionGraph.h"
#include "tests/passes/step/StepBlocks.h"

using namespace primus;
using namespace primus::testing;

namespace {

using Indices = llvm::SmallVector<unsigned>;

const char kThree[] = "%a: memref<8xf32>, %b: memref<8xf32>, %c: memref<8xf32>";

TEST(ActionGraph, KeepsReadersAndWritersInOrder) {
  StepBlock block(kThree, R"(
step.launch @add(%a, %b) : memref<8xf32>, memref<8xf32>
step.launch @add(%b, %c) : memref<8xf32>, memref<8xf32>
step.launch @add(%a, %c) : memref<8xf32>, memref<8xf32>
step.fill %a : memref<8xf32>
step.launch @add(%b, %b) : memref<8xf32>, memref<8xf32>
)");
  const auto &actions = block.getGraph().actions;
  ASSERT_EQ(actions.size(), 5u);
  EXPECT_EQ(actions[0].before, Indices());
  // Reads what another wrote; writes what another wrote; writes what others read; both.
  EXPECT_EQ(actions[1].before, Indices({0}));
  EXPECT_EQ(actions[2].before, Indices({1}));
  EXPECT_EQ(actions[3].before, Indices({0, 2}));
  EXPECT_EQ(actions[4].before, Indices({0, 1}));
  EXPECT_EQ(actions[0].after, Indices({1, 3, 4}));
}

TEST(ActionGraph, PartsOfABufferAreApart) {
  StepBlock block(kThree, R"(
%first = step.view %a at 0 : memref<8xf32> -> memref<4xf32>
%second = step.view %a at 16 : memref<8xf32> -> memref<4xf32>
step.fill %first : memref<4xf32>
step.fill %second : memref<4xf32>
step.launch @add(%a, %b) : memref<8xf32>, memref<8xf32>
)");
  const auto &actions = block.getGraph().actions;
  ASSERT_EQ(actions.size(), 3u);
  EXPECT_EQ(actions[1].before, Indices());
  EXPECT_EQ(actions[2].before, Indices({0, 1}));
}

/// A gather belongs to what reads it first, a reduction to what it reduces; copies within a rank are no communication.
TEST(ActionGraph, CollectivesBelongToLayers) {
  StepBlock block(
      "%a: memref<8xf32>, %b: memref<8xf32>, %whole: memref<16xf32>, %part: memref<8xf32>, %x: memref<8xf32>", R"(
step.collective all_gather over ["fsdp"] %a to %whole dims [0] : memref<8xf32> to memref<16xf32>
step.launch @add(%b, %b) : memref<8xf32>, memref<8xf32>
step.loop 3 {
  step.launch @add(%x, %x) : memref<8xf32>, memref<8xf32>
  step.return
}
%view = step.view %whole at 0 : memref<16xf32> -> memref<8xf32>
step.launch @add(%view, %x) : memref<8xf32>, memref<8xf32>
step.collective all_reduce sum over ["tp"] %b to %b : memref<8xf32> to memref<8xf32>
step.collective block over ["fsdp"] %whole to %part dims [0] : memref<16xf32> to memref<8xf32>
)");
  const auto &actions = block.getGraph().actions;
  ASSERT_EQ(actions.size(), 6u);
  EXPECT_TRUE(actions[0].collective && actions[4].collective);
  EXPECT_FALSE(actions[5].collective);
  EXPECT_TRUE(actions[1].leadsToCollective);
  EXPECT_FALSE(actions[3].leadsToCollective);
  // Of the loop: what comes before, the loop, what follows.
  EXPECT_LT(actions[1].group, actions[2].group);
  EXPECT_LT(actions[2].group, actions[3].group);
  EXPECT_EQ(actions[0].group, actions[3].group);
  EXPECT_EQ(actions[4].group, actions[1].group);
  // The loop costs as much as its rounds; all communication as much as all computing.
  EXPECT_DOUBLE_EQ(actions[2].cost, 3 * actions[1].cost);
  double computing = actions[1].cost + actions[2].cost + actions[3].cost + actions[5].cost;
  EXPECT_NEAR(actions[0].cost + actions[4].cost, computing, 1e-9 * computing);
}

} // namespace
