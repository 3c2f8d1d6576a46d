//===- PresetTest.cpp - Our model presets are faithful to the models ------===//

#include "frontend/config/SpecWriter.h"

#include "tests/frontend/config/ConfigTestHelper.h"

using namespace primus::config;
using namespace primus::config::test;

namespace {

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

} // namespace
