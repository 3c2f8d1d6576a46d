//===- UnshardCallsTest.cpp - What the calls of `unshard` need ------------===//

#include "tests/passes/LayoutDifferential.h"

#include "passes/LayerFunction.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class UnshardCalls : public LayoutDifferential {
protected:
  /// A model with delayed scaling at phase fp8.
  OwningOpRef<ModuleOp> makeModule(const Mesh &mesh) {
    OwningOpRef<ModuleOp> module = build(kModels[0], mesh, {"BF16", Recompute::None, false, 0, "delayed"});
    EXPECT_TRUE(module && succeeded(runPhases(*module, *findPhase("model"), *findPhase("fp8")))) << messages;
    return module;
  }
  static graph::CallOp findUnshard(ModuleOp module, StringRef program) {
    graph::CallOp found;
    module.lookupSymbol<func::FuncOp>(program).walk([&](graph::CallOp call) {
      if (call.getInstance() == "layers.0" && StringRef(call.getCallee()).contains("unshard"))
        found = call;
    });
    return found;
  }
};

/// A weight is measured by what quantises it: the step's largest values begin with what its one call of `unshard` returns.
TEST_F(UnshardCalls, MeasuringIsPartOfThem) {
  OwningOpRef<ModuleOp> module = makeModule({});
  EXPECT_FALSE(module->lookupSymbol("block.forward.measure"));
  graph::CallOp call = findUnshard(*module, "train_step");
  ASSERT_TRUE(call);
  auto callee = module->lookupSymbol<func::FuncOp>(call.getCallee());
  EXPECT_EQ(getResultName(callee, callee.getNumResults() - 1), "fp8.amax");
  ASSERT_TRUE(call.getResults().back().hasOneUse());
  auto store = dyn_cast<graph::StoreOp>(*call.getResults().back().getUsers().begin());
  ASSERT_TRUE(store);
  EXPECT_EQ(store.getVariable(), "layers.0.fp8.amax");
  EXPECT_FALSE(store->getParentOfType<graph::ScheduleOp>());
  // Seven weights.
  unsigned measured = 0;
  callee.walk([&](graph::AmaxOp) { ++measured; });
  EXPECT_EQ(measured, 7u);

  // Evaluation does not measure.
  graph::CallOp evaluation = findUnshard(*module, "forward");
  ASSERT_TRUE(evaluation);
  module->lookupSymbol<func::FuncOp>(evaluation.getCallee()).walk([&](graph::AmaxOp) { ADD_FAILURE() << "weights are measured for nobody"; });
}

/// Where each microbatch gathers the weights, a step still measures them once.
TEST_F(UnshardCalls, WeightsThatAreGatheredOftenAreMeasuredApart) {
  OwningOpRef<ModuleOp> module = makeModule({1, 2, 1, 1, false, 3});
  graph::CallOp call = findUnshard(*module, "train_step");
  ASSERT_TRUE(call && call->getParentOfType<graph::ScheduleOp>());
  module->lookupSymbol<func::FuncOp>(call.getCallee()).walk([&](graph::AmaxOp) { ADD_FAILURE() << "weights are measured in each microbatch"; });
  auto measure = module->lookupSymbol<func::FuncOp>("block.forward.measure");
  ASSERT_TRUE(measure);
  for (graph::CallOp measuring : findCalls(measure))
    EXPECT_FALSE(measuring->getParentOfType<graph::ScheduleOp>());
}

} // namespace
