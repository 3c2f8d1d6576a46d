//===- PhaseDifferentialTest.cpp - Phases judged by the interpreter -------===//
//
// Whole models: the gradients of the step against finite differences of the loss, and each phase against the one
// before.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Pipeline.h"
#include "passes/Plan.h"
#include "tests/ir/interpreter/Run.h"

#include "llvm/Support/MemoryBuffer.h"

#include <map>

using namespace mlir;
using namespace primus;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

constexpr double kLearningRate = 0.01, kCorrection1 = 0.1, kCorrection2 = 0.05;

/// What one training step computes.
struct StepResult {
  double loss = 0, gradNorm = 0;
  /// Variables after the step.
  std::map<std::string, std::vector<double>> variables;
};

class PhaseDifferential : public IrTest {
protected:
  static std::string readInput(const std::string &name) {
    auto buffer = llvm::MemoryBuffer::getFile(PRIMUS_SOURCE_DIR "/tests/passes/Inputs/" + name + ".mlir");
    EXPECT_TRUE(buffer) << name;
    return buffer ? (*buffer)->getBuffer().str() : "";
  }

  OwningOpRef<ModuleOp> parseModel(const std::string &text, llvm::function_ref<void(Plan &)> change = {}) {
    OwningOpRef<ModuleOp> module = parse(text);
    if (!module || !change)
      return module;
    FailureOr<Plan> plan = Plan::get(*module);
    EXPECT_TRUE(succeeded(plan)) << messages;
    change(*plan);
    plan->set(*module);
    return module;
  }

  /// Runs the phases up to `phase`. The test fails if one does.
  void advance(ModuleOp module, StringRef phase) {
    ASSERT_TRUE(succeeded(runPhases(module, *findPhase("model"), *findPhase(phase)))) << messages;
    ASSERT_TRUE(succeeded(verify(module))) << messages;
  }

  /// Random tokens below 10, and labels of which some are ignored, for all microbatches: [sequences, tokens].
  std::vector<Tensor> makeInputs(int64_t sequences, int64_t tokens) {
    std::vector<Tensor> inputs;
    Type i32 = IntegerType::get(&context, 32);
    for (uint64_t stream : {1, 2}) {
      std::vector<double> values;
      for (int64_t index = 0; index < sequences * tokens; ++index) {
        double value = std::floor(std::abs(runtime::standardNormal(/*seed=*/5, stream, index)) * 4);
        values.push_back(stream == 2 && index % 7 == 3 ? -1 : std::min(value, 9.0));
      }
      inputs.push_back(tensor({sequences, tokens}, std::move(values), i32));
    }
    return inputs;
  }

  std::vector<Tensor> makeInputs(const Plan &plan) {
    return makeInputs(plan.microbatches * plan.microBatchSize, plan.sequenceLength);
  }

  /// One microbatch of inputs for all.
  Tensor slice(const Tensor &all, int64_t index, const Plan &plan) {
    int64_t count = plan.microBatchSize * plan.sequenceLength;
    auto begin = all.values.begin() + index * count;
    std::vector<double> values(begin, begin + count);
    return tensor({plan.microBatchSize, plan.sequenceLength}, std::move(values), all.elementType);
  }

  /// The loss of all microbatches by the program @forward.
  double evaluateLoss(Interpreter &interpreter, const std::vector<Tensor> &inputs, const Plan &plan) {
    double sum = 0, valid = 0;
    for (int64_t index = 0; index < plan.microbatches; ++index) {
      auto results = interpreter.run("forward", {slice(inputs[0], index, plan), slice(inputs[1], index, plan)});
      EXPECT_TRUE(succeeded(results)) << messages;
      if (failed(results))
        return NAN;
      double loss = (*results)[0].values[0], count = (*results)[1].values[0];
      sum += plan.perMicrobatchMean ? loss / count : loss;
      valid += plan.perMicrobatchMean ? 1 : count;
    }
    return sum / valid;
  }

  /// Runs one training step from the first values of the variables.
  StepResult runStep(ModuleOp module) {
    Interpreter interpreter(module);
    FailureOr<Plan> plan = Plan::get(module);
    EXPECT_TRUE(succeeded(plan) && succeeded(interpreter.initializeVariables(/*seed=*/3))) << messages;
    std::vector<Tensor> inputs = makeInputs(*plan);
    for (Tensor &input : inputs)
      input.shape = {plan->microbatches, plan->microBatchSize, plan->sequenceLength};
    for (double scalar : {kLearningRate, kCorrection1, kCorrection2})
      inputs.push_back(tensor({}, {scalar}));
    auto results = interpreter.run("train_step", inputs);
    EXPECT_TRUE(succeeded(results)) << messages;
    StepResult step;
    if (failed(results))
      return step;
    step.loss = (*results)[0].values[0];
    step.gradNorm = (*results)[1].values[0];
    // Accumulators hold sums over tokens, or of the means of microbatches.
    double count = plan->perMicrobatchMean ? plan->microbatches
                                           : llvm::count_if(inputs[1].values, [](double label) { return label >= 0; });
    for (auto variable : module.getOps<graph::VariableOp>()) {
      std::vector<double> &values = step.variables[variable.getSymName().str()];
      values = interpreter.getVariable(variable.getSymName())->values;
      if (variable.getRole() == graph::Role::Gradient)
        for (double &value : values)
          value /= count;
    }
    return step;
  }

  StepResult compileAndRun(const std::string &text, StringRef phase, llvm::function_ref<void(Plan &)> change = {}) {
    OwningOpRef<ModuleOp> module = parseModel(text, change);
    advance(*module, phase);
    return HasFatalFailure() ? StepResult() : runStep(*module);
  }

  static void expectEqual(const StepResult &actual, const StepResult &expected, double tolerance) {
    EXPECT_GT(expected.gradNorm, 0);
    EXPECT_NEAR(actual.loss, expected.loss, tolerance * expected.loss);
    EXPECT_NEAR(actual.gradNorm, expected.gradNorm, tolerance * expected.gradNorm);
    ASSERT_EQ(actual.variables.size(), expected.variables.size());
    for (const auto &[name, values] : expected.variables) {
      ASSERT_TRUE(actual.variables.count(name)) << name;
      EXPECT_LE(relativeError(actual.variables.at(name), values), tolerance) << name;
    }
  }
};

class PhaseDifferentialOfModel : public PhaseDifferential, public ::testing::WithParamInterface<const char *> {
protected:
  std::string text = readInput(GetParam());
};

/// Central differences along one random direction per variable: a wrong element of any gradient shows.
TEST_P(PhaseDifferentialOfModel, GradientsAreDerivativesOfTheLoss) {
  OwningOpRef<ModuleOp> model = parseModel(text);
  ASSERT_TRUE(model);
  StepResult step = compileAndRun(text, "train");
  ASSERT_FALSE(HasFailure());
  Plan plan = *Plan::get(*model);
  Interpreter interpreter(*model);
  ASSERT_TRUE(succeeded(interpreter.initializeVariables(/*seed=*/3))) << messages;
  std::vector<Tensor> inputs = makeInputs(plan);
  EXPECT_NEAR(step.loss, evaluateLoss(interpreter, inputs, plan), 1e-12 * step.loss);

  double sumOfSquares = 0;
  uint64_t stream = 100;
  for (auto variable : model->getOps<graph::VariableOp>()) {
    if (variable.getRole() != graph::Role::Parameter)
      continue;
    std::string name = variable.getSymName().str();
    ASSERT_TRUE(step.variables.count(name + ".grad")) << name;
    const std::vector<double> &gradient = step.variables[name + ".grad"];
    const Tensor original = *interpreter.getVariable(name);
    Tensor direction = random(original.shape, stream++);
    double squares = 0;
    for (double value : direction.values)
      squares += value * value;
    for (double &value : direction.values)
      value /= std::sqrt(squares);
    double expected = std::inner_product(gradient.begin(), gradient.end(), direction.values.begin(), 0.0);

    constexpr double h = 1e-3;
    auto lossAt = [&](double distance) {
      Tensor moved = original;
      for (auto [value, change] : llvm::zip(moved.values, direction.values))
        value += distance * change;
      EXPECT_TRUE(succeeded(interpreter.setVariable(name, moved)));
      return evaluateLoss(interpreter, inputs, plan);
    };
    double numeric = (8 * (lossAt(h) - lossAt(-h)) - (lossAt(2 * h) - lossAt(-2 * h))) / (12 * h);
    EXPECT_TRUE(succeeded(interpreter.setVariable(name, original)));
    EXPECT_GT(maxNorm(gradient), 1e-6) << name;
    EXPECT_NEAR(numeric, expected, 1e-6 * std::max(std::abs(expected), maxNorm(gradient))) << name;
    for (double value : gradient)
      sumOfSquares += value * value;
  }
  // Each parameter counts once, however many layers use it.
  EXPECT_NEAR(step.gradNorm, std::sqrt(sumOfSquares), 1e-12 * step.gradNorm);
}

/// The update by the formula of AdamW, with the clipping coefficient and weight decay that each parameter should get.
TEST_P(PhaseDifferentialOfModel, UpdatesParameters) {
  OwningOpRef<ModuleOp> model = parseModel(text);
  ASSERT_TRUE(model);
  StepResult step = compileAndRun(text, "train");
  ASSERT_FALSE(HasFailure());
  Plan plan = *Plan::get(*model);
  Interpreter interpreter(*model);
  ASSERT_TRUE(succeeded(interpreter.initializeVariables(/*seed=*/3))) << messages;
  double scale = plan.clip > 0 ? std::min(1.0, plan.clip / (step.gradNorm + 1e-6)) : 1;
  for (auto variable : model->getOps<graph::VariableOp>()) {
    if (variable.getRole() != graph::Role::Parameter)
      continue;
    std::string name = variable.getSymName().str();
    const std::vector<double> before = interpreter.getVariable(name)->values;
    std::vector<double> expected;
    for (auto [parameter, gradient] : llvm::zip_equal(before, step.variables[name + ".grad"])) {
      double g = gradient * scale, m = (1 - plan.beta1) * g, v = (1 - plan.beta2) * g * g;
      double decay = variable.getDecay() ? plan.weightDecay : 0;
      expected.push_back(parameter - kLearningRate * (m / kCorrection1 / (std::sqrt(v / kCorrection2) + plan.epsilon) +
                                                      decay * parameter));
    }
    EXPECT_LT(relativeError(step.variables[name], expected), 1e-6) << name;
    EXPECT_GT(relativeError(step.variables[name], before), 1e-4) << name;
  }
}

TEST_P(PhaseDifferentialOfModel, PhasesAgree) {
  StepResult expected = compileAndRun(text, "train");
  for (const Phase &phase : getPhases().drop_front(*findPhase("train") + 1)) {
    if (!phase.verify || phase.name == "step")
      break;
    SCOPED_TRACE(phase.name.str());
    expectEqual(compileAndRun(text, phase.name), expected, 1e-9);
  }
}

TEST_P(PhaseDifferentialOfModel, RecomputeChangesNothing) {
  StepResult expected = compileAndRun(text, "train", [](Plan &plan) { plan.recompute = Recompute::None; });
  for (auto [recompute, layers] : {std::pair(Recompute::Full, 0), {Recompute::Full, 1}, {Recompute::Selective, 0}}) {
    SCOPED_TRACE(static_cast<int>(recompute) * 10 + layers);
    auto change = [&](Plan &plan) {
      plan.recompute = recompute;
      plan.recomputeLayers = layers;
    };
    expectEqual(compileAndRun(text, "train", change), expected, 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PhaseDifferentialOfModel,
                         ::testing::Values("tiny-llama-model", "tiny-gpt2-model", "odd-model"), [](const auto &info) {
                           std::string name = info.param;
                           llvm::erase(name, '-');
                           return name;
                         });

/// Three microbatches of two sequences are one of six.
TEST_F(PhaseDifferential, MicrobatchesChangeNothing) {
  std::string text = readInput("tiny-llama-model"), wide = text;
  for (auto [from, to] : {std::pair<std::string, std::string>("tensor<2x", "tensor<6x"), {"tensor<10x", "tensor<30x"}})
    for (size_t position = 0; (position = wide.find(from, position)) != std::string::npos; position += to.size())
      wide.replace(position, from.size(), to);
  StepResult three = compileAndRun(text, "train");
  StepResult one = compileAndRun(wide, "train", [](Plan &plan) {
    plan.microbatches = 1;
    plan.microBatchSize = 6;
  });
  expectEqual(one, three, 1e-12);
}

} // namespace
