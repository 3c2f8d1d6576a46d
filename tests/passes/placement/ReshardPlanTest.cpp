//===- ReshardPlanTest.cpp - From one layout to another -------------------===//

#include "passes/placement/ReshardPlan.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <random>

using namespace mlir;
using namespace primus;
using namespace primus::placement;

namespace {

class ReshardPlanTest : public ::testing::Test {
protected:
  ReshardPlanTest() {
    context.loadDialect<graph::GraphDialect>();
    SmallVector<StringAttr> names = {axis("dp"), axis("fsdp"), axis("cp"), axis("tp")};
    mesh = graph::MeshAttr::get(&context, names, {2, 2, 2, 2});
  }

  StringAttr axis(StringRef name) { return StringAttr::get(&context, name); }
  Layout layout(std::vector<std::vector<const char *>> dims, std::vector<const char *> partial = {}) {
    Layout result;
    for (const auto &list : dims) {
      result.dims.emplace_back();
      for (const char *name : list)
        result.dims.back().push_back(axis(name));
    }
    for (const char *name : partial)
      result.partial.push_back(axis(name));
    return result;
  }

  static std::string describe(const ReshardStep &step) {
    static constexpr const char *names[] = {"all_reduce", "reduce_scatter", "all_gather", "all_to_all", "block", "divide"};
    std::string text = std::string(names[step.kind]) + " " + placement::describe(step.axes);
    if (step.dim >= 0)
      text += " dim " + std::to_string(step.dim);
    if (step.concatDim >= 0)
      text += " concat " + std::to_string(step.concatDim);
    return text;
  }

  std::string plan(const Layout &from, const Layout &to) {
    std::string text;
    for (const ReshardStep &step : planReshard(from, to, mesh))
      text += (text.empty() ? "" : "; ") + describe(step);
    return text;
  }

  MLIRContext context;
  graph::MeshAttr mesh;
};

TEST_F(ReshardPlanTest, CheapestCollective) {
  EXPECT_EQ(plan(layout({{"cp"}}), layout({{"cp"}})), "");
  EXPECT_EQ(plan(layout({{}}, {"tp"}), layout({{}})), "all_reduce tp");
  EXPECT_EQ(plan(layout({{"cp"}}, {"tp"}), layout({{"cp", "tp"}})), "reduce_scatter tp dim 0");
  EXPECT_EQ(plan(layout({{"cp", "tp"}}), layout({{"cp"}})), "all_gather tp dim 0");
  EXPECT_EQ(plan(layout({{}, {}}), layout({{}, {"tp"}})), "block tp dim 1");
  EXPECT_EQ(plan(layout({{"cp"}, {}}), layout({{}, {"cp"}})), "all_to_all cp dim 1 concat 0");
  EXPECT_EQ(plan(layout({{}}), layout({{}}, {"dp", "tp"})), "divide (dp, tp)");
}

TEST_F(ReshardPlanTest, SmallerFirst) {
  // ZeRO: what a rank does not keep need not be summed over the replicas.
  EXPECT_EQ(plan(layout({{"tp"}, {}}, {"dp", "fsdp", "cp"}), layout({{"tp", "fsdp", "cp"}, {}})),
            "reduce_scatter (fsdp, cp) dim 0; all_reduce dp");
  // ... but it can stay pending over them.
  EXPECT_EQ(plan(layout({{}, {}}, {"dp", "fsdp"}), layout({{"fsdp"}, {}}, {"dp"})), "reduce_scatter fsdp dim 0");
  // A block that is free, a block of a sum.
  EXPECT_EQ(plan(layout({{}}, {"tp"}), layout({{"cp", "tp"}})), "block cp dim 0; reduce_scatter tp dim 0");
  EXPECT_EQ(plan(layout({{"cp"}, {"tp"}}, {"dp"}), layout({{}, {"tp"}})), "all_reduce dp; all_gather cp dim 0");
  // Another order of the axes: no shortcut.
  EXPECT_EQ(plan(layout({{"cp", "tp"}}), layout({{"tp", "cp"}})), "all_gather (cp, tp) dim 0; block (tp, cp) dim 0");
}

/// Each step is one that its collective can do, and the last one leaves the layout that is wanted.
TEST_F(ReshardPlanTest, AnyToAny) {
  std::mt19937 random(7);
  auto draw = [&](bool partial) {
    Layout result(3);
    SmallVector<StringAttr> axes(mesh.getNames());
    std::shuffle(axes.begin(), axes.end(), random);
    for (StringAttr name : axes) {
      unsigned place = random() % 5;
      if (place < 3)
        result.dims[place].push_back(name);
      else if (place == 3 && partial)
        result.partial.push_back(name);
    }
    result.partial = sortAxes(mesh, result.partial);
    return result;
  };
  for (int round = 0; round < 2000; ++round) {
    Layout now = draw(true), to = draw(true), from = now;
    SmallVector<ReshardStep> steps = planReshard(from, to, mesh);
    for (const ReshardStep &step : steps) {
      SCOPED_TRACE(from.describe() + " to " + to.describe() + ": " + describe(step));
      bool pending = step.kind == ReshardStep::AllReduce || step.kind == ReshardStep::ReduceScatter;
      for (StringAttr name : step.axes) {
        if (pending) {
          ASSERT_TRUE(llvm::is_contained(now.partial, name));
          llvm::erase(now.partial, name);
        } else if (step.kind == ReshardStep::Block || step.kind == ReshardStep::Divide) {
          ASSERT_FALSE(now.splits(name) || llvm::is_contained(now.partial, name));
        }
      }
      int64_t loses = step.kind == ReshardStep::AllGather ? step.dim : step.concatDim;
      if (loses >= 0) {
        ASSERT_TRUE(ArrayRef(now.dims[loses]).take_back(step.axes.size()) == ArrayRef(step.axes));
        now.dims[loses].pop_back_n(step.axes.size());
      }
      if (step.kind == ReshardStep::ReduceScatter || step.kind == ReshardStep::Block || step.kind == ReshardStep::AllToAll)
        llvm::append_range(now.dims[step.dim], step.axes);
      if (step.kind == ReshardStep::Divide) {
        llvm::append_range(now.partial, step.axes);
        now.partial = sortAxes(mesh, now.partial);
      }
      ASSERT_TRUE(now == step.after);
    }
    ASSERT_TRUE(now == to) << from.describe() << " to " << to.describe();
    EXPECT_LE(steps.size(), 10u);
  }
}

} // namespace
