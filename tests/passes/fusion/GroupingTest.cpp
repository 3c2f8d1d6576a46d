//===- GroupingTest.cpp - Which ops become one kernel ----------------------===//

#include "passes/fusion/Grouping.h"
#include "tests/ir/interpreter/Run.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class GroupingTest : public IrTest {
protected:
  func::FuncOp parseFunction(const std::string &text) {
    module = parse(text);
    return module ? module->lookupSymbol<func::FuncOp>("f") : func::FuncOp();
  }

  OwningOpRef<ModuleOp> module;
};

TEST_F(GroupingTest, ChainsAreOneKernel) {
  func::FuncOp f = parseFunction(R"(func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {graph.layer = {}} {
    %0 = graph.exp %x : tensor<4x8xf32>
    %1 = graph.mul %0, %y : tensor<4x8xf32>
    %2 = graph.tanh %1 : tensor<4x8xf32>
    return %2 : tensor<4x8xf32>
  })");
  ASSERT_TRUE(f);
  fusion::Grouping grouping(f);
  ASSERT_TRUE(succeeded(grouping.run())) << messages;
  SmallVector<fusion::Group> groups = grouping.getOrderedGroups();
  ASSERT_EQ(groups.size(), 1u);
  fusion::Kernel kernel = grouping.getKernel(groups[0]);
  EXPECT_EQ(kernel.ops.size(), 3u);
  EXPECT_EQ(kernel.inputs.size(), 2u);
  ASSERT_EQ(kernel.outputs.size(), 1u);
  EXPECT_TRUE(kernel.outputs[0].getDefiningOp<graph::TanhOp>());
  std::string reason;
  EXPECT_TRUE(grouping.findFamily(kernel, reason)) << reason;
}

TEST_F(GroupingTest, CollectivesStayAlone) {
  func::FuncOp f = parseFunction(R"(func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {graph.layer = {}} {
    %0 = graph.exp %x : tensor<4x8xf32>
    %1 = graph.all_reduce sum %0 over ["tp"] : tensor<4x8xf32> -> tensor<4x8xf32>
    %2 = graph.tanh %1 : tensor<4x8xf32>
    return %2 : tensor<4x8xf32>
  })");
  ASSERT_TRUE(f);
  fusion::Grouping grouping(f);
  ASSERT_TRUE(succeeded(grouping.run())) << messages;
  SmallVector<fusion::Group> groups = grouping.getOrderedGroups();
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_TRUE(fusion::isCollective(groups[1]));
  EXPECT_FALSE(fusion::isCollective(groups[0]));
}

TEST_F(GroupingTest, OpsWithoutAKernelAreErrors) {
  func::FuncOp f = parseFunction(R"(func.func @f(%x: tensor<4x8xf32>) -> tensor<4x4xf32> attributes {graph.layer = {}} {
    %0 = graph.matmul "ab,cb->ca" %x, %x : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x4xf32>
    return %0 : tensor<4x4xf32>
  })");
  ASSERT_TRUE(f);
  fusion::Grouping grouping(f);
  EXPECT_TRUE(failed(grouping.run()));
  EXPECT_NE(messages.find("has no kernel: "), std::string::npos) << messages;
}

} // namespace
