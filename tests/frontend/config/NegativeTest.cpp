//===- NegativeTest.cpp - What users get wrong, and what they are told ----===//

#include "tests/frontend/config/ConfigTestHelper.h"

using namespace primus::config;
using namespace primus::config::test;

namespace {

/// An experiment, arguments, and the first error.
struct Case {
  const char *name;
  std::string text;
  std::vector<std::string> overrides;
  const char *error;
};

void check(const std::vector<Case> &cases) {
  for (const Case &c : cases) {
    Workspace workspace;
    workspace.write("exp.yaml", c.text);
    Outcome outcome = run("exp.yaml", c.overrides);
    EXPECT_FALSE(outcome.result) << c.name;
    EXPECT_EQ(outcome.firstError(), c.error) << c.name;
    EXPECT_EQ(workspace.countFiles(), 1u) << c.name << ": something was written";
  }
}

const std::string data = "      mock_data: true\n";

TEST(Negative, Files) {
  check({
      {"bad syntax", header + "modules: [\n", {}, "exp.yaml:6:1: error: not YAML: end of sequence flow not found"},
      {"empty file", "", {}, "exp.yaml: error: is empty; write a mapping of keys to values"},
      {"missing extends",
       "extends: bas.yaml\n" + header,
       {},
       "exp.yaml:1:10: error: extends 'bas.yaml', but there is no file bas.yaml; paths are relative to the file that "
       "says 'extends'"},
      {"cyclic extends",
       "extends: exp.yaml\n" + header,
       {},
       "exp.yaml:1:10: error: 'extends' goes in a circle: exp.yaml -> exp.yaml; remove one of these lines"},
      {"missing variable",
       experiment("      lr: ${PRIMUS_TEST_UNSET}\n"),
       {},
       "exp.yaml:11:11: error: the environment variable 'PRIMUS_TEST_UNSET' is not set; set it, or write "
       "${PRIMUS_TEST_UNSET:default}"},
  });
  Outcome missing = run("no-such.yaml");
  EXPECT_EQ(missing.firstError(),
            "command line: error: there is no experiment file 'no-such.yaml'; name a file, such as "
            "configs/experiments/cpu/llama-tiny.yaml");
}

TEST(Negative, Experiments) {
  check({
      {"no modules", header, {}, "exp.yaml: error: the experiment has no 'modules'; add a line 'modules: ...'"},
      {"misspelled modules",
       header + "module:\n  pre_trainer: {}\n",
       {},
       "exp.yaml:5:1: error: the experiment has no 'modules'; is 'module' meant to be it?"},
      {"modules null",
       header + "modules:\n",
       {},
       "exp.yaml:5:1: error: 'modules' must map module names to their settings, but this is null"},
      {"no work_group",
       "user_name: me\nexp_name: run\nworkspace: o\nmodules: {pre_trainer: {framework: megatron, config: pre_trainer, "
       "model: llama-tiny}}\n",
       {},
       "exp.yaml: error: the experiment has no 'work_group'; add a line 'work_group: ...'"},
      {"numeric name",
       "work_group: a\nuser_name: b\nexp_name: 42\nworkspace: o\nmodules: {pre_trainer: {framework: megatron, config: "
       "pre_trainer, model: llama-tiny}}\n",
       {},
       "exp.yaml:3:11: error: 'exp_name' must be text, but this is an integer; put it in quotes"},
      {"no trainer",
       header + "modules:\n  foo: {framework: megatron}\n",
       {},
       "exp.yaml:6:3: error: no module is a trainer (there is: foo); call one pre_trainer or post_trainer"},
      {"no framework",
       header + "modules:\n  pre_trainer:\n    config: pre_trainer\n    model: llama-tiny\n",
       {},
       "exp.yaml:7:5: error: module 'pre_trainer' has no 'framework'; add 'framework: megatron'"},
      {"no model",
       header + "modules:\n  pre_trainer:\n    framework: megatron\n    config: pre_trainer\n",
       {},
       "exp.yaml:7:5: error: module 'pre_trainer' has no 'model'; add 'model: NAME.yaml'"},
      {"overrides is a list",
       header + "modules:\n  pre_trainer:\n    framework: megatron\n    config: pre_trainer\n    model: llama-tiny\n   "
                " overrides: [lr]\n",
       {},
       "exp.yaml:10:16: error: 'overrides' must be a mapping of keys to values, but this is a list; write 'key: value' "
       "lines below it"},
      {"missing preset",
       experiment("", "llama-tyni"),
       {},
       "exp.yaml:9:12: error: there is no model preset 'llama-tyni' for framework 'megatron' (looked for "
       "models/megatron/llama-tyni.yaml in "
       "<own>); did you mean 'llama-tiny'?"},
      {"escaping preset",
       experiment("", "../../x"),
       {},
       "exp.yaml:9:12: error: preset '../../x.yaml' leaves the preset folders; name a file below models/megatron, and "
       "add folders with "
       "--config-path"},
      {"wrong framework",
       header + "modules:\n  pre_trainer:\n    framework: megatrom\n    config: pre_trainer\n    model: llama-tiny\n",
       {},
       "exp.yaml:8:13: error: there are no presets for framework 'megatrom' in <own>; did you mean 'megatron'?"},
      {"platform without config",
       header + "platform: {overrides: {}}\nmodules: {pre_trainer: {framework: megatron, config: pre_trainer, model: "
                "llama-tiny}}\n",
       {},
       "exp.yaml:5:11: error: 'platform' has no 'config'; name its preset, or remove 'platform'"},
      {"unknown top-level key",
       "extend: x.yaml\n" + experiment(data),
       {},
       "exp.yaml:1:1: error: unknown key 'extend' in an experiment; did you mean 'extends'?"},
  });
}

TEST(Negative, Keys) {
  check({
      {"unknown key",
       experiment(data + "      hiden_size: 64\n"),
       {},
       "exp.yaml:12:7: error: unknown key 'hiden_size'; did you mean 'hidden_size'?"},
      {"unknown key on the command line",
       experiment(data),
       {"trian_iters=8"},
       "command line: error: unknown key 'trian_iters'; did you mean 'train_iters'?"},
      {"nothing near",
       experiment(data + "      zzzzzzzzzzzz: 1\n"),
       {},
       "exp.yaml:12:7: error: unknown key 'zzzzzzzzzzzz'; remove it, or pass --allow-unknown"},
      {"wrong type",
       experiment(data + "      num_layers: eight\n"),
       {},
       "exp.yaml:12:19: error: 'num_layers' must be an integer, but \"eight\" is a string; remove quotes, if any"},
      {"fraction",
       experiment(data),
       {"train_iters=1.5"},
       "command line: error: 'train_iters' must be an integer, but 1.5 is a number"},
      {"text for a flag",
       experiment(data),
       {"bf16=maybe"},
       "command line: error: 'bf16' must be true or false, but \"maybe\" is a string"},
      {"zero",
       experiment(data + "      micro_batch_size: 0\n"),
       {},
       "exp.yaml:12:25: error: 'micro_batch_size' must be at least 1, but is 0"},
      {"missing value",
       experiment(data + "      train_iters: null\n"),
       {},
       "exp.yaml:12:20: error: 'train_iters' (number of steps) is not set; set it in the model preset, under "
       "'overrides:' or as "
       "train_iters=VALUE"},
      {"choice",
       experiment(data + "      lr_decay_style: cosin\n"),
       {},
       "exp.yaml:12:23: error: 'lr_decay_style' cannot be 'cosin'; did you mean 'cosine'?"},
      {"not an override",
       experiment(data),
       {"train_iters"},
       "command line: error: 'train_iters' is not an override; write key=value"},
      {"into a scalar",
       experiment(data),
       {"a=1", "a.b=2"},
       "command line: error: 'a.b' reaches into 'a', which another argument sets to 1; give one of them only"},
      {"no data",
       experiment("      lr: 1.0e-3\n"),
       {},
       "<own>/modules/megatron/trainer_base.yaml:46:18: error: 'train_data_path' (training data; mock_data: true "
       "trains on random tokens) is "
       "not set; set it in the model preset, under 'overrides:' or as train_data_path=VALUE"},
      {"bad split",
       experiment(data),
       {"split=a,b"},
       "command line: error: 'split' must be up to three shares, but is 'a,b'; write training, validation and test, "
       "such as 95,5,0"},
  });
}

TEST(Negative, WhatIsNotSupportedIsNeverIgnored) {
  check({
      {"dropout",
       experiment(data + "      hidden_dropout: 0.1\n"),
       {},
       "exp.yaml:12:23: error: 'hidden_dropout: 0.1' is not supported: dropout; set hidden_dropout=0"},
      {"fp4",
       experiment(data + "      fp4: e2m1\n"),
       {},
       "exp.yaml:12:12: error: 'fp4: \"e2m1\"' is not supported: MXFP4 and other 4-bit formats; set fp4=false"},
      {"experts",
       experiment(data),
       {"num_experts=8"},
       "command line: error: 'num_experts: 8' is not supported: mixture of experts; set num_experts=None"},
      {"experts on ranks",
       experiment(data),
       {"expert_model_parallel_size=2"},
       "command line: error: expert_model_parallel_size = 2 is not supported: expert parallelism; set "
       "expert_model_parallel_size=1"},
      {"fp16",
       experiment(data),
       {"bf16=false", "fp16=true"},
       "command line: error: fp16 is not supported: loss scaling is missing; use bf16: true"},
      {"checkpoint",
       experiment(data),
       {"use_checkpoint_args=true"},
       "command line: error: 'use_checkpoint_args: true' is not supported: a model described by a checkpoint; set "
       "use_checkpoint_args=false"},
  });
}

TEST(Negative, Rules) {
  check({
      {"heads and width",
       experiment(data + "      num_attention_heads: 7\n"),
       {},
       "exp.yaml:12:28: error: hidden_size 128 is not a multiple of num_attention_heads 7; change one of them, or give "
       "the head size as kv_channels"},
      {"heads and groups",
       experiment(data + "      num_query_groups: 3\n"),
       {},
       "exp.yaml:12:25: error: num_attention_heads 8 is not a multiple of num_query_groups 3; change one of them "
       "(num_attention_heads stands at "
       "<own>/models/megatron/llama-tiny.yaml:8:22)"},
      {"odd head",
       experiment(data + "      kv_channels: 7\n"),
       {},
       "<own>/models/megatron/llama_base.yaml:7:17: error: RoPE rotates pairs: 7 elements of a head of 7 are not "
       "possible; choose an even number of "
       "at most the head size"},
      {"batch sizes",
       experiment(data + "      micro_batch_size: 3\n      global_batch_size: 8\n"),
       {},
       "exp.yaml:13:26: error: global_batch_size 8 is not a multiple of micro_batch_size 3; set global_batch_size=9"},
      {"positions",
       experiment(data + "      seq_length: 2048\n", "gpt2_124M"),
       {},
       "exp.yaml:12:19: error: seq_length 2048 is longer than the table of 1024 learned positions; lower seq_length, "
       "or raise "
       "max_position_embeddings (<own>/models/megatron/gpt_base.yaml:6:26)"},
      {"learning rates",
       experiment(data),
       {"lr=1e-6"},
       "<own>/modules/megatron/trainer_base.yaml:21:9: error: min_lr 2.5e-05 is above lr 1e-06; "
       "lower it too (lr stands at command line)"},
      {"save interval",
       experiment(data),
       {"save_interval=-1"},
       "command line: error: 'save_interval' must be at least 0, but is -1"},
      {"beta",
       experiment(data),
       {"adam_beta2=1"},
       "command line: error: 'adam_beta2' must be at least 0 and below 1, but is 1"},
      {"recompute",
       experiment(data),
       {"recompute_granularity=full", "recompute_method=block", "recompute_num_layers=9"},
       "command line: error: recompute_num_layers 9 is more than the model's 8 layers"},
      {"activations",
       experiment(data),
       {"squared_relu=true"},
       "command line: error: 'swiglu' and 'squared_relu' exclude each other; set one of them only"},
      {"scaling without RoPE",
       experiment(data),
       {"use_rope_scaling=true", "position_embedding_type=none"},
       "command line: error: 'use_rope_scaling' has nothing to scale: the positions are none; set "
       "position_embedding_type=rope (command line)"},
      {"window",
       experiment(data),
       {"window_size=[5]"},
       "command line: error: 'window_size' must be [tokens before the query, 0], but is [5]; write [127, 0] for a "
       "window of 128 tokens, or None"},
      {"bytes",
       experiment(data),
       {"vocab_size=300"},
       "command line: error: tokenizer_type bytes has 256 tokens, but vocab_size is 300; remove vocab_size"},
      {"tokenizer",
       experiment(
           "      train_data_path: x\n      tokenizer_type: HuggingFaceTokenizer\n      tokenizer_model: my/own\n"),
       {},
       "exp.yaml:13:24: error: the size of the vocabulary of tokenizer 'my/own' is not known here; set vocab_size"},
  });
}

TEST(Negative, ParallelSizes) {
  check({
      {"heads",
       experiment(data),
       {"tensor_model_parallel_size=3"},
       "command line: error: num_attention_heads 8 is not a multiple of tensor_model_parallel_size 3; set "
       "tensor_model_parallel_size=2 (num_attention_heads stands at <own>/models/megatron/llama-tiny.yaml:8:22)"},
      {"groups",
       experiment(data + "      tensor_model_parallel_size: 8\n"),
       {},
       "exp.yaml:12:35: error: num_query_groups 4 is not a multiple of tensor_model_parallel_size 8; set "
       "tensor_model_parallel_size=4 (num_query_groups stands at <own>/models/megatron/llama-tiny.yaml:9:19)"},
      {"inner width",
       experiment(data),
       {"tensor_model_parallel_size=4", "ffn_hidden_size=390"},
       "command line: error: ffn_hidden_size 390 is not a multiple of tensor_model_parallel_size 4; set "
       "tensor_model_parallel_size=2 (ffn_hidden_size stands at command line)"},
      {"sequence and tensor ranks",
       experiment(data),
       {"tensor_model_parallel_size=4", "sequence_parallel=true", "seq_length=30"},
       "command line: error: seq_length 30 is not a multiple of tensor_model_parallel_size 4; set "
       "tensor_model_parallel_size=2 (seq_length stands at command line)"},
      {"sequence and context ranks",
       experiment(data),
       {"context_parallel_size=4", "seq_length=36"},
       "command line: error: seq_length 36 is not a multiple of 2 * context_parallel_size 4; set "
       "context_parallel_size=3 (seq_length stands at command line)"},
      {"layers",
       experiment(data + "      pipeline_model_parallel_size: 3\n"),
       {},
       "exp.yaml:12:37: error: num_layers 8 is not a multiple of pipeline_model_parallel_size 3; set "
       "pipeline_model_parallel_size=2, or pipeline_model_parallel_layout='Et*3|t*3|t*2L' (num_layers stands at <own>/models/megatron/llama-tiny.yaml:5:13)"},
      {"first and last stage",
       experiment(data),
       {"pipeline_model_parallel_size=4", "decoder_first_pipeline_num_layers=1"},
       "command line: error: with 'decoder_first_pipeline_num_layers' the 8 layers cannot be split over 4 "
       "pipeline stages; what they leave must divide by the other stages (4 pipeline stages from command line)"},
      {"first stage without layers",
       experiment(data),
       {"pipeline_model_parallel_size=4", "decoder_first_pipeline_num_layers=0"},
       "command line: error: with 'decoder_first_pipeline_num_layers' the 8 layers cannot be split over 4 "
       "pipeline stages; what they leave must divide by the other stages (4 pipeline stages from command line)"},
      {"vocabulary stages",
       experiment(data),
       {"pipeline_model_parallel_size=4", "account_for_embedding_in_pipeline_split=true"},
       "command line: error: with 'account_for_embedding_in_pipeline_split' the 8 layers cannot be split over 4 "
       "pipeline stages; with what counts as a layer they are 9; set pipeline_model_parallel_size to a divisor of "
       "that"},
      {"virtual stages",
       experiment(data),
       {"pipeline_model_parallel_size=2", "num_virtual_stages_per_pipeline_rank=3"},
       "command line: error: the 4 layers of a pipeline stage cannot be split into "
       "num_virtual_stages_per_pipeline_rank 3; choose a divisor of 4 (pipeline_model_parallel_size stands at "
       "command line)"},
      {"virtual stages and microbatches",
       experiment(data),
       {"pipeline_model_parallel_size=4", "num_virtual_stages_per_pipeline_rank=2", "micro_batch_size=1", "global_batch_size=6"},
       "command line: error: 6 microbatches are not a multiple of pipeline_model_parallel_size 4, which "
       "num_virtual_stages_per_pipeline_rank 2 needs; set global_batch_size=8 (global_batch_size stands at "
       "command line)"},
      {"virtual stages of one stage",
       experiment(data),
       {"virtual_pipeline_model_parallel_size=2"},
       "command line: error: virtual_pipeline_model_parallel_size 2 needs several pipeline stages, but "
       "pipeline_model_parallel_size is 1; set virtual_pipeline_model_parallel_size=1 (pipeline_model_parallel_size "
       "stands at <own>/modules/megatron/trainer_base.yaml:39:31)"},
      {"far too many",
       experiment(data),
       {"tensor_model_parallel_size=1000000000"},
       "command line: error: 'tensor_model_parallel_size' must be at most 32768, but is 1000000000"},
      {"layers without end",
       experiment(data),
       {"num_layers=100000000"},
       "command line: error: 'num_layers' must be at most 65536, but is 100000000"},
      {"warm-up",
       experiment(data + "      lr_warmup_iters: 9\n      train_iters: 9\n"),
       {},
       "exp.yaml:12:24: error: the warm-up of 9 steps leaves nothing of the 9 steps over which the learning rate "
       "decays; set lr_warmup_iters to at most 8 (train_iters stands at exp.yaml:13:20)"},
      {"warm-up share",
       experiment(data),
       {"lr_warmup_fraction=5"},
       "command line: error: 'lr_warmup_fraction' must be at least 0 and below 1, but is 5; it is a share of the "
       "steps; a number of steps is lr_warmup_iters"},
      {"warm-up begins too high",
       experiment(data),
       {"lr_warmup_init=1"},
       "command line: error: lr_warmup_init 1 is above lr 0.00025; warm-up begins below the highest rate (lr "
       "stands at <own>/modules/megatron/trainer_base.yaml:20:5)"},
  });
}

/// What is wrong comes before what is not supported.
TEST(Negative, DivisibilityComesBeforeSupport) {
  Workspace workspace;
  workspace.write("exp.yaml", experiment(data));
  Outcome outcome = run("exp.yaml", {"pipeline_model_parallel_size=3", "fp4=e2m1"});
  std::vector<std::string> errors;
  for (const Diagnostic &diagnostic : outcome.diagnostics.all())
    errors.push_back(diagnostic.message);
  EXPECT_EQ(errors, (std::vector<std::string>{
                        "'fp4: \"e2m1\"' is not supported: MXFP4 and other 4-bit formats",
                        "num_layers 8 is not a multiple of pipeline_model_parallel_size 3"}));
}

TEST(Negative, Memory) {
  check({
      {"one GPU",
       experiment(data + "      hardware: mi300x\n", "llama3.1_70B"),
       {},
       "exp.yaml:12:17: error: parameters, gradients and optimizer state take 1051 GiB with "
       "tensor_model_parallel_size=1 (<own>/modules/megatron/trainer_base.yaml:38:29) and pipeline_model_parallel_size=1 "
       "(<own>/modules/megatron/trainer_base.yaml:39:31), but hardware mi300x has 192 GiB; use "
       "tensor_model_parallel_size=8 --ranks 8, which takes 131.4 GiB"},
      {"one node",
       experiment(data + "      hardware: mi300x\n      tensor_model_parallel_size: 8\n", "llama3.1_405B"),
       {},
       "exp.yaml:12:17: error: parameters, gradients and optimizer state take 756.1 GiB with "
       "tensor_model_parallel_size=8 (exp.yaml:13:35) and pipeline_model_parallel_size=1 (<own>/modules/megatron/trainer_base.yaml:39:31), but "
       "hardware mi300x has 192 GiB; use tensor_model_parallel_size=8 use_torch_fsdp2=true --ranks 64, which takes "
       "94.51 GiB"},
      {"no such hardware",
       experiment(data),
       {"hardware=mi30x"},
       "command line: error: there is no hardware 'mi30x'; did you mean 'mi300x'?"},
  });
}

/// An experiment of the megatron_bridge flavour.
std::string bridge(const std::string &overrides) {
  return header +
         "modules:\n  pre_trainer:\n    framework: megatron_bridge\n    config: pretrain_trainer\n    model: qwen3_8b\n    "
         "overrides:\n" +
         overrides;
}

TEST(Negative, Bridge) {
  const std::string complete = "      {train_iters: 5, global_batch_size: 2, micro_batch_size: 1, seq_length: 64, "
                               "lr: 1.0e-3, min_lr: 0.0, lr_warmup_iters: 1, mock: true}\n";
  check({
      {"fine-tuning",
       bridge(complete),
       {"stage=sft"},
       "command line: error: 'stage: \"sft\"' is not supported: fine-tuning of pretrained weights; set "
       "stage=pretrain"},
      {"adapter",
       bridge(complete),
       {"peft=lora"},
       "command line: error: 'peft: \"lora\"' is not supported: LoRA and other adapters; set peft=none"},
      {"recipe",
       bridge(complete),
       {"recipe=qwen.qwen3_moe"},
       "command line: error: recipe 'qwen.qwen3_moe' is not supported: mixture of experts; choose a dense model: "
       "llama.llama3, qwen.qwen2 or qwen.qwen3"},
      {"unknown recipe",
       bridge(complete),
       {"recipe=qwen.qwen4"},
       "command line: error: recipe 'qwen.qwen4' is not known here; did you mean 'qwen.qwen2'?"},
      {"flavor",
       bridge(complete),
       {"flavor=qwen3_8b_finetune_config"},
       "command line: error: flavor 'qwen3_8b_finetune_config' is not supported: only pre-training is; choose "
       "one that ends with _pretrain_config"},
      {"unknown flavor",
       bridge(complete),
       {"hf_path=None", "flavor=qwen3_9b_pretrain_config"},
       "command line: error: flavor 'qwen3_9b_pretrain_config' is not known here; did you mean "
       "'qwen3_4b_pretrain_config'?"},
      {"hub",
       bridge(complete),
       {"hf_path=me/mine"},
       "command line: error: the architecture of hf_path 'me/mine' is not known here; known: Llama-2-7b-hf, "
       "Meta-Llama-3-8B, Meta-Llama-3-70B, Meta-Llama-3.1-8B, Meta-Llama-3.1-70B, Meta-Llama-3.1-405B, "
       "Llama-3.2-1B, Llama-3.2-3B, Qwen2-0.5B, Qwen2-1.5B, Qwen2-7B, Qwen2-72B, Qwen2.5-0.5B, Qwen2.5-1.5B, "
       "Qwen2.5-7B, Qwen2.5-14B, Qwen2.5-32B, Qwen2.5-72B, Qwen3-0.6B, Qwen3-1.7B, Qwen3-4B, Qwen3-8B, "
       "Qwen3-14B, Qwen3-32B"},
      {"precision",
       bridge(complete),
       {"precision_config=fp8"},
       "command line: error: 'precision_config' cannot be 'fp8'; supported: bf16_mixed"},
      {"no length",
       bridge("      lr: 1.0e-3\n"),
       {},
       "exp.yaml:6:3: error: 'train_iters' (number of steps) is not set; set it in the model preset, under "
       "'overrides:' or as train_iters=VALUE"},
  });
}

TEST(Negative, AllowUnknownMakesWarnings) {
  Workspace workspace;
  workspace.write("exp.yaml", experiment(data + "      hiden_size: 64\n"));
  ConfigRequest request;
  request.experiment = "exp.yaml";
  request.allowUnknown = true;
  Outcome outcome = run(request);
  EXPECT_TRUE(outcome.result);
  EXPECT_EQ(outcome.diagnostics.str(),
            "exp.yaml:12:7: warning: unknown key 'hiden_size' has no effect; did you mean 'hidden_size'?\n");
}

/// One run reports everything that it can, in the order of the file.
TEST(Negative, AllMistakesAreReportedAtOnce) {
  Workspace workspace;
  workspace.write("exp.yaml", experiment(data + "      hiden_size: 64\n      lr: fast\n      hidden_dropout: 0.5\n"));
  Outcome outcome = run("exp.yaml");
  EXPECT_EQ(outcome.diagnostics.str(),
            "exp.yaml:12:7: error: unknown key 'hiden_size'; did you mean 'hidden_size'?\n"
            "exp.yaml:13:11: error: 'lr' must be a finite number, but \"fast\" is a string; remove quotes, if any\n"
            "exp.yaml:14:23: error: 'hidden_dropout: 0.5' is not supported: dropout; set hidden_dropout=0\n");
}

} // namespace
