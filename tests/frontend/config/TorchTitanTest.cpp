//===- TorchTitanTest.cpp - What TorchTitan's keys mean -------------------===//

#include "frontend/config/SpecWriter.h"

#include "tests/frontend/config/ConfigTestHelper.h"

#include "runtime/train/LearningRate.h"

#include <fmt/format.h>

#include <cmath>

using namespace primus::config;
using namespace primus::config::test;

namespace {

const std::string job = std::string(PRIMUS_SOURCE_DIR) + "/configs/experiments/cpu/llama3-debugmodel.toml";

struct Case {
  std::vector<std::string> overrides;
  const char *field;
  const char *value;
};

TEST(TorchTitan, Keys) {
  for (const Case &c : std::initializer_list<Case>{
           {{}, "model.name", "\"llama3_debugmodel\""},
           {{}, "model.width", "256"},
           {{}, "model.layers[0].layer.attention.groups", "16"},
           {{}, "model.layers[0].layer.attention.head_size", "16"},
           // Two thirds of 1024, rounded up to 256.
           {{}, "model.layers[0].layer.feed_forward.width", "768"},
           {{}, "model.layers[0].layer.attention.rope.style", "INTERLEAVED"},
           {{}, "model.layers[0].layer.attention.rope.scaling.kind", "\"llama3\""},
           {{}, "model.embedding.padded_vocabulary", "2048"},
           {{"model.flavor=8B"}, "model.layers[0].layer.feed_forward.width", "14336"},
           {{"model.flavor=8B"}, "model.layers[0].layer.attention.groups", "8"},
           {{"model.flavor=70B"}, "model.layers[0].layer.feed_forward.width", "28672"},
           {{"model.flavor=405B"}, "model.layers[0].layer.feed_forward.width", "53248"},
           {{"model.flavor=405B", "model.n_layers=2"}, "model.layers[0].count", "2"},
           {{"model.flavor=1B"}, "model.head.tied", "true"},
           {{"model.flavor=1B"}, "model.layers[0].layer.feed_forward.width", "8192"},
           {{"model.name=qwen3", "model.flavor=4B"}, "model.layers[0].layer.attention.head_size", "128"},
           {{"model.name=qwen3", "model.flavor=4B"}, "model.layers[0].layer.attention.query_norm.epsilon", "1e-06"},
           {{"model.name=qwen3", "model.flavor=4B"}, "model.layers[0].layer.attention.rope.style", "HALF"},
           {{"model.name=qwen3", "model.flavor=4B"}, "model.layers[0].layer.attention.rope.scaling.kind", "\"none\""},
           {{"model.name=llama3_ft", "model.flavor=8B"}, "model.width", "4096"},
           {{}, "training.global_batch_size", "2"},
           {{"training.global_batch_size=6"}, "training.global_batch_size", "6"},
           {{}, "training.per_microbatch_mean", "false"},
           {{"training.mixed_precision_param=float32"}, "training.precision", "F32"},
           {{"activation_checkpoint.mode=full"}, "training.recompute", "RECOMPUTE_FULL"},
           {{"activation_checkpoint.mode=selective"}, "training.recompute_layers", "3"},
           {{"activation_checkpoint.mode=selective", "activation_checkpoint.selective_ac_option=op"},
            "training.recompute",
            "RECOMPUTE_SELECTIVE"},
           {{}, "optimizer.decay_all", "true"},
           {{"optimizer.name=Adam", "optimizer.weight_decay=0.0"}, "optimizer.kind", "\"adamw\""},
           {{}, "model.initialization.embedding.std", "1"},
           {{}, "model.initialization.up.by_depth", "true"},
           {{"model.depth_init=false"}, "model.initialization.up.by_depth", "false"},
           {{}, "model.initialization.head.std", "0.0625"},
           {{}, "model.initialization.head.cutoff", "3"},
           {{}, "output.experiment", "\"llama3-debugmodel\""},
           {{"checkpoint.enable=true"}, "checkpoint.save", "\"./output/checkpoint\""},
           {{"checkpoint.enable=true"}, "checkpoint.interval", "500"},
           {{"--training.steps=7"}, "training.steps", "7"},
       }) {
    Outcome outcome = run(job, c.overrides);
    ASSERT_TRUE(outcome.result) << c.field << "\n" << outcome.diagnostics.str();
    EXPECT_EQ(printField(outcome.result->spec, c.field), c.value)
        << c.field << " with " << (c.overrides.empty() ? "" : c.overrides.front());
  }
}

/// The factor of torchtitan/components/lr_scheduler.py, written down again.
double torchTitanFactor(int step, int total, int warmup, double ratio, const std::string &type, double minimum) {
  int decay = ratio < 0 ? total - warmup : std::min<int>(static_cast<int>(std::nearbyint(total * ratio)), total - warmup);
  int stable = total + 1 - warmup - decay;
  if (step < warmup)
    return static_cast<double>(step + 1) / warmup;
  if (step < warmup + stable)
    return 1;
  double progress = static_cast<double>(step + 1 - warmup - stable) / decay;
  double factor = type == "linear" ? 1 - progress
                  : type == "sqrt" ? 1 - std::sqrt(progress)
                                   : 0.5 * (1 + std::cos(M_PI * progress));
  return minimum + (1 - minimum) * factor;
}

TEST(TorchTitan, LearningRatesOfEveryStep) {
  for (int warmup : {0, 1, 2, 7, 20})
    for (double ratio : {-1.0, 0.0, 0.25, 0.8, 1.0})
      for (const char *type : {"linear", "cosine", "sqrt"}) {
        std::vector<std::string> arguments = {"training.steps=20", fmt::format("lr_scheduler.warmup_steps={}", warmup),
                                              fmt::format("lr_scheduler.decay_type={}", type),
                                              "lr_scheduler.min_lr_factor=0.1", "optimizer.lr=0.5"};
        arguments.push_back(ratio < 0 ? "lr_scheduler.decay_ratio=None"
                                      : fmt::format("lr_scheduler.decay_ratio={:.2f}", ratio));
        Outcome outcome = run(job, arguments);
        ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
        const primus::spec::Optimizer &optimizer = outcome.result->spec.optimizer();
        primus::executable::Training training;
        training.set_learning_rate(optimizer.learning_rate());
        training.set_min_learning_rate(optimizer.min_learning_rate());
        training.set_warmup_init_learning_rate(optimizer.warmup_init());
        training.set_warmup_steps(optimizer.warmup_steps());
        training.set_stable_steps(optimizer.stable_steps());
        training.set_decay_steps(optimizer.decay_steps());
        training.set_decay_style(optimizer.decay_style());
        auto schedule = primus::runtime::LearningRateSchedule::create(training);
        ASSERT_TRUE(schedule) << schedule.takeError().getMessage();
        for (int step = 0; step < 20; ++step)
          EXPECT_NEAR(schedule->get(step), 0.5 * torchTitanFactor(step, 20, warmup, ratio, type, 0.1), 1e-15)
              << "step " << step << ", " << warmup << " of warm-up, decay " << type << " over " << ratio;
      }
}

/// Every flavor that TorchTitan ships either gives a model or names what is missing.
TEST(TorchTitan, EveryFlavorIsKnown) {
  const std::pair<const char *, std::vector<const char *>> models[] = {
      {"llama3", {"debugmodel", "8B", "70B", "405B", "1B", "3B"}},
      {"qwen3", {"debugmodel", "0.6B", "1.7B", "4B", "8B", "14B", "32B"}}};
  for (const auto &[name, flavors] : models)
    for (const char *flavor : flavors) {
      Outcome outcome = run(job, {fmt::format("model.name={}", name), fmt::format("model.flavor={}", flavor)});
      EXPECT_TRUE(outcome.result) << name << " " << flavor << "\n" << outcome.diagnostics.str();
    }
  const std::pair<const char *, std::vector<const char *>> experts[] = {
      {"llama4", {"debugmodel", "17bx16e", "17bx128e", "17bx16e_irope", "17bx128e_irope"}},
      {"qwen3", {"debugmodel_moe", "30B-A3B", "235B-A22B"}},
      {"deepseek_v3", {"debugmodel", "16B", "236B", "671B"}},
      {"gpt_oss", {"debugmodel", "20b", "120b"}}};
  for (const auto &[name, flavors] : experts)
    for (const char *flavor : flavors) {
      Outcome outcome = run(job, {fmt::format("model.name={}", name), fmt::format("model.flavor={}", flavor)});
      EXPECT_NE(outcome.firstError().find(" is not supported: mixture of experts"), std::string::npos)
          << name << " " << flavor << "\n"
          << outcome.diagnostics.str();
    }
}

TEST(TorchTitan, JobFilesKeepTheirPlaces) {
  Workspace workspace;
  workspace.write("job.toml", "[model]\nname = \"llama3\"\n\n[training]\nmock_data = true\nsteps = 3\nseq_len = 64\n"
                              "\n[lr_scheduler]\nwarmup_steps = 1\n");
  Outcome outcome = run("job.toml");
  ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
  EXPECT_EQ(sourceOf(outcome.result->spec, "training.sequence_length"), "job.toml:7");
  EXPECT_EQ(outcome.config->framework, "torchtitan");
  EXPECT_EQ(outcome.config->json(), R"({"framework":"torchtitan","params":{"lr_scheduler":{"warmup_steps":1},)"
                                    R"("model":{"name":"llama3"},"training":{"mock_data":true,"seq_len":64,"steps":3}}})");
  std::string all = explain(*outcome.config, *outcome.result);
  EXPECT_NE(all.find("  training.seq_len = 64  [job.toml:7:11, experiment] -> training.sequence_length\n"),
            std::string::npos)
      << all;
  EXPECT_NE(all.find("What the model's name stands for:\n  model.width = 256: from model.dim"), std::string::npos) << all;
  EXPECT_NE(all.find("  gradient accumulation = 1: "), std::string::npos) << all;
  EXPECT_NE(all.find("debug.seed is 0 here"), std::string::npos) << all;
}

TEST(TorchTitan, ExperimentsKeepTheirWorkspace) {
  Workspace workspace;
  workspace.write("exp.yaml", header + "modules:\n  pre_trainer:\n    framework: torchtitan\n    config: pre_trainer\n"
                                       "    model: llama3_debugmodel\n    overrides:\n      lr_scheduler: {warmup_steps: "
                                       "1}\n      training: {steps: 1e1}\n");
  Outcome outcome = run("exp.yaml");
  ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
  EXPECT_EQ(outcome.result->spec.output().workspace(), "./output");
  EXPECT_EQ(outcome.result->spec.output().experiment(), "run");
  EXPECT_EQ(outcome.result->spec.training().steps(), 10);
  // PyYAML keeps 1e1 as text.
  EXPECT_NE(explain(*outcome.config, *outcome.result, "training.steps").find("upstream keeps it as text"),
            std::string::npos);
}

struct Wrong {
  const char *name;
  std::vector<std::string> overrides;
  const char *error;
};

TEST(TorchTitan, Mistakes) {
  Workspace workspace;
  workspace.write("job.toml", "[model]\nname = \"llama3\"\nflavor = \"debugmodel\"\n[training]\nmock_data = true\n"
                              "steps = 10\n[lr_scheduler]\nwarmup_steps = 2\n");
  for (const Wrong &c : std::initializer_list<Wrong>{
           {"model", {"model.name=lama3"}, "command line: error: 'model.name' cannot be 'lama3'; did you mean 'llama3'?"},
           {"flavor",
            {"model.flavor=7B"},
            "command line: error: model 'llama3' of TorchTitan has no flavor '7B'; did you mean '1B'?"},
           {"experts",
            {"model.name=llama4"},
            "job.toml:3:10: error: 'model.flavor: \"debugmodel\"' of llama4 is not supported: mixture of experts; llama3 and "
            "the dense flavors of qwen3 are supported"},
           {"unknown key",
            {"training.step=5"},
            "command line: error: unknown key 'training.step'; did you mean 'training.steps'?"},
           {"unknown section",
            {"trainings.steps=5"},
            "command line: error: unknown key 'trainings'; did you mean 'training'?"},
           {"scalar section",
            {"training=5"},
            "command line: error: 'training' must be a mapping of keys to values, but 5 is an integer; write the keys of "
            "'training' below it"},
           {"documents",
            {"model.attn_mask_type=block_causal"},
            "command line: error: 'model.attn_mask_type: \"block_causal\"' is not supported: attention that ends with a "
            "document; set model.attn_mask_type=causal"},
           {"converters",
            {"model.converters=[\"primus_turbo\", \"quantize.grouped_mm.float8\"]"},
            "command line: error: 'model.converters: \"quantize.grouped_mm.float8\"' is not supported: that converter; "
            "supported: primus_turbo, quantize.linear.float8, quantize.linear.mx"},
           {"MXFP4",
            {"model.converters=quantize.linear.mx", "quantize.linear.mx.recipe_name=mxfp4_cutlass"},
            "command line: error: 'quantize.linear.mx.recipe_name: \"mxfp4_cutlass\"' is not supported: MXFP4 and other "
            "4-bit formats; supported: mxfp8_cublas, mxfp8_emulated"},
           {"mixed recipes",
            {"model.converters=quantize.linear.float8", "quantize.linear.float8.recipe_name=rowwise_with_gw_hp"},
            "command line: error: 'quantize.linear.float8.recipe_name: \"rowwise_with_gw_hp\"' is not supported: that "
            "recipe of 8-bit products; supported: tensorwise, rowwise"},
           {"Adam",
            {"optimizer.name=Adam"},
            "command line: error: 'optimizer.name: \"Adam\"' with weight decay is not supported: decay inside the "
            "gradient; set optimizer.name=AdamW, or optimizer.weight_decay=0"},
           {"dataset",
            {"training.mock_data=false", "training.dataset=c4"},
            "command line: error: 'training.dataset: \"c4\"' is not supported: turning text into tokens while training; "
            "set training.mock_data=true, or training.dataset_path to a .bin/.idx pair of tokens"},
           {"bf16 weights",
            {"training.dtype=bfloat16"},
            "command line: error: 'training.dtype: \"bfloat16\"' is not supported: weights and optimizer state in bf16; "
            "set training.dtype=float32"},
           {"total steps",
            {"lr_scheduler.total_steps=5"},
            "command line: error: lr_scheduler.total_steps 5 ends before training.steps 10; set "
            "lr_scheduler.total_steps=10 or more"},
           {"ratio",
            {"lr_scheduler.decay_ratio=1.5"},
            "command line: error: 'lr_scheduler.decay_ratio' must be from 0 to 1, but is 1.5"},
           {"option",
            {"activation_checkpoint.mode=selective", "activation_checkpoint.selective_ac_option=ops"},
            "command line: error: 'activation_checkpoint.selective_ac_option' cannot be 'ops'; write 'op', or \"2\" for "
            "every second layer"},
           {"seed", {"debug.seed=-1"}, "command line: error: 'debug.seed' must not be negative, but is -1"},
           {"batch",
            {"training.local_batch_size=4", "training.global_batch_size=6"},
            "command line: error: training.global_batch_size 6 is not a multiple of training.local_batch_size 4; set "
            "training.global_batch_size=8"},
           {"foreign checkpoint",
            {"checkpoint.initial_load_path=step-10"},
            "command line: error: 'checkpoint.initial_load_path: \"step-10\"' is not supported: checkpoints of TorchTitan; "
            "set checkpoint.initial_load_path=None"},
       }) {
    Outcome outcome = run("job.toml", c.overrides);
    EXPECT_FALSE(outcome.result) << c.name;
    EXPECT_EQ(outcome.firstError(), c.error) << c.name;
  }
  workspace.write("bad.toml", "[model]\nname = llama3\n");
  EXPECT_EQ(run("bad.toml").firstError().substr(0, 27), "bad.toml:2:8: error: not TO");
  workspace.write("date.toml", "[model]\nname = 2026-01-01\n");
  EXPECT_EQ(run("date.toml").firstError(), "date.toml:2:8: error: a date or time, which no key has; put it in quotes");
}

} // namespace
