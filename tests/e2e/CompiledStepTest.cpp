//===- CompiledStepTest.cpp - The compiled step against the interpreter ---===//
//
// One training step of whole models: the interpreter runs phase `train`, the executor what became of it after all
// phases, on the processor and on emulated GPUs. Both start from the same seed and see the same tokens.
//
//===----------------------------------------------------------------------===//

#include "frontend/cli/Compilation.h"
#include "frontend/models/ModelBuilder.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Passes.h"
#include "passes/Pipeline.h"
#include "runtime/executable/ExecutableFile.h"
#include "runtime/executor/Executor.h"
#include "tests/runtime/TestDevice.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace primus;

namespace {

struct Case {
  const char *name;
  std::vector<std::string> overrides;
  interpreter::Mode mode;
  /// Largest relative difference of the loss, and of each parameter's first moment (in the Euclidean norm).
  double lossTolerance, momentTolerance;
};

const std::vector<std::string> kLlama = {"num_layers=2", "hidden_size=64", "ffn_hidden_size=96", "num_attention_heads=4",
                                         "num_query_groups=2", "kv_channels=16", "seq_length=40", "max_position_embeddings=40"};
const std::vector<std::string> kOdd = {"num_layers=3", "hidden_size=72", "ffn_hidden_size=97", "num_attention_heads=3", "num_query_groups=1",
                                       "kv_channels=24", "seq_length=131", "max_position_embeddings=131", "untie_embeddings_and_output_weights=false",
                                       "mock_data=true", "tokenizer_type=NullTokenizer", "vocab_size=96", "make_vocab_size_divisible_by=1",
                                       "recompute_granularity=full", "recompute_method=block", "recompute_num_layers=2"};
const std::vector<std::string> kGpt = {"num_layers=2", "hidden_size=48", "ffn_hidden_size=192", "num_attention_heads=4", "num_query_groups=4",
                                       "kv_channels=12", "seq_length=33", "max_position_embeddings=50", "normalization=LayerNorm",
                                       "position_embedding_type=learned_absolute", "swiglu=false", "add_bias_linear=true",
                                       "untie_embeddings_and_output_weights=false"};

std::vector<std::string> with(std::vector<std::string> keys, std::vector<std::string> more) {
  keys.insert(keys.end(), more.begin(), more.end());
  return keys;
}

/// What Qwen 2, Qwen 3, Mistral and Llama 3.1 add to Llama's block, in one.
const std::vector<std::string> kExtras = with(kLlama, {"add_qkv_bias=true", "qk_layernorm=true", "kv_channels=24", "window_size=[10, 0]",
                                                       "use_rope_scaling=true", "rotary_percent=0.5", "seq_length=67"});

const std::vector<std::string> kBatches = {"micro_batch_size=2", "global_batch_size=4", "lr_warmup_iters=0", "eval_iters=0"};

const Case kCases[] = {
    {"llama_f32", with(kLlama, {"bf16=false"}), interpreter::Mode::Exact, 1e-6, 1e-4},
    {"odd_f32", with(kOdd, {"bf16=false"}), interpreter::Mode::Exact, 1e-6, 1e-4},
    {"gpt_f32", with(kGpt, {"bf16=false"}), interpreter::Mode::Exact, 1e-6, 1e-4},
    {"llama_bf16", with(kLlama, {"bf16=true"}), interpreter::Mode::Faithful, 1e-3, 3e-2},
    {"odd_bf16", with(kOdd, {"bf16=true"}), interpreter::Mode::Faithful, 1e-3, 3e-2},
    {"extras_bf16", with(kExtras, {"bf16=true"}), interpreter::Mode::Faithful, 1e-3, 3e-2},
    {"gpt_bf16", with(kGpt, {"bf16=true"}), interpreter::Mode::Faithful, 1e-3, 3e-2},
};

class CompiledStep : public testing::TestWithParam<std::tuple<Case, const char *>> {};

TEST_P(CompiledStep, EqualsTheInterpreter) {
  const auto &[param, target] = GetParam();
  cli::CompileOptions options;
  options.target = options.config.target = target;
  options.config.experiment = PRIMUS_SOURCE_DIR "/configs/experiments/cpu/llama-tiny.yaml";
  options.config.overrides = with(param.overrides, kBatches);

  cli::Compilation compilation(options);
  ASSERT_EQ(compilation.run(), cli::kDone);
  const executable::Training &training = compilation.getExecutable().training();

  // The same module up to `train`, interpreted.
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto module = models::buildModel(compilation.getSpec(), &context);
  ASSERT_TRUE(succeeded(module));
  ASSERT_TRUE(succeeded(runPhases(**module, *findPhase("model"), *findPhase("train"))));
  interpreter::Interpreter judge(**module, param.mode);
  ASSERT_TRUE(succeeded(judge.initializeVariables(training.seed())));

  auto parsed = runtime::parseExecutable(runtime::serializeExecutable(compilation.getExecutable()), "the executable");
  ASSERT_TRUE(static_cast<bool>(parsed)) << parsed.takeError().getMessage();
  auto created = runtime::Executor::create(std::move(*parsed), test::createTestDevice(target));
  ASSERT_TRUE(static_cast<bool>(created)) << created.takeError().getMessage();
  runtime::Executor &executor = **created;
  ASSERT_FALSE(static_cast<bool>(executor.initializeVariables(training.seed())));

  // Inputs: tokens that repeat in no simple way, some labels ignored.
  auto step = (*module)->lookupSymbol<func::FuncOp>("train_step");
  std::vector<int64_t> shape = {training.microbatches(), training.micro_batch_size(), training.sequence_length()};
  int64_t count = shape[0] * shape[1] * shape[2];
  std::vector<int32_t> tokens(count), labels(count);
  for (int64_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<int32_t>((i * i * 7 + i * 3 + i / 5) % training.vocabulary());
    labels[i] = i % 11 == 4 ? -100 : static_cast<int32_t>((i * 5 + i * i) % training.vocabulary());
  }
  float scalars[] = {0.001f, 0.1f, 0.05f};
  const char *names[] = {"learning_rate", "bias_correction1", "bias_correction2"};
  int program = executor.findProgram("train_step");
  ASSERT_GE(program, 0);
  ASSERT_FALSE(executor.write(*executor.findInput(program, "tokens", executable::I32, shape), tokens.data()));
  ASSERT_FALSE(executor.write(*executor.findInput(program, "labels", executable::I32, shape), labels.data()));
  for (int i = 0; i < 3; ++i)
    ASSERT_FALSE(executor.write(*executor.findInput(program, names[i], executable::F32, {}), &scalars[i]));
  ASSERT_FALSE(executor.run(program));

  SmallVector<interpreter::Tensor> inputs;
  for (auto [index, type] : llvm::enumerate(step.getArgumentTypes())) {
    auto tensorType = cast<RankedTensorType>(type);
    interpreter::Tensor tensor(tensorType);
    if (index < 2)
      llvm::copy(index == 0 ? tokens : labels, tensor.values.begin());
    else
      tensor.values[0] = scalars[index - 2];
    inputs.push_back(std::move(tensor));
  }
  auto expected = judge.run("train_step", inputs);
  ASSERT_TRUE(succeeded(expected));

  auto output = [&](const char *name) {
    return *executor.readScalar(*executor.findOutput(program, name, executable::F32, {}));
  };
  double loss = (*expected)[0].values[0], norm = (*expected)[1].values[0];
  EXPECT_NEAR(output("loss") / loss, 1, param.lossTolerance);
  EXPECT_NEAR(output("grad_norm") / norm, 1, param.momentTolerance);

  int compared = 0;
  for (const executable::Variable &variable : executor.getExecutable().variables()) {
    // The first moment after one step is the gradient, scaled.
    if (!StringRef(variable.name()).ends_with(".m"))
      continue;
    interpreter::TensorRef wanted = judge.getVariable(variable.name());
    ASSERT_NE(wanted, nullptr) << variable.name();
    std::vector<float> got(wanted->values.size());
    ASSERT_FALSE(executor.read(*executor.findVariable(variable.name()), got.data()));
    double difference = 0, size = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      difference += std::pow(got[i] - wanted->values[i], 2);
      size += std::pow(wanted->values[i], 2);
    }
    // A bias of keys has no gradient but rounding errors: softmax does not see it.
    if (std::sqrt(size) > 1e-6 * norm)
      EXPECT_LE(std::sqrt(difference / size), param.momentTolerance) << variable.name();
    ++compared;
  }
  EXPECT_GT(compared, 10);
}

INSTANTIATE_TEST_SUITE_P(Models, CompiledStep,
                         testing::Combine(testing::ValuesIn(kCases), testing::Values("cpu", "gfx942", "gfx950")),
                         [](const auto &info) { return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param); });

} // namespace
