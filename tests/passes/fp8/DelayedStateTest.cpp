//===- DelayedStateTest.cpp - From largest values to scales ---------------===//
//
// What a step makes of the largest values that it has met, against TransformerEngine's formula (delayed scaling: the scale
// makes the largest value of the history the format's largest; it stays where there is none, or none that is finite).
//
//===----------------------------------------------------------------------===//

#include "tests/passes/LayoutDifferential.h"

using namespace mlir;
using namespace primus;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

class DelayedState : public LayoutDifferential {
protected:
  /// A model with delayed scaling at phase fp8, and the rescaling function of its layers.
  std::pair<OwningOpRef<ModuleOp>, func::FuncOp> makeModule() {
    OwningOpRef<ModuleOp> module = build(kModels[0], {}, {"BF16", Recompute::None, false, 0, "delayed"});
    EXPECT_TRUE(module && succeeded(runPhases(*module, *findPhase("model"), *findPhase("fp8")))) << messages;
    auto function = module->lookupSymbol<func::FuncOp>("block.forward.rescale");
    EXPECT_TRUE(function);
    return {std::move(module), function};
  }
};

TEST_F(DelayedState, ScalesFollowFromTheHistory) {
  auto [module, function] = makeModule();
  ASSERT_TRUE(function);
  auto table = cast<RankedTensorType>(function.getArgumentTypes()[1]);
  int64_t steps = table.getDimSize(0), count = table.getDimSize(1);
  ASSERT_EQ(steps, 3);
  // Seven weights, four inputs, seven gradients: of the residual stream twice, the hidden values twice, q, k and v.
  ASSERT_EQ(count, 18);
  const double nan = std::nan(""), inf = INFINITY;
  const std::vector<double> met = {1.5, 0, nan, inf, 3e-39, 3.0e38, 7, 0.25, 1e-6};
  std::vector<double> amax, history, scale;
  for (int64_t slot = 0; slot < count; ++slot) {
    amax.push_back(float(met[slot % met.size()]));
    scale.push_back(float(slot + 1));
  }
  for (int64_t row = 0; row < steps; ++row)
    for (int64_t slot = 0; slot < count; ++slot)
      history.push_back(slot % 3 == 0 ? 0 : float(row * 0.5 + slot * 0.125));
  auto rescale = [&](double norm) {
    return Interpreter(*module, Mode::Faithful)
        .run(function.getName(), {tensor({count}, amax), tensor({steps, count}, history), tensor({count}, scale), tensor({}, {norm})});
  };
  // A step without a norm is skipped.
  auto results = rescale(nan);
  ASSERT_TRUE(succeeded(results)) << messages;
  EXPECT_EQ((*results)[0].values, history);
  EXPECT_EQ((*results)[1].values, scale);
  results = rescale(1.25);
  ASSERT_TRUE(succeeded(results)) << messages;
  const std::vector<double> &nextHistory = (*results)[0].values, &nextScale = (*results)[1].values;
  int64_t narrow = 0, wide = 0;
  for (int64_t slot = 0; slot < count; ++slot) {
    float first = std::isfinite(amax[slot]) ? amax[slot] : 0;
    EXPECT_EQ(nextHistory[slot], first) << slot;
    float largest = first;
    for (int64_t row = 1; row < steps; ++row) {
      float value = history[(row - 1) * count + slot];
      EXPECT_EQ(nextHistory[row * count + slot], value) << slot;
      largest = std::max(largest, value);
    }
    float e4m3 = 448 / largest, e5m2 = 57344 / largest;
    if (largest == 0 || std::isinf(e4m3) || std::isinf(e5m2)) {
      EXPECT_EQ(nextScale[slot], scale[slot]) << slot;
      continue;
    }
    narrow += nextScale[slot] == e4m3;
    wide += nextScale[slot] == e5m2;
    EXPECT_TRUE(nextScale[slot] == e4m3 || nextScale[slot] == e5m2) << slot << ": " << nextScale[slot] << " for " << largest;
  }
  EXPECT_GE(narrow, 5);
  EXPECT_GE(wide, 3);
}

/// Evaluation uses the scales, and changes none.
TEST_F(DelayedState, EvaluationChangesNothing) {
  auto [module, function] = makeModule();
  ASSERT_TRUE(function);
  std::vector<std::string> stored;
  module->lookupSymbol<func::FuncOp>("forward").walk([&](graph::StoreOp store) { stored.push_back(store.getVariable().str()); });
  EXPECT_EQ(stored, std::vector<std::string>());
  Interpreter interpreter(*module, Mode::Faithful);
  ASSERT_TRUE(succeeded(interpreter.initializeVariables(/*seed=*/3)));
  std::vector<Tensor> inputs = makeInputs(*Plan::get(*module), {});
  auto evaluate = [&](double scale) {
    auto name = "layers.0.fp8.scale";
    Tensor value = *interpreter.getVariable(name);
    llvm::fill(value.values, scale);
    EXPECT_TRUE(succeeded(interpreter.setVariable(name, value)));
    std::vector<Tensor> first;
    for (int stream : {0, 1}) {
      int64_t size = inputs[stream].shape[1] * kTokens;
      first.push_back(tensor({inputs[stream].shape[1], kTokens}, {inputs[stream].values.begin(), inputs[stream].values.begin() + size},
                             inputs[stream].elementType));
    }
    auto results = interpreter.run("forward", first);
    EXPECT_TRUE(succeeded(results)) << messages;
    return succeeded(results) ? (*results)[0].values[0] : 0;
  };
  double fine = evaluate(16), coarse = evaluate(1.0 / 1024);
  EXPECT_EQ(evaluate(16), fine);
  EXPECT_NE(coarse, fine);
}

} // namespace
