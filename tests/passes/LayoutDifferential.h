//===- LayoutDifferential.h - Whole steps on meshes of ranks -----*- C++ -*-===//
//
// Shared by tests that compare training steps, in whatever way they are divided, with the same step on one rank.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/models/ModelBuilder.h"
#include "passes/Passes.h"
#include "passes/Pipeline.h"
#include "passes/Plan.h"
#include "runtime/init/Initializer.h"
#include "tests/ir/interpreter/Run.h"

#include <google/protobuf/text_format.h>
#include <map>

namespace primus::testing {

using namespace mlir;
using namespace primus::interpreter;

inline constexpr int64_t kSequences = 8, kTokens = 12;
inline constexpr double kLearningRate = 0.01;

/// One way to run a model.
struct Mesh {
  int64_t replicate = 1, shard = 1, context = 1, tensor = 1;
  bool sequenceParallel = false;
  int64_t zero = 0;
  bool ring = false;

  int64_t getRanks() const { return replicate * shard * context * tensor; }
  int64_t getDataRanks() const { return replicate * shard; }
  int64_t getMicro() const { return std::max<int64_t>(1, kSequences / getDataRanks() / 2); }
  std::string describe() const {
    return "dp=" + std::to_string(replicate) + " fsdp=" + std::to_string(shard) + " cp=" + std::to_string(context) +
           " tp=" + std::to_string(tensor) + (sequenceParallel ? " sp" : "") + " zero=" + std::to_string(zero) +
           (ring ? " ring" : "");
  }
};

struct Model {
  const char *name;
  /// Entries of spec::Model.
  const char *text;
  int64_t heads;
};

/// Small, but no two sizes of a model are alike.
inline constexpr Model kModels[] = {
    {"Llama",
     "width: 16 init_std: 0.3 output_init_std: 0.2 embedding { vocabulary: 23 padded_vocabulary: 24 } "
     "layers { count: 2 layer { attention_norm { kind: RMS_NORM epsilon: 1e-5 weight: true } "
     "attention { heads: 8 groups: 8 head_size: 4 causal: true position: ROPE rope { theta: 100 dimensions: 4 } } "
     "feed_forward_norm { kind: RMS_NORM epsilon: 1e-5 weight: true } "
     "feed_forward { kind: GATED width: 40 activation: 'silu' } } } "
     "head { norm { kind: RMS_NORM epsilon: 1e-5 weight: true } }",
     8},
    {"GroupedQueriesOdd",
     "width: 10 init_std: 0.3 output_init_std: 0.2 embedding { vocabulary: 20 padded_vocabulary: 21 } "
     "layers { count: 1 layer { attention_norm { kind: RMS_NORM epsilon: 1e-5 weight: true } "
     "attention { heads: 6 groups: 3 head_size: 4 causal: true window: 5 position: ROPE "
     "rope { theta: 100 dimensions: 2 style: INTERLEAVED } qkv_bias: true "
     "query_norm { kind: RMS_NORM epsilon: 1e-5 weight: true } key_norm { kind: RMS_NORM epsilon: 1e-5 weight: true } } "
     "feed_forward_norm { kind: RMS_NORM epsilon: 1e-5 weight: true } "
     "feed_forward { kind: GATED width: 9 activation: 'gelu_tanh' } } } "
     "head { norm { kind: RMS_NORM epsilon: 1e-5 weight: true } }",
     3},
    {"Tied",
     "width: 12 init_std: 0.3 output_init_std: 0.2 embedding { vocabulary: 23 padded_vocabulary: 24 scale: 3.5 } "
     "layers { count: 2 layer { topology: SANDWICH attention_norm { kind: RMS_NORM epsilon: 1e-5 weight: true offset: 1 } "
     "attention_post_norm { kind: RMS_NORM epsilon: 1e-5 weight: true offset: 1 } "
     "feed_forward_post_norm { kind: RMS_NORM epsilon: 1e-5 weight: true offset: 1 } "
     "attention { heads: 8 groups: 4 head_size: 2 causal: true position: ROPE rope { theta: 100 dimensions: 2 } } "
     "feed_forward_norm { kind: RMS_NORM epsilon: 1e-5 weight: true offset: 1 } "
     "feed_forward { kind: GATED width: 20 activation: 'gelu' } } } "
     "head { tied: true norm { kind: RMS_NORM epsilon: 1e-5 weight: true offset: 1 } }",
     4},
    {"Gpt2",
     "width: 12 init_std: 0.3 output_init_std: 0.2 embedding { vocabulary: 23 padded_vocabulary: 24 learned_positions: 16 } "
     "layers { count: 2 layer { attention_norm { kind: LAYER_NORM epsilon: 1e-5 weight: true bias: true } "
     "attention { heads: 4 groups: 4 head_size: 3 causal: true qkv_bias: true output_bias: true } "
     "feed_forward_norm { kind: LAYER_NORM epsilon: 1e-5 weight: true bias: true } "
     "feed_forward { kind: PLAIN width: 28 activation: 'gelu_tanh' bias: true } } } "
     "head { tied: true norm { kind: LAYER_NORM epsilon: 1e-5 weight: true bias: true } }",
     4}};

/// What else a plan can say, which no layout may depend on.
struct Variant {
  std::string precision = "F32";
  Recompute recompute = Recompute::None;
  bool perMicrobatchMean = false;
  /// Sequences of a data rank's microbatch; 0: two microbatches where there are enough sequences.
  int64_t micro = 0;
  /// The recipe of 8-bit products; empty: none.
  std::string fp8 = {};
};

/// What one training step computes.
struct StepResult {
  double loss = 0, gradNorm = 0;
  /// The loss that @forward computes after the step, where that was asked for.
  double evaluation = 1;
  /// Variables after the step, whole.
  std::map<std::string, std::vector<double>> variables;
};

class LayoutDifferential : public IrTest {
protected:
  OwningOpRef<ModuleOp> build(const Model &model, const Mesh &mesh, const Variant &variant = {},
                              const models::ModelPrograms &programs = {}) {
    int64_t micro = variant.micro ? variant.micro : mesh.getMicro();
    std::string text = "model { name: 'm' " + std::string(model.text) + " } optimizer { beta1: 0.9 beta2: 0.95 epsilon: 1e-8 " +
                       "weight_decay: 0.1 clip: 0.5 } training { micro_batch_size: " + std::to_string(micro) +
                       " global_batch_size: " + std::to_string(kSequences) + " sequence_length: " +
                       std::to_string(kTokens) + " precision: " + variant.precision +
                       (variant.perMicrobatchMean ? " per_microbatch_mean: true" : "") +
                       (variant.fp8.empty() ? "" : " fp8 { recipe: '" + variant.fp8 + "' format: 'hybrid' encoding: 'ocp' history: 3 }") +
                       " trainable: true } parallelism { world_size: " +
                       std::to_string(mesh.getRanks()) + " data: " + std::to_string(mesh.getDataRanks()) +
                       " replicate: " + std::to_string(mesh.replicate) + " shard: " + std::to_string(mesh.shard) +
                       " tensor: " + std::to_string(mesh.tensor) + " context: " + std::to_string(mesh.context) +
                       " pipeline: 1 expert: 1 zero_stage: " + std::to_string(mesh.zero) +
                       (mesh.sequenceParallel ? " sequence_parallel: true" : "") +
                       (mesh.ring ? " context_exchange: RING" : "") + " }";
    spec::TrainingSpec spec;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
    auto module = models::buildModel(spec, &context, programs);
    EXPECT_TRUE(succeeded(module)) << messages;
    if (failed(module))
      return {};
    FailureOr<Plan> plan = Plan::get(**module);
    plan->recompute = variant.recompute;
    plan->set(**module);
    return std::move(*module);
  }

  /// Tokens and labels (some ignored) of a step, in the order in which the mesh stores positions.
  std::vector<Tensor> makeInputs(const Plan &plan, const Mesh &mesh) {
    std::vector<Tensor> inputs;
    Type i32 = IntegerType::get(&context, 32);
    for (uint64_t stream : {1, 2}) {
      std::vector<double> values;
      for (int64_t sequence = 0; sequence < kSequences; ++sequence)
        for (int64_t index = 0; index < kTokens; ++index) {
          int64_t element = sequence * kTokens + runtime::getContextPosition(index, kTokens, mesh.context);
          double value = std::floor(std::abs(runtime::standardNormal(/*seed=*/5, stream, element)) * 8);
          values.push_back(stream == 2 && element % 7 == 3 ? -1 : std::min(value, 19.0));
        }
      inputs.push_back(
          tensor({plan.microbatches, kSequences / plan.microbatches, kTokens}, std::move(values), i32));
    }
    for (double scalar : {kLearningRate, 0.1, 0.05})
      inputs.push_back(tensor({}, {scalar}));
    return inputs;
  }

  /// Compiles up to `phase` and runs a step; an empty result after a failure.
  StepResult run(const Model &model, const Mesh &mesh, StringRef phase, const Variant &variant = {}) {
    StepResult step;
    OwningOpRef<ModuleOp> module = build(model, mesh, variant);
    if (!module || failed(runPhases(*module, *findPhase("model"), *findPhase(phase)))) {
      ADD_FAILURE() << messages;
      return step;
    }
    EXPECT_TRUE(succeeded(verify(*module))) << messages;
    bool hasRing = module->walk([](graph::PermuteOp) { return WalkResult::interrupt(); }).wasInterrupted();
    EXPECT_EQ(hasRing, mesh.ring && phase == "placed");
    FailureOr<StepResult> ran = runStep(*module, mesh);
    EXPECT_TRUE(succeeded(ran)) << messages;
    return succeeded(ran) ? *ran : step;
  }

  /// Fails where ranks that should have equal values do not.
  FailureOr<StepResult> runStep(ModuleOp module, const Mesh &mesh) {
    Interpreter interpreter(module);
    FailureOr<Plan> plan = Plan::get(module);
    if (failed(plan) || failed(interpreter.initializeVariables(/*seed=*/3)))
      return failure();
    return runStep(interpreter, module, *plan, mesh);
  }

  /// With either interpreter, whose variables are initialized.
  template <typename AnyInterpreter>
  FailureOr<StepResult> runStep(AnyInterpreter &interpreter, ModuleOp module, const Plan &plan, const Mesh &mesh) {
    StepResult step;
    auto results = interpreter.run("train_step", makeInputs(plan, mesh));
    if (failed(results))
      return failure();
    step.loss = (*results)[0].values[0];
    step.gradNorm = (*results)[1].values[0];
    for (auto variable : module.getOps<graph::VariableOp>()) {
      if (variable.getRole() == graph::Role::Constant)
        continue;
      interpreter::TensorRef value = interpreter.getVariable(variable.getSymName());
      if (!value)
        return failure();
      step.variables[variable.getSymName().str()] = value->values;
    }
    return evaluate(interpreter, makeInputs(plan, mesh), step);
  }

  /// Runs @forward on each microbatch of a step's inputs, if the fixture `evaluates`.
  template <typename AnyInterpreter>
  FailureOr<StepResult> evaluate(AnyInterpreter &interpreter, ArrayRef<Tensor> inputs, StepResult step) {
    double loss = 0, valid = 0;
    ArrayRef<int64_t> shape = inputs[0].shape;
    for (int64_t microbatch = 0; evaluates && microbatch < shape[0]; ++microbatch) {
      auto take = [&](const Tensor &whole) {
        auto begin = whole.values.begin() + microbatch * shape[1] * shape[2];
        return tensor(shape.drop_front(), std::vector<double>(begin, begin + shape[1] * shape[2]), whole.elementType);
      };
      auto results = interpreter.run("forward", {take(inputs[0]), take(inputs[1])});
      if (failed(results))
        return failure();
      loss += (*results)[0].values[0];
      valid += (*results)[1].values[0];
    }
    if (evaluates)
      step.evaluation = loss / valid;
    return step;
  }

  bool evaluates = false;

  /// The largest relative difference of two steps, and where it is. A key's bias has no influence on the softmax: what is
  /// left of its gradient is noise, which the largest gradient of all is a measure for.
  static std::pair<double, std::string> compare(const StepResult &actual, const StepResult &expected) {
    auto relative = [](double a, double b) { return std::abs(a - b) / std::abs(b); };
    std::pair<double, std::string> worst = {relative(actual.loss, expected.loss), "loss"};
    worst = std::max(worst, {relative(actual.gradNorm, expected.gradNorm), "gradient norm"});
    worst = std::max(worst, {relative(actual.evaluation, expected.evaluation), "loss of @forward"});
    auto kindOf = [](StringRef name) {
      for (StringRef suffix : {".m", ".v", ".grad"})
        if (name.ends_with(suffix))
          return suffix;
      return StringRef();
    };
    std::map<StringRef, double> largest;
    for (const auto &[name, values] : expected.variables)
      largest[kindOf(name)] = std::max(largest[kindOf(name)], maxNorm(values));
    for (const auto &[name, values] : expected.variables) {
      auto found = actual.variables.find(name);
      if (found == actual.variables.end() || found->second.size() != values.size())
        return {HUGE_VAL, name};
      std::vector<double> difference;
      for (auto [a, e] : llvm::zip_equal(found->second, values))
        difference.push_back(a - e);
      double floor = kindOf(name).empty() ? kLearningRate : 1e-6 * largest[kindOf(name)];
      double error = maxNorm(difference) / std::max(maxNorm(values), floor);
      worst = std::max(worst, {std::isnan(error) ? HUGE_VAL : error, name});
    }
    return worst;
  }
};

} // namespace primus::testing
