//===- PresetTest.cpp - Our model presets are faithful to the models ------===//

#include "frontend/config/SpecWriter.h"

#include "tests/frontend/config/ConfigTestHelper.h"

using namespace primus::config;
using namespace primus::config::test;

namespace {

const std::string configs = std::string(PRIMUS_SOURCE_DIR) + "/configs/";

/// What tells families apart beside their sizes, as the models' own configurations say it.
const struct {
  const char *preset, *field, *value;
} kFacts[] = {
    {"gpt2_124M", "model.embedding.learned_positions", "1024"},
    {"gpt2_124M", "model.layers[0].layer.feed_forward.activation", "\"gelu_tanh\""},
    {"gpt3_1.3B", "model.embedding.learned_positions", "2048"},
    {"gpt3_1.3B", "model.layers[0].layer.attention.head_size", "64"},
    {"llama2_7B", "model.layers[0].layer.attention.rope.theta", "10000"},
    {"llama3_8B", "model.layers[0].layer.attention.rope.theta", "500000"},
    {"llama3_8B", "model.layers[0].layer.attention.rope.scaling.kind", "\"none\""},
    {"llama3.1_8B", "model.layers[0].layer.attention.rope.scaling.kind", "\"llama3\""},
    {"llama3.1_8B", "model.layers[0].layer.attention.rope.scaling.factor", "8"},
    {"llama3.2_1B", "model.layers[0].layer.attention.rope.scaling.factor", "32"},
    {"llama3.2_1B", "model.head.tied", "true"},
    {"llama3.3_70B", "model.layers[0].layer.attention.rope.scaling.factor", "8"},
    {"mistral_7B_v0.1", "model.layers[0].layer.attention.window", "4096"},
    {"mistral_7B_v0.2", "model.layers[0].layer.attention.window", "0"},
    {"mistral_7B_v0.3", "model.layers[0].layer.attention.rope.theta", "1000000"},
    {"mistral_nemo_12B", "model.layers[0].layer.attention.head_size", "128"},
    {"qwen2_7B", "model.layers[0].layer.attention.qkv_bias", "true"},
    {"qwen2_7B", "model.layers[0].layer.attention.output_bias", "false"},
    {"qwen2.5_3B", "model.head.tied", "true"},
    {"qwen2.5_7B", "model.layers[0].layer.attention.qkv_bias", "true"},
    {"qwen2.5_7B", "model.layers[0].layer.attention_norm.epsilon", "1e-06"},
    {"qwen2.5_14B", "model.layers[0].layer.attention_norm.epsilon", "1e-05"},
    {"qwen2.5_72B", "model.head.tied", "false"},
    {"qwen3_4B", "model.layers[0].layer.attention.query_norm.kind", "RMS_NORM"},
    {"qwen3_4B", "model.layers[0].layer.attention.key_norm.epsilon", "1e-06"},
    {"qwen3_4B", "model.layers[0].layer.attention.head_size", "128"},
    {"qwen3_4B", "model.layers[0].layer.attention.qkv_bias", "false"},
    {"qwen3_32B", "model.layers[0].layer.attention.head_size", "128"},
    {"qwen3_8B", "model.head.tied", "false"},
    {"yi_6B", "model.layers[0].layer.attention.rope.theta", "5000000"},
};

TEST(Presets, SayWhatTellsFamiliesApart) {
  Workspace workspace;
  for (const auto &fact : kFacts) {
    workspace.write("exp.yaml", experiment("      mock_data: true\n", fact.preset));
    Outcome outcome = run("exp.yaml");
    ASSERT_TRUE(outcome.result) << fact.preset << "\n" << outcome.diagnostics.str();
    EXPECT_EQ(printField(outcome.result->spec, fact.field), fact.value) << fact.preset << " " << fact.field;
  }
}

/// Every experiment gives a spec, and nothing in it is worth a warning.
TEST(Presets, ExperimentsGiveSpecs) {
  size_t experiments = 0;
  for (const char *folder : {"cpu", "mi300x", "mi325x", "mi355x"})
    for (const auto &file : std::filesystem::directory_iterator(configs + "experiments/" + folder)) {
      if (file.path().stem() == "base")
        continue;
      ++experiments;
      Outcome outcome = run(file.path().string());
      ASSERT_TRUE(outcome.result) << file.path() << "\n" << outcome.diagnostics.str();
      EXPECT_TRUE(outcome.diagnostics.empty()) << file.path() << "\n" << outcome.diagnostics.str();
      if (folder != std::string("cpu")) {
        EXPECT_EQ(outcome.result->spec.hardware().name(), folder) << file.path();
      }
    }
  EXPECT_GE(experiments, 130u);
}

/// Every preset of hardware is read whole, and its figures are those that the field's unit makes of them.
TEST(Presets, Hardware) {
  Workspace workspace;
  for (const auto &file : std::filesystem::directory_iterator(configs + "hardware")) {
    std::string name = file.path().stem().string();
    workspace.write("exp.yaml", experiment("      mock_data: true\n      hardware: " + name + "\n"));
    Outcome outcome = run("exp.yaml");
    ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
    const primus::spec::Hardware &hardware = outcome.result->spec.hardware();
    EXPECT_GT(hardware.memory_bytes(), int64_t(1) << 30) << file.path();
    EXPECT_GT(hardware.memory_bandwidth(), 1e11) << file.path();
    EXPECT_GE(hardware.bf16_flops(), hardware.f32_flops()) << file.path();
    EXPECT_GT(hardware.f32_flops(), 1e12) << file.path();
  }
  workspace.write("exp.yaml", experiment("      mock_data: true\n      hardware: mi325x\n"));
  Outcome outcome = run("exp.yaml");
  ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
  EXPECT_EQ(printField(outcome.result->spec, "hardware.target"), "\"gfx942\"");
  EXPECT_EQ(printField(outcome.result->spec, "hardware.memory_bytes"), "274877906944");
  EXPECT_EQ(printField(outcome.result->spec, "hardware.bf16_flops"), "1.3074e+15");
  EXPECT_EQ(printField(outcome.result->spec, "hardware.link_bandwidth"), "64000000000");
}

/// A GPU target names its hardware where no key does; the CPU target names none.
TEST(Presets, TargetsImplyHardware) {
  Workspace workspace;
  workspace.write("exp.yaml", experiment("      mock_data: true\n"));
  for (auto [target, name] : {std::pair{"cpu", ""}, {"gfx942", "mi300x"}, {"gfx950", "mi355x"}}) {
    ConfigRequest request;
    request.experiment = "exp.yaml";
    request.target = target;
    Outcome outcome = run(request);
    ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
    EXPECT_EQ(outcome.result->spec.hardware().name(), name);
  }
}

/// A user's own hardware lies beside his presets.
TEST(Presets, OwnHardware) {
  Workspace workspace;
  workspace.write("more/hardware/small.yaml", "target: gfx942\nmemory_gib: 0.015\nmemory_tb_per_second: 1\n");
  workspace.write("exp.yaml", experiment("      mock_data: true\n      hardware: small\n"));
  ConfigRequest request;
  request.experiment = "exp.yaml";
  request.configPaths = {"more"};
  EXPECT_EQ(run(request).firstError(),
            "exp.yaml:12:17: error: parameters, gradients and optimizer state take 0.02444 GiB with "
            "tensor_model_parallel_size=1 (<own>/modules/megatron/trainer_base.yaml:38:29) and pipeline_model_parallel_size=1 "
            "(<own>/modules/megatron/trainer_base.yaml:39:31), but hardware small has 0.015 GiB; use "
            "tensor_model_parallel_size=4 --ranks 4, which takes 0.006134 GiB");
  workspace.write("more/hardware/small.yaml", "target: gfx942\nmemory_gib: -1\n");
  EXPECT_EQ(run(request).firstError(),
            "more/hardware/small.yaml:2:13: error: 'memory_gib' must be above 0 and below 1000000, but is -1");
  workspace.write("more/hardware/small.yaml", "target: gfx942\nmemory_gb: 1\n");
  EXPECT_EQ(run(request).firstError(),
            "more/hardware/small.yaml:2:1: error: unknown key 'memory_gb' in a hardware preset; did you mean "
            "'memory_gib'?");
}

/// A table of tiles in place of the cost model's choices.
TEST(Presets, TilesOfProducts) {
  Workspace workspace;
  workspace.write("exp.yaml", experiment("      mock_data: true\n      hardware: tiled\n"));
  ConfigRequest request;
  request.experiment = "exp.yaml";
  request.configPaths = {"more"};
  auto setTable = [&](const std::string &entry) {
    workspace.write("more/hardware/tiled.yaml", "target: gfx942\nmatmul_tiles:\n  - " + entry + "\n");
  };
  setTable("{m: 512, bits: 16, tile: [64, 128], waves: [1, 2]}");
  Outcome outcome = run(request);
  ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
  EXPECT_EQ(printField(outcome.result->spec, "hardware.matmul_tiles[0].m"), "512");
  EXPECT_EQ(printField(outcome.result->spec, "hardware.matmul_tiles[0].n"), "0");
  EXPECT_EQ(outcome.result->spec.hardware().matmul_tiles(0).tile(1), 128);
  EXPECT_EQ(outcome.result->spec.hardware().matmul_tiles(0).waves(1), 2);
  setTable("{tile: [64], waves: [1, 1]}");
  EXPECT_EQ(run(request).firstError(), "more/hardware/tiled.yaml:3:12: error: 'tile' of an entry of 'matmul_tiles' must be "
                                       "two numbers from 1 to 1024; for example tile: [128, 128], waves: [2, 2]");
  setTable("{tile: [64, 64], waves: [1, 1], kk: 3}");
  EXPECT_EQ(run(request).firstError(),
            "more/hardware/tiled.yaml:3:37: error: unknown key 'kk' in a hardware preset; did you mean 'k'?");
}

} // namespace
