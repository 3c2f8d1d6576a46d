//===- MegatronTest.cpp - What Megatron keys mean -------------------------===//

#include "frontend/config/megatron/Megatron.h"

#include "tests/frontend/config/ConfigTestHelper.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <set>

using namespace primus::config;
using namespace primus::config::test;

namespace {

const std::string ownConfigs = std::string(PRIMUS_SOURCE_DIR) + "/configs/";
const std::string tiny = ownConfigs + "experiments/cpu/llama-tiny.yaml";

/// Overrides and one field of the spec that they give.
struct Case {
  std::vector<std::string> overrides;
  const char *field;
  const char *value;
};

void check(const std::string &experiment, std::initializer_list<Case> cases) {
  for (const Case &c : cases) {
    Outcome outcome = run(experiment, c.overrides);
    ASSERT_TRUE(outcome.result) << c.field << "\n" << outcome.diagnostics.str();
    EXPECT_EQ(printField(outcome.result->spec, c.field), c.value)
        << c.field << " with " << (c.overrides.empty() ? "" : c.overrides.front());
  }
}

TEST(Megatron, Architecture) {
  check(
      tiny,
      {
          {{"num_layers=3"}, "model.layers[0].count", "3"},
          {{"hidden_size=192"}, "model.width", "192"},
          {{"hidden_size=192"}, "model.layers[0].layer.attention.head_size", "24"},
          {{"kv_channels=32"}, "model.layers[0].layer.attention.head_size", "32"},
          {{}, "model.layers[0].layer.attention.groups", "4"},
          {{"group_query_attention=false"}, "model.layers[0].layer.attention.groups", "8"},
          {{"num_query_groups=None"}, "model.layers[0].layer.attention.groups", "8"},
          {{"ffn_hidden_size=None"}, "model.layers[0].layer.feed_forward.width", "320"},
          {{"ffn_hidden_size=None", "swiglu=false"}, "model.layers[0].layer.feed_forward.width", "512"},
          {{}, "model.layers[0].layer.feed_forward.kind", "GATED"},
          {{"swiglu=false"}, "model.layers[0].layer.feed_forward.kind", "PLAIN"},
          {{"swiglu=false"}, "model.layers[0].layer.feed_forward.activation", "\"gelu\""},
          {{"swiglu=false", "add_bias_linear=true"}, "model.layers[0].layer.feed_forward.activation", "\"gelu_tanh\""},
          {{"swiglu=false", "add_bias_linear=true", "bias_gelu_fusion=false"},
           "model.layers[0].layer.feed_forward.activation",
           "\"gelu\""},
          {{"swiglu=false", "squared_relu=true"}, "model.layers[0].layer.feed_forward.activation", "\"squared_relu\""},
          {{"swiglu=false", "quick_geglu=true"}, "model.layers[0].layer.feed_forward.kind", "GATED"},
          {{"add_qkv_bias=true"}, "model.layers[0].layer.attention.qkv_bias", "true"},
          {{"add_qkv_bias=true"}, "model.layers[0].layer.attention.output_bias", "false"},
          {{"qk_layernorm=true"}, "model.layers[0].layer.attention.query_norm.kind", "RMS_NORM"},
          {{}, "model.layers[0].layer.attention.query_norm.kind", "NORM_NONE"},
          {{"window_size=[127, 0]"}, "model.layers[0].layer.attention.window", "128"},
          {{"softmax_scale=0.5"}, "model.layers[0].layer.attention.scale", "0.5"},
          {{"untie_embeddings_and_output_weights=false"}, "model.head.tied", "true"},
          {{"init_method_std=0.04"}, "model.output_init_std", "0.01"},
      });
}

TEST(Megatron, Norms) {
  check(tiny, {
                  {{}, "model.head.norm.kind", "RMS_NORM"},
                  {{}, "model.head.norm.bias", "false"},
                  {{"normalization=LayerNorm"}, "model.head.norm.bias", "true"},
                  {{"apply_layernorm_1p=true"}, "model.layers[0].layer.attention_norm.offset", "1"},
                  // Both spellings count; the one that upstream reads is the stronger.
                  {{"layernorm_epsilon=None", "norm_epsilon=1e-6"}, "model.head.norm.epsilon", "1e-06"},
                  {{"layernorm_epsilon=1e-4", "norm_epsilon=1e-6"}, "model.head.norm.epsilon", "0.0001"},
              });
}

TEST(Megatron, Positions) {
  check(
      tiny,
      {
          {{}, "model.layers[0].layer.attention.position", "ROPE"},
          {{"rotary_percent=0.5"}, "model.layers[0].layer.attention.rope.dimensions", "8"},
          {{"rotary_interleaved=true"}, "model.layers[0].layer.attention.rope.style", "INTERLEAVED"},
          {{}, "model.layers[0].layer.attention.rope.scaling.kind", "\"none\""},
          {{"use_rope_scaling=true"}, "model.layers[0].layer.attention.rope.scaling.kind", "\"llama3\""},
          {{"use_rope_scaling=true", "rope_scaling_factor=32"},
           "model.layers[0].layer.attention.rope.scaling.factor",
           "32"},
          {{"use_rope_scaling=true"}, "model.layers[0].layer.attention.rope.scaling.original_positions", "8192"},
          {{"rotary_seq_len_interpolation_factor=2"},
           "model.layers[0].layer.attention.rope.scaling.kind",
           "\"linear\""},
          {{"rotary_seq_len_interpolation_factor=1"}, "model.layers[0].layer.attention.rope.scaling.kind", "\"none\""},
          {{"position_embedding_type=none"}, "model.layers[0].layer.attention.position", "POSITION_NONE"},
          {{"position_embedding_type=learned_absolute"}, "model.embedding.learned_positions", "1024"},
          // RoPE has no table to run out of.
          {{"seq_length=2048"}, "training.sequence_length", "2048"},
      });
}

TEST(Megatron, Vocabulary) {
  check(tiny,
        {
            {{}, "model.embedding.vocabulary", "256"},
            {{"tokenizer_type=NullTokenizer", "vocab_size=50256", "mock_data=true"},
             "model.embedding.vocabulary",
             "50257"},
            {{"tokenizer_type=NullTokenizer", "vocab_size=50256", "mock_data=true"},
             "model.embedding.padded_vocabulary",
             "50304"},
            {{"tokenizer_type=None", "vocab_size=97", "mock_data=true"}, "model.embedding.padded_vocabulary", "128"},
            {{"tokenizer_type=None", "vocab_size=97", "mock_data=true", "make_vocab_size_divisible_by=1"},
             "model.embedding.padded_vocabulary",
             "97"},
            {{"tokenizer_type=HuggingFaceTokenizer", "tokenizer_model=meta-llama/Llama-3.1-8B", "mock_data=true"},
             "model.embedding.vocabulary",
             "128256"},
            {{"tokenizer_type=HuggingFaceTokenizer", "tokenizer_model=my/own", "mock_data=true"},
             "model.embedding.vocabulary",
             "131073"},
        });
}

TEST(Megatron, TrainingAndOptimizer) {
  check(tiny, {
                  {{}, "training.precision", "BF16"},
                  {{"bf16=false"}, "training.precision", "F32"},
                  {{"train_iters=8"}, "training.steps", "8"},
                  {{"global_batch_size=None"}, "training.global_batch_size", "1"},
                  {{"exit_duration_in_mins=0.5"}, "training.time_limit_seconds", "30"},
                  {{"calculate_per_token_loss=false"}, "training.per_microbatch_mean", "true"},
                  {{"recompute_granularity=full"}, "training.recompute", "RECOMPUTE_FULL"},
                  {{"recompute_granularity=full", "recompute_method=uniform", "recompute_num_layers=1"},
                   "training.recompute_layers",
                   "0"},
                  {{"recompute_granularity=full", "recompute_method=block", "recompute_num_layers=3"},
                   "training.recompute_layers",
                   "3"},
                  {{"recompute_granularity=full", "recompute_method=block", "recompute_num_layers=0"},
                   "training.recompute",
                   "RECOMPUTE_NONE"},
                  {{"recompute_granularity=selective"}, "training.recompute", "RECOMPUTE_SELECTIVE"},
                  {{"recompute_activations=true"}, "training.recompute", "RECOMPUTE_SELECTIVE"},
                  {{"lr=1e-3"}, "optimizer.learning_rate", "0.001"},
                  {{"train_iters=40"}, "optimizer.decay_steps", "40"},
                  {{"lr_decay_iters=77"}, "optimizer.decay_steps", "77"},
                  {{"lr_decay_style=WSD", "lr_wsd_decay_iters=70"}, "optimizer.stable_steps", "500"},
                  {{"lr_decay_style=WSD", "lr_wsd_decay_iters=70"}, "optimizer.decay_style", "\"exponential\""},
                  {{"lr_decay_style=WSD", "lr_wsd_decay_iters=70", "lr_wsd_decay_style=minus_sqrt"},
                   "optimizer.decay_style",
                   "\"sqrt\""},
                  {{"lr_warmup_fraction=0.25", "train_iters=40"}, "optimizer.warmup_steps", "10"},
                  {{"lr_warmup_fraction=None", "lr_warmup_iters=7"}, "optimizer.warmup_steps", "7"},
                  {{"optimizer=adam"}, "optimizer.kind", "\"adamw\""},
                  {{"clip_grad=0"}, "optimizer.clip", "0"},
                  // Upstream turns it off with one tensor rank.
                  {{"sequence_parallel=true"}, "parallelism.sequence_parallel", "false"},
                  {{"trainable=false"}, "training.trainable", "false"},
                  {{"save=out", "save_interval=5"}, "checkpoint.interval", "5"},
                  {{"save=out"}, "checkpoint.save", "\"out\""},
                  {{"save=null"}, "checkpoint.save", "\"\""},
                  {{"no_save_optim=true"}, "checkpoint.parameters_only", "true"},
                  {{}, "checkpoint.fresh_optimizer", "false"},
                  {{"sink_level=WARNING"}, "output.sink_level", "\"WARNING\""},
                  {{"lr_decay_iters=null"}, "optimizer.decay_steps", "600"},
              });
}

/// Read from the mapping itself: what the keys say, whether or not all rules are kept.
TEST(Megatron, PipelineStages) {
  Workspace workspace;
  workspace.write("exp.yaml", experiment("      mock_data: true\n", "llama3.1_405B"));
  const struct {
    std::vector<std::string> overrides;
    const char *stages, *virtualStages;
  } cases[] = {
      {{"pipeline_model_parallel_size=6"}, "[]", "0"},
      {{"pipeline_model_parallel_size=16", "decoder_first_pipeline_num_layers=7", "decoder_last_pipeline_num_layers=7"},
       "[7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 7]",
       "0"},
      {{"pipeline_model_parallel_size=4", "decoder_last_pipeline_num_layers=30"}, "[32, 32, 32, 30]", "0"},
      {{"pipeline_model_parallel_size=8", "account_for_embedding_in_pipeline_split=true",
        "account_for_loss_in_pipeline_split=true"},
       "[15, 16, 16, 16, 16, 16, 16, 15]",
       "0"},
      // As upstream's own 405B experiment has it.
      {{"pipeline_model_parallel_size=8", "allow_padding_num_layers=true"}, "[16, 16, 16, 16, 16, 16, 16, 14]", "0"},
      {{"pipeline_model_parallel_size=6", "num_layers_per_virtual_pipeline_stage=7", "micro_batch_size=1", "global_batch_size=6"},
       "[]", "3"},
      {{"pipeline_model_parallel_size=6", "num_virtual_stages_per_pipeline_rank=7", "micro_batch_size=1", "global_batch_size=6"},
       "[]", "7"},
  };
  for (const auto &c : cases) {
    ConfigRequest request;
    request.experiment = "exp.yaml";
    request.overrides = c.overrides;
    Diagnostics diagnostics;
    std::optional<ResolvedConfig> config = resolveConfig(request, diagnostics);
    ASSERT_TRUE(config) << diagnostics.str();
    primus::spec::TrainingSpec spec;
    SpecWriter writer(spec);
    KeyReader reader(config->params, config->moduleLocation, diagnostics);
    std::vector<std::string> notes;
    Mapping mapping{*config, reader, writer, diagnostics, notes};
    megatron::map(mapping);
    EXPECT_FALSE(diagnostics.hasErrors()) << diagnostics.str();
    EXPECT_EQ(printField(spec, "parallelism.stage_layers"), c.stages);
    EXPECT_EQ(printField(spec, "parallelism.virtual_stages"), c.virtualStages);
  }
}

TEST(Megatron, Data) {
  Workspace workspace;
  workspace.write("corpus/a.txt", "text");
  workspace.write("tokens.bin", "");
  workspace.write("tokens.idx", "");
  check(tiny,
        {
            {{"mock_data=true"}, "data.kind", "\"mock\""},
            {{"train_data_path=corpus"}, "data.kind", "\"text\""},
            {{"train_data_path=corpus"}, "data.paths", "[\"corpus\"]"},
            {{"train_data_path=corpus tokens", "valid_data_path=corpus"}, "data.validation_paths", "[\"corpus\"]"},
            {{"train_data_path=tokens"}, "data.kind", "\"indexed\""},
            {{"train_data_path=tokens.bin"}, "data.paths", "[\"tokens\"]"},
            // Ends of documents are in indexed data only.
            {{"train_data_path=corpus", "eod_mask_loss=true"}, "data.kind", "\"text\""},
        });
  Outcome masked = run(tiny, {"train_data_path=tokens", "eod_mask_loss=true"});
  EXPECT_EQ(
      masked.firstError(),
      "command line: error: eod_mask_loss with indexed data is not supported: the token that ends documents is not "
      "known; set eod_mask_loss=false");
  // Paths stay as they are written, wherever the compiler runs.
  Outcome own = run(tiny);
  ASSERT_TRUE(own.result) << own.diagnostics.str();
  EXPECT_EQ(own.result->spec.data().paths(0), "ir");
}

/// Every model preset gives a spec.
TEST(Megatron, ShippedPresets) {
  Workspace workspace;
  for (const auto &file : std::filesystem::directory_iterator(ownConfigs + "models/megatron")) {
    std::string name = file.path().stem().string();
    if (name.ends_with("_base"))
      continue;
    workspace.write("exp.yaml", experiment("      mock_data: true\n", name));
    Outcome outcome = run("exp.yaml");
    EXPECT_TRUE(outcome.result) << name << "\n" << outcome.diagnostics.str();
    EXPECT_TRUE(outcome.diagnostics.empty()) << name << "\n" << outcome.diagnostics.str();
  }
}

void collectFields(const google::protobuf::Message &message, const std::string &prefix, std::set<std::string> &fields) {
  std::vector<const google::protobuf::FieldDescriptor *> present;
  const google::protobuf::Reflection &reflection = *message.GetReflection();
  reflection.ListFields(message, &present);
  for (const google::protobuf::FieldDescriptor *field : present) {
    std::string path = prefix + field->name();
    if (path == "sources" || path == "framework" || path == "module")
      continue;
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      fields.insert(path);
    } else if (field->is_repeated()) {
      for (int i = 0; i < reflection.FieldSize(message, field); ++i)
        collectFields(reflection.GetRepeatedMessage(message, field, i), path + "[" + std::to_string(i) + "].", fields);
    } else {
      collectFields(reflection.GetMessage(message, field), path + ".", fields);
    }
  }
}

TEST(Megatron, EveryFieldHasOneSource) {
  Workspace workspace;
  workspace.write("exp.yaml",
                  experiment("      train_data_path: .\n      qk_layernorm: true\n      use_rope_scaling: true\n"
                             "      exit_duration_in_mins: 1\n"));
  Outcome outcome = run("exp.yaml", {"window_size=[15, 0]"});
  ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
  std::set<std::string> fields, sources;
  collectFields(outcome.result->spec, "", fields);
  for (const primus::spec::Source &source : outcome.result->spec.sources()) {
    EXPECT_TRUE(sources.insert(source.field()).second) << source.field() << " has two sources";
    EXPECT_FALSE(source.key().empty()) << source.field();
    bool hasPlace = source.line() > 0 && !source.file().empty();
    EXPECT_TRUE(hasPlace || source.layer() == "default" || source.layer() == "command line")
        << source.ShortDebugString();
  }
  for (const std::string &field : fields)
    EXPECT_TRUE(sources.count(field)) << field << " has no source";
  EXPECT_EQ(sourceOf(outcome.result->spec, "model.width"), ownConfigs + "models/megatron/llama-tiny.yaml:6");
  EXPECT_EQ(sourceOf(outcome.result->spec, "model.layers[0].layer.attention.window"), "command line");
}

TEST(Megatron, SpecsAreReadBack) {
  Outcome outcome = run(tiny);
  ASSERT_TRUE(outcome.result);
  std::string text = printSpec(outcome.result->spec);
  Diagnostics diagnostics;
  std::optional<primus::spec::TrainingSpec> again = parseSpec(text, "spec.textproto", diagnostics);
  ASSERT_TRUE(again) << diagnostics.str();
  EXPECT_EQ(printSpec(*again), text);

  EXPECT_FALSE(parseSpec("model { width: x }", "spec.textproto", diagnostics));
  EXPECT_EQ(diagnostics.all().front().location.str(), "spec.textproto:1:16");
  // A spec that breaks a rule is told where the value came from.
  size_t at = text.find("groups: 4");
  text.replace(at, 9, "groups: 3");
  Diagnostics rules;
  EXPECT_FALSE(parseSpec(text, "spec.textproto", rules));
  EXPECT_EQ(rules.all().front().message, "num_attention_heads 8 is not a multiple of num_query_groups 3");
}

TEST(Megatron, ExplainSaysWhereAndWhy) {
  Workspace workspace;
  workspace.write("exp.yaml", experiment("      mock_data: true\n      wandb_project: mine\n"));
  Outcome outcome = run("exp.yaml", {"lr=1e-3"});
  ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
  std::string all = explain(*outcome.config, *outcome.result);
  EXPECT_NE(all.find("  lr = 0.001  [command line] -> optimizer.learning_rate (a number here; upstream keeps it as text)\n"), std::string::npos) << all;
  EXPECT_NE(all.find("  wandb_project = \"mine\": logging service; use --metrics\n"), std::string::npos) << all;
  EXPECT_NE(all.find("model.layers[0].layer.attention.head_size = 16: from hidden_size / num_attention_heads"),
            std::string::npos)
      << all;
  std::string one = explain(*outcome.config, *outcome.result, "lr");
  EXPECT_NE(one.find("hidden by command line"), std::string::npos) << one;
  EXPECT_EQ(one.find("wandb"), std::string::npos) << one;
  EXPECT_EQ(explain(*outcome.config, *outcome.result, "lrr"), "nothing is known of 'lrr'; did you mean 'lr'?\n");
}

/// A module preset that hides a model preset's value is worth a warning, unless a stronger layer settles it.
TEST(Megatron, HiddenPresetValuesAreWarnedOf) {
  Workspace workspace;
  workspace.write("more/models/megatron/mine.yaml", "extends: ../../../base.yaml\nseq_length: 64\n");
  workspace.write(
      "base.yaml",
      "num_layers: 2\nhidden_size: 32\nnum_attention_heads: 2\nmax_position_embeddings: 2048\nvocab_size: 50\n");
  workspace.write("exp.yaml", experiment("      mock_data: true\n", "mine"));
  ConfigRequest request{"exp.yaml", {}, {"more"}, {}, false};
  Outcome outcome = run(request);
  ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
  EXPECT_EQ(outcome.result->spec.training().sequence_length(), 1024);
  EXPECT_EQ(outcome.diagnostics.str(),
            "more/models/megatron/mine.yaml:2:13: warning: the model preset's 'seq_length: 64' is hidden by the module "
            "preset (" +
                ownConfigs + "modules/megatron/pre_trainer.yaml:7:13); repeat it under 'overrides:' if it is meant\n");
  request.overrides = {"seq_length=64"};
  EXPECT_TRUE(run(request).diagnostics.empty());
}

} // namespace
