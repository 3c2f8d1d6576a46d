//===- Fp8LayoutsTest.cpp - Quantised products in every layout ------------===//
//
// In exact mode a quantised tensor stands for what it is made of, so that no recipe changes what a step computes in any
// layout. In faithful mode scales are those of one rank that has the same sequences.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/LayoutDifferential.h"

#include "passes/LayerFunction.h"

#include <set>

using namespace mlir;
using namespace primus;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

constexpr const char *kRecipes[] = {"tensorwise", "rowwise", "blockwise", "mxfp8", "delayed"};

/// From a number of e5m2 to the next, at most. Where ranks add in another order, some numbers are rounded to another one.
constexpr double kStep = 0.25;

/// Sequence parallelism, each stage of ZeRO, rings, and all of them together.
constexpr Mesh kMeshes[] = {{1, 1, 1, 2, true},      {2, 1, 2, 1, false, 2},      {1, 2, 1, 2, true, 3}, {1, 2, 2, 2, true, 1},
                            {2, 1, 1, 4, true},      {1, 2, 3, 1, false, 2, true}, {1, 4, 1, 1, false, 3}};

class Fp8Layouts : public LayoutDifferential {
protected:
  using Values = std::vector<std::vector<double>>;

  /// What a faithful run computes for tensors whose names end with `suffix`: their elements, each time, rank after rank.
  std::map<std::string, Values> record(const Mesh &mesh, const Variant &variant, StringRef phase, StringRef suffix, StepResult &step) {
    std::map<std::string, Values> recorded;
    OwningOpRef<ModuleOp> module = build(kModels[0], mesh, variant);
    if (!module || failed(runPhases(*module, *findPhase("model"), *findPhase(phase)))) {
      ADD_FAILURE() << messages;
      return recorded;
    }
    Plan plan = *Plan::get(*module);
    Interpreter interpreter(*module, Mode::Faithful);
    EXPECT_TRUE(succeeded(interpreter.initializeVariables(/*seed=*/3))) << messages;
    interpreter.setObserver([&](Operation *op, ArrayRef<TensorRef>, MutableArrayRef<TensorRef> results) {
      if (!isa<graph::DivOp>(op))
        return;
      if (StringRef name = getValueName(op->getResult(0)); name.ends_with(suffix))
        recorded[name.str()].push_back(results[0]->values);
    });
    FailureOr<StepResult> ran = runStep(interpreter, *module, plan, mesh);
    EXPECT_TRUE(succeeded(ran)) << messages;
    if (succeeded(ran))
      step = *ran;
    return recorded;
  }

  static Variant makeVariant(const std::string &recipe, int64_t micro = 0, Recompute recompute = Recompute::None) {
    return {"BF16", recompute, false, micro, recipe};
  }
};

TEST_F(Fp8Layouts, NoRecipeChangesAStepInExactMode) {
  StepResult plain = run(kModels[0], {}, "train", {"BF16"});
  constexpr Recompute recomputes[] = {Recompute::Selective, Recompute::None, Recompute::Full};
  for (auto [number, recipe] : llvm::enumerate(kRecipes))
    for (auto [index, mesh] : llvm::enumerate(kMeshes)) {
      // A sample: each recipe in half of the meshes.
      if ((index + number) % 2)
        continue;
      SCOPED_TRACE(std::string(recipe) + " " + mesh.describe());
      auto [error, where] = compare(run(kModels[0], mesh, "placed", makeVariant(recipe, 0, recomputes[(index / 2 + number) % 3])), plain);
      EXPECT_LT(error, 1e-9) << where;
      messages.clear();
    }
}

/// The first layer computes again, the second does not: two functions that share parameters.
TEST_F(Fp8Layouts, TwinsOfLayersAgree) {
  StepResult plain = run(kModels[0], {}, "train", {"BF16"});
  for (const char *recipe : kRecipes) {
    SCOPED_TRACE(recipe);
    constexpr Mesh mesh = {1, 2, 1, 2, true, 3};
    OwningOpRef<ModuleOp> module = build(kModels[0], mesh, makeVariant(recipe, 0, Recompute::Full));
    ASSERT_TRUE(module);
    Plan plan = *Plan::get(*module);
    plan.recomputeLayers = 1;
    plan.set(*module);
    ASSERT_TRUE(succeeded(runPhases(*module, *findPhase("model"), *findPhase("placed")))) << messages;
    FailureOr<StepResult> step = runStep(*module, mesh);
    ASSERT_TRUE(succeeded(step)) << messages;
    auto [error, where] = compare(*step, plain);
    EXPECT_LT(error, 1e-9) << where;
  }
}

/// A scale of a data rank is that of one rank with the same sequences, whatever shares them; no two data ranks share one. To
/// the last bit where the operand is the same to the last bit: what goes into the first layer, and the weights, and everything
/// where no ranks share sequences.
TEST_F(Fp8Layouts, ScalesReachAsFarAsTheirScope) {
  constexpr int64_t micro = 2, microbatches = kSequences / micro;
  StepResult one;
  std::map<std::string, Values> expected = record({}, makeVariant("tensorwise", micro), "fp8", ".factor", one);
  ASSERT_GE(expected.size(), 15u);
  for (const Mesh &mesh : {Mesh{2, 1, 1, 1}, Mesh{1, 2, 1, 1, false, 3}, Mesh{1, 1, 2, 1}, Mesh{1, 1, 1, 2, true}, Mesh{1, 2, 2, 1, false, 2, true},
                           Mesh{2, 1, 1, 4, false, 0}, Mesh{1, 2, 1, 2, true, 3}}) {
    SCOPED_TRACE(mesh.describe());
    StepResult step;
    std::map<std::string, Values> actual = record(mesh, makeVariant("tensorwise", micro), "placed", ".factor", step);
    EXPECT_NEAR(step.loss, one.loss, 2e-3 * one.loss);
    EXPECT_NEAR(step.gradNorm, one.gradNorm, 3e-2 * one.gradNorm);
    ASSERT_EQ(actual.size(), expected.size());
    int64_t ranks = mesh.getRanks(), data = mesh.getDataRanks(), perData = ranks / data;
    bool differ = false;
    for (const auto &[name, values] : actual) {
      const Values &whole = expected.at(name);
      if (StringRef(name).contains(".weight.")) {
        // However often it is computed.
        EXPECT_EQ(std::set(values.begin(), values.end()), std::set(whole.begin(), whole.end())) << name;
        continue;
      }
      ASSERT_EQ(values.size() * data, whole.size() * ranks) << name;
      int64_t calls = values.size() / ranks;
      for (int64_t call = 0; call < calls; ++call)
        for (int64_t rank = 0; rank < ranks; ++rank) {
          // A microbatch of a data rank is a microbatch of one rank; the layers' forward and backward functions follow each other
          // within.
          int64_t inMicrobatch = whole.size() / microbatches, place = call % inMicrobatch;
          int64_t microbatch = call / inMicrobatch * data + rank / perData;
          double factor = values[call * ranks + rank][0], other = whole[microbatch * inMicrobatch + place][0];
          bool isEqual = perData == 1 || (name == "attention_norm.factor" && place == 0);
          EXPECT_NEAR(factor, other, isEqual ? 0 : kStep * other) << name << " rank " << rank << " call " << call;
          differ |= name == "attention_norm.factor" && factor != values[call * ranks][0];
        }
    }
    EXPECT_EQ(differ, data > 1);
  }
}

/// All ranks share the state of delayed scaling, which is that of one rank; it is found by one reduction a step.
TEST_F(Fp8Layouts, StateIsThatOfOneRank) {
  StepResult one;
  (void)record({}, makeVariant("delayed"), "fp8", ".factor", one);
  const std::vector<double> &expected = one.variables["layers.0.fp8.history"];
  ASSERT_FALSE(expected.empty());
  for (const Mesh &mesh : {Mesh{2, 2, 1, 2, true, 1}, Mesh{1, 2, 2, 1, false, 3}, Mesh{1, 2, 1, 2, false, 2}}) {
    SCOPED_TRACE(mesh.describe());
    StepResult step;
    (void)record(mesh, makeVariant("delayed"), "placed", ".factor", step);
    EXPECT_NEAR(step.loss, one.loss, 2e-3 * one.loss);
    const std::vector<double> &history = step.variables["layers.0.fp8.history"];
    ASSERT_EQ(history.size(), expected.size());
    unsigned equal = 0;
    for (auto [a, b] : llvm::zip_equal(history, expected)) {
      EXPECT_NEAR(a, b, kStep * b);
      equal += a == b && b != 0;
    }
    // What goes into the first layer, and seven weights.
    EXPECT_GE(equal, 8u);
  }
}

/// Where values of a rank are moved to others: within layers' functions, or between their calls.
TEST_F(Fp8Layouts, DelayedScalingReducesOnceAStep) {
  OwningOpRef<ModuleOp> module = build(kModels[0], {2, 2, 1, 2, true, 1}, makeVariant("delayed"));
  ASSERT_TRUE(module && succeeded(runPhases(*module, *findPhase("model"), *findPhase("placed")))) << messages;
  SmallVector<std::string> places;
  module->walk([&](graph::AllReduceOp op) {
    if (op.getKind() == graph::ReduceKind::Max)
      places.push_back(op->getParentOfType<func::FuncOp>().getName().str());
  });
  EXPECT_EQ(places, SmallVector<std::string>{"fp8.maxima.0"});
  module->walk([&](graph::CollectiveOpInterface op) {
    StringRef name = getValueName(op->getResult(0));
    EXPECT_FALSE(name.contains("amax") && !isa<graph::AllReduceOp>(op.getOperation())) << name.str();
  });
  unsigned calls = 0;
  module->lookupSymbol<func::FuncOp>("train_step").walk([&](graph::CallOp call) { calls += call.getCallee() == "fp8.maxima.0"; });
  EXPECT_EQ(calls, 1u);
}

/// The bytes that ranks get of a layer's weights when they share them, and what they would get in bf16.
TEST_F(Fp8Layouts, WeightsAreGatheredInEightBits) {
  for (const char *recipe : kRecipes) {
    SCOPED_TRACE(recipe);
    OwningOpRef<ModuleOp> module = build(kModels[0], {1, 2, 1, 1, false, 3}, makeVariant(recipe));
    ASSERT_TRUE(module && succeeded(runPhases(*module, *findPhase("model"), *findPhase("placed")))) << messages;
    int64_t bytes = 0, narrow = 0, weights = 0;
    std::set<StringRef> callees;
    module->lookupSymbol<func::FuncOp>("train_step").walk([&](graph::CallOp call) {
      if (call.getInstance() != "layers.0" || !StringRef(call.getCallee()).contains("unshard") || !callees.insert(call.getCallee()).second)
        return;
      module->lookupSymbol<func::FuncOp>(call.getCallee()).walk([&](graph::AllGatherOp gather) {
        auto type = cast<RankedTensorType>(gather.getType());
        if (type.getRank() != 2)
          return;
        bytes += type.getNumElements() * type.getElementTypeBitWidth() / 8;
        narrow += type.getElementTypeBitWidth() == 8 && type.getNumElements() >= 16 * 16;
      });
    });
    // q, k, v, output, gate, up, down.
    weights = 4 * 32 * 16 + 3 * 40 * 16;
    bool hasTwoCopies = StringRef(recipe) == "rowwise" || StringRef(recipe) == "mxfp8";
    // Each in a function of its own, of which the forward and the backward pass call one.
    EXPECT_EQ(callees.size(), hasTwoCopies ? 2u : 1u);
    EXPECT_EQ(narrow, hasTwoCopies ? 14 : 7);
    EXPECT_GE(bytes, weights * (hasTwoCopies ? 2 : 1));
    EXPECT_LT(bytes, weights * (hasTwoCopies ? 2 : 1) * 3 / 2);
  }
}

} // namespace
