//===- MaxTextTest.cpp - What MaxText's keys mean -------------------------===//

#include "frontend/config/SpecWriter.h"

#include "tests/frontend/config/ConfigTestHelper.h"

using namespace primus::config;
using namespace primus::config::test;

namespace {

const std::string tiny = std::string(PRIMUS_SOURCE_DIR) + "/configs/experiments/cpu/llama-tiny-maxtext.yaml";

struct Case {
  std::vector<std::string> overrides;
  const char *field;
  const char *value;
};

TEST(MaxText, Keys) {
  for (const Case &c : std::initializer_list<Case>{
           {{}, "model.width", "128"},
           {{}, "model.layers[0].layer.feed_forward.kind", "GATED"},
           // The usual factor is part of the queries' initial weights.
           {{}, "model.layers[0].layer.attention.scale", "1"},
           {{"use_qk_norm=true"}, "model.layers[0].layer.attention.scale", "0"},
           {{}, "model.layers[0].layer.attention.rope.style", "HALF"},
           {{"rope_type=llama3.1"}, "model.layers[0].layer.attention.rope.style", "INTERLEAVED"},
           {{"rope_type=llama3.1"}, "model.layers[0].layer.attention.rope.scaling.kind", "\"llama3\""},
           {{"rope_type=llama3.1", "rope_use_scale=false"},
            "model.layers[0].layer.attention.rope.scaling.kind",
            "\"none\""},
           {{"mlp_activations=[\"gelu\"]"}, "model.layers[0].layer.feed_forward.activation", "\"gelu_tanh\""},
           {{"mlp_activations=[\"gelu\"]"}, "model.layers[0].layer.feed_forward.kind", "PLAIN"},
           {{"logits_via_embedding=true", "base_emb_dim=64"}, "model.head.logit_scale", "0.125"},
           {{"base_emb_dim=64"}, "model.initialization.embedding.std", "0.125"},
           {{"base_emb_dim=64"}, "model.initialization.query.std", "0.03125"},
           {{}, "model.initialization.gate.cutoff", "2"},
           {{}, "training.global_batch_size", "2"},
           {{"gradient_accumulation_steps=3"}, "training.global_batch_size", "6"},
           {{}, "training.log_interval", "1"},
           {{}, "training.per_microbatch_mean", "false"},
           {{"remat_policy=full"}, "training.recompute", "RECOMPUTE_FULL"},
           {{"remat_policy=minimal"}, "training.recompute", "RECOMPUTE_SELECTIVE"},
           {{}, "optimizer.decay_style", "\"cosine\""},
           {{}, "optimizer.warmup_steps", "1"},
           // The decay reaches its end with the last step.
           {{}, "optimizer.decay_steps", "9"},
           {{"steps=-1", "learning_rate_schedule_steps=30"}, "training.steps", "30"},
           {{"lr_schedule_type=wsd", "steps=100"}, "optimizer.stable_steps", "80"},
           {{"lr_schedule_type=wsd", "steps=100"}, "optimizer.decay_style", "\"linear\""},
           {{}, "optimizer.min_learning_rate", "0.0001"},
           {{}, "optimizer.decay_all", "true"},
           {{"eval_interval=4", "eval_steps=2"}, "training.eval_steps", "2"},
           {{"dtype=float32"}, "training.precision", "F32"},
           {{"ici_fsdp_parallelism=-1"}, "parallelism.data", "1"},
       }) {
    Outcome outcome = run(tiny, c.overrides);
    ASSERT_TRUE(outcome.result) << c.field << "\n" << outcome.diagnostics.str();
    EXPECT_EQ(printField(outcome.result->spec, c.field), c.value)
        << c.field << " with " << (c.overrides.empty() ? "" : c.overrides.front());
  }
}

/// A name stands for its sizes, and keys of the experiment for more.
TEST(MaxText, Names) {
  Workspace workspace;
  auto build = [&](const std::string &model, std::vector<std::string> overrides = {}) {
    workspace.write("exp.yaml", header + "modules:\n  pre_trainer:\n    framework: maxtext\n    config: pre_trainer\n"
                                         "    model: " + model + "\n");
    return run("exp.yaml", overrides);
  };
  Outcome llama = build("llama3_8B");
  ASSERT_TRUE(llama.result) << llama.diagnostics.str();
  EXPECT_EQ(printField(llama.result->spec, "model.layers[0].layer.feed_forward.width"), "14336");
  EXPECT_EQ(printField(llama.result->spec, "model.layers[0].layer.attention.rope.theta"), "500000");
  Outcome scaled = build("llama3.1_405B", {"base_num_decoder_layers=2"});
  ASSERT_TRUE(scaled.result) << scaled.diagnostics.str();
  EXPECT_EQ(printField(scaled.result->spec, "model.layers[0].count"), "2");
  EXPECT_EQ(printField(scaled.result->spec, "model.layers[0].layer.attention.rope.scaling.kind"), "\"llama3\"");
  Outcome qwen = build("qwen3_14B");
  ASSERT_TRUE(qwen.result) << qwen.diagnostics.str();
  EXPECT_EQ(printField(qwen.result->spec, "model.layers[0].layer.attention.query_norm.kind"), "RMS_NORM");
  EXPECT_EQ(printField(qwen.result->spec, "model.head.norm.epsilon"), "1e-06");
}

struct Wrong {
  const char *name;
  std::vector<std::string> overrides;
  const char *error;
};

TEST(MaxText, Mistakes) {
  for (const Wrong &c : std::initializer_list<Wrong>{
           {"model",
            {"model_name=llama2-8b"},
            "command line: error: MaxText has no model 'llama2-8b'; did you mean 'llama2-7b'?"},
           {"experts by name",
            {"model_name=mixtral-8x7b"},
            "command line: error: 'model_name: \"mixtral-8x7b\"' is not supported: mixture of experts; the blocks llama2, "
            "mistral, qwen2 and qwen3 without experts are supported"},
           {"another block",
            {"decoder_block=gemma2"},
            "command line: error: 'decoder_block: \"gemma2\"' is not supported: Gemma 2's norms and alternating windows; "
            "the blocks llama2, mistral, qwen2 and qwen3 without experts are supported"},
           {"experts",
            {"num_experts=8"},
            "command line: error: 'num_experts: 8' is not supported: mixture of experts; the blocks llama2, mistral, qwen2 "
            "and qwen3 without experts are supported"},
           {"unknown key",
            {"base_emb_dimm=64"},
            "command line: error: unknown key 'base_emb_dimm'; did you mean 'base_emb_dim'?"},
           {"weights",
            {"weight_dtype=bfloat16"},
            "command line: error: 'weight_dtype: \"bfloat16\"' is not supported: weights and optimizer state in bf16; set "
            "weight_dtype=float32"},
           {"quantization",
            {"quantization=int8"},
            "command line: error: 'quantization: \"int8\"' is not supported: that kind of quantisation; supported: fp8, "
            "nanoo_fp8"},
           {"data",
            {"dataset_type=hf"},
            "command line: error: 'dataset_type: \"hf\"' is not supported: turning text into tokens while training; set "
            "dataset_type=synthetic"},
           {"axis",
            {"ici_tensor_parallelism=0"},
            "command line: error: 'ici_tensor_parallelism' must not be 0; write 1, or -1 for the ranks that are left"},
           {"fraction of a batch",
            {"per_device_batch_size=0.5"},
            "command line: error: 'per_device_batch_size: 0.5' makes 0.5 sequences for a rank; set "
            "per_device_batch_size=1"},
           {"activation",
            {"mlp_activations=[\"swish\", \"linear\"]"},
            "command line: error: 'mlp_activations' cannot be [swish, linear]; write [silu, linear], [gelu, linear] or one "
            "of silu, gelu, relu, sigmoid"},
           {"schedule",
            {"learning_rate_schedule_steps=5"},
            "command line: error: learning_rate_schedule_steps 5 is less than steps 10, which would train at rate 0; set "
            "learning_rate_schedule_steps=10 or more"},
           {"warm-up",
            {"warmup_steps_fraction=2.0"},
            "command line: error: 'warmup_steps_fraction' must be from 0 to 1, but is 2"},
           {"steps",
            {"steps=0"},
            "command line: error: 'steps' must be at least 1, but is 0; or write -1 and give "
            "learning_rate_schedule_steps"},
           {"evaluation",
            {"eval_interval=5"},
            "command line: error: 'eval_interval' without 'eval_steps' would never end on synthetic data; set "
            "eval_steps=10, or eval_interval=-1"},
           {"checkpoint",
            {"enable_checkpointing=true"},
            "command line: error: 'enable_checkpointing: true' is not supported: checkpoints; set "
            "enable_checkpointing=false"},
           {"optimizer", {"opt_type=sgd"}, "command line: error: 'opt_type' cannot be 'sgd'; supported: adamw"},
       }) {
    Outcome outcome = run(tiny, c.overrides);
    EXPECT_FALSE(outcome.result) << c.name;
    EXPECT_EQ(outcome.firstError(), c.error) << c.name;
  }
}

} // namespace
