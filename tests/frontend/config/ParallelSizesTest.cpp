//===- ParallelSizesTest.cpp - Every framework's way to say who shares what ===//

#include "frontend/config/Flavour.h"

#include "tests/frontend/config/ConfigTestHelper.h"

#include <fmt/format.h>

using namespace primus::config;
using namespace primus::config::test;

namespace {

const std::string folder = std::string(PRIMUS_SOURCE_DIR) + "/configs/experiments/cpu/";

/// Arguments, --ranks, and the sizes that follow: "replicate x shard, zero Z, tensor (+ if the sequence is split too),
/// context and how it is exchanged".
struct Case {
  std::vector<std::string> overrides;
  int64_t ranks;
  const char *sizes;
};

ConfigRequest request(const std::string &file, const Case &c) {
  ConfigRequest request;
  request.experiment = folder + file;
  request.overrides = c.overrides;
  request.ranks = c.ranks;
  return request;
}

/// What the flavour makes of the keys, before it is judged.
primus::spec::TrainingSpec map(const ConfigRequest &request, Diagnostics &diagnostics) {
  std::optional<ResolvedConfig> config = resolveConfig(request, diagnostics);
  primus::spec::TrainingSpec spec;
  if (!config)
    return spec;
  SpecWriter writer(spec);
  KeyReader reader(config->params, config->moduleLocation, diagnostics);
  std::vector<std::string> notes;
  Mapping mapping{*config, reader, writer, diagnostics, notes};
  for (const Flavour &flavour : flavours())
    if (flavour.framework == config->framework)
      flavour.map(mapping);
  return spec;
}

std::string describe(const primus::spec::TrainingSpec &spec) {
  const primus::spec::Parallelism &p = spec.parallelism();
  EXPECT_EQ(p.data(), p.replicate() * p.shard());
  EXPECT_EQ(p.world_size(), p.data() * p.tensor() * p.pipeline() * p.context());
  return fmt::format("{}x{} zero {} tp {}{} cp {} {}", p.replicate(), p.shard(), p.zero_stage(), p.tensor(),
                     p.sequence_parallel() ? "+" : "", p.context(),
                     primus::spec::ContextExchange_Name(p.context_exchange()));
}

void check(const std::string &file, const std::vector<Case> &cases) {
  for (const Case &c : cases) {
    Diagnostics diagnostics;
    primus::spec::TrainingSpec spec = map(request(file, c), diagnostics);
    std::string arguments = fmt::format("--ranks {}", c.ranks);
    for (const std::string &override : c.overrides)
      arguments += " " + override;
    EXPECT_FALSE(diagnostics.hasErrors()) << arguments << "\n" << diagnostics.str();
    EXPECT_EQ(describe(spec), c.sizes) << arguments;
    if (c.ranks > 0) {
      EXPECT_EQ(spec.parallelism().world_size(), c.ranks) << arguments;
    }
  }
}

TEST(ParallelSizes, Megatron) {
  check("llama-tiny.yaml",
        {{{}, 0, "1x1 zero 0 tp 1 cp 1 RING"},
         {{}, 8, "8x1 zero 0 tp 1 cp 1 RING"},
         {{"use_distributed_optimizer=true"}, 8, "1x8 zero 1 tp 1 cp 1 RING"},
         {{"use_distributed_optimizer=true", "num_distributed_optimizer_instances=2"}, 8, "2x4 zero 1 tp 1 cp 1 RING"},
         {{"use_distributed_optimizer=true", "num_distributed_optimizer_instances=2"}, 0, "2x1 zero 1 tp 1 cp 1 RING"},
         {{"use_torch_fsdp2=true"}, 4, "1x4 zero 3 tp 1 cp 1 RING"},
         {{"use_torch_fsdp2=true", "data_parallel_replicate_degree=2"}, 8, "2x4 zero 3 tp 1 cp 1 RING"},
         {{"use_megatron_fsdp=true"}, 4, "4x1 zero 0 tp 1 cp 1 RING"},
         {{"use_megatron_fsdp=true", "data_parallel_sharding_strategy=optim"}, 4, "1x4 zero 1 tp 1 cp 1 RING"},
         {{"use_custom_fsdp=true", "data_parallel_sharding_strategy=optim_grads"}, 4, "1x4 zero 2 tp 1 cp 1 RING"},
         {{"use_megatron_fsdp=true", "data_parallel_sharding_strategy=optim_grads_params"},
          4,
          "1x4 zero 3 tp 1 cp 1 RING"},
         {{"tensor_model_parallel_size=2"}, 0, "1x1 zero 0 tp 2 cp 1 RING"},
         {{"tensor_model_parallel_size=2", "sequence_parallel=true", "context_parallel_size=2"},
          8,
          "2x1 zero 0 tp 2+ cp 2 RING"},
         {{"context_parallel_size=4", "cp_comm_type=all_gather"}, 0, "1x1 zero 0 tp 1 cp 4 ALL_GATHER"},
         {{"context_parallel_size=4", "cp_comm_type=[\"p2p\", \"p2p\"]"}, 0, "1x1 zero 0 tp 1 cp 4 RING"},
         {{"cp_comm_type=a2a"}, 0, "1x1 zero 0 tp 1 cp 1 RING"}});
}

TEST(ParallelSizes, TorchTitan) {
  check("llama3-debugmodel.toml",
        {{{}, 0, "1x1 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{}, 8, "1x8 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"parallelism.data_parallel_replicate_degree=2"}, 8, "2x4 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"parallelism.data_parallel_replicate_degree=2", "parallelism.data_parallel_shard_degree=2"},
          0,
          "2x2 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"parallelism.data_parallel_replicate_degree=4", "parallelism.data_parallel_shard_degree=1"},
          4,
          "4x1 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"parallelism.fsdp_reshard_after_forward=never"}, 4, "1x4 zero 2 tp 1 cp 1 ALL_GATHER"},
         {{"parallelism.fsdp_reshard_after_forward=always"}, 4, "1x4 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"parallelism.tensor_parallel_degree=4"}, 8, "1x2 zero 3 tp 4+ cp 1 ALL_GATHER"},
         {{"parallelism.context_parallel_degree=2", "parallelism.context_parallel_rotate_method=alltoall"},
          4,
          "1x2 zero 3 tp 1 cp 2 RING"}});
}

TEST(ParallelSizes, MaxText) {
  check("llama-tiny-maxtext.yaml",
        {{{}, 0, "1x1 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"ici_fsdp_parallelism=8"}, 0, "1x8 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"ici_fsdp_parallelism=4", "dcn_data_parallelism=-1"}, 8, "2x4 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"ici_fsdp_parallelism=-1", "dcn_data_parallelism=-1"}, 8, "1x8 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"ici_fsdp_parallelism=2", "dcn_fsdp_parallelism=2", "ici_fsdp_transpose_parallelism=2"},
          8,
          "1x8 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"ici_data_parallelism=4"}, 4, "4x1 zero 3 tp 1 cp 1 ALL_GATHER"},
         {{"ici_data_parallelism=4", "shard_optimizer_over_data=true"}, 4, "1x4 zero 1 tp 1 cp 1 ALL_GATHER"},
         {{"ici_tensor_parallelism=2"}, 0, "1x1 zero 3 tp 2 cp 1 ALL_GATHER"},
         {{"ici_tensor_sequence_parallelism=-1"}, 4, "1x1 zero 3 tp 4+ cp 1 ALL_GATHER"},
         {{"ici_sequence_parallelism=2", "context_parallel_strategy=ring"}, 0, "1x1 zero 3 tp 1 cp 2 RING"},
         {{"ici_context_parallelism=2", "dcn_context_parallelism=2"}, 4, "1x1 zero 3 tp 1 cp 4 ALL_GATHER"}});
}

TEST(ParallelSizes, OtherFlavoursUseMegatronsKeys) {
  check("../mi300x/qwen3_600m-BF16-bridge-pretrain.yaml",
        {{{}, 8, "1x8 zero 1 tp 1 cp 1 RING"},
         {{"tensor_model_parallel_size=2", "sequence_parallel=true"}, 8, "1x4 zero 1 tp 2+ cp 1 RING"}});
}

/// A key of MaxText that counts sequences for each rank; a batch that no key gives.
TEST(ParallelSizes, BatchesFollowFromRanks) {
  struct {
    const char *file;
    Case with;
    int64_t micro, global;
  } cases[] = {
      {"llama-tiny-maxtext.yaml", {{"ici_tensor_parallelism=2"}, 0, ""}, 4, 4},
      {"llama-tiny-maxtext.yaml", {{"ici_fsdp_parallelism=-1", "gradient_accumulation_steps=3"}, 4, ""}, 2, 24},
      {"llama-tiny-maxtext.yaml", {{"ici_tensor_parallelism=2", "per_device_batch_size=0.5"}, 0, ""}, 1, 1},
      {"llama3-debugmodel.toml", {{}, 4, ""}, 2, 8},
      {"llama-tiny.yaml", {{"global_batch_size=None", "micro_batch_size=2"}, 4, ""}, 2, 8},
  };
  for (const auto &c : cases) {
    Diagnostics diagnostics;
    primus::spec::TrainingSpec spec = map(request(c.file, c.with), diagnostics);
    EXPECT_FALSE(diagnostics.hasErrors()) << diagnostics.str();
    EXPECT_EQ(spec.training().micro_batch_size(), c.micro) << c.file;
    EXPECT_EQ(spec.training().global_batch_size(), c.global) << c.file;
  }
}

/// Where no framework pads, tensor parallel ranks need rows to share evenly.
TEST(ParallelSizes, VocabulariesArePaddedForTensorRanks) {
  Diagnostics diagnostics;
  auto rows = [&](const char *file, std::vector<std::string> overrides) {
    return map(request(file, {std::move(overrides), 0, ""}), diagnostics).model().embedding().padded_vocabulary();
  };
  EXPECT_EQ(rows("llama3-debugmodel.toml", {"model.vocab_size=1001"}), 1001);
  EXPECT_EQ(rows("llama3-debugmodel.toml", {"model.vocab_size=1001", "parallelism.tensor_parallel_degree=4"}), 1004);
  EXPECT_EQ(rows("llama-tiny-maxtext.yaml", {"vocab_size=1001", "ici_tensor_parallelism=2"}), 1002);
  EXPECT_EQ(rows("llama-tiny.yaml", {"tensor_model_parallel_size=4", "make_vocab_size_divisible_by=96"}), 384);
  EXPECT_FALSE(diagnostics.hasErrors()) << diagnostics.str();
}

/// State that ranks share counts once for all of them: bytes of each parameter on one of eight ranks.
TEST(ParallelSizes, MemoryCountsWhatRanksShare) {
  struct {
    std::vector<std::string> overrides;
    /// Of 70 billion parameters; empty: it fits.
    const char *takes;
  } cases[] = {
      {{}, "take 1051 GiB"},                                                                      // 16
      {{"use_distributed_optimizer=true"}, "take 492.8 GiB"},                                     // 12 / 8 + 4 + 2
      {{"use_distributed_optimizer=true", "bf16=false"}, "take 624.2 GiB"},                       // 12 / 8 + 4 + 4
      {{"use_megatron_fsdp=true", "data_parallel_sharding_strategy=optim_grads"}, "take 262.8 GiB"},  // 16 / 8 + 2
      {{"use_torch_fsdp2=true"}, ""},                                                             // 16 / 8
      {{"use_torch_fsdp2=true", "data_parallel_replicate_degree=8"}, "take 1051 GiB"},            // 16
      {{"tensor_model_parallel_size=8"}, ""},                                                     // 16 / 8
      {{"use_distributed_optimizer=true", "context_parallel_size=8"}, "take 492.8 GiB"},          // as eight data ranks
  };
  Workspace workspace;
  workspace.write("x.yaml", experiment("      mock_data: true\n      hardware: mi300x\n      train_iters: 1\n",
                                       "llama3.1_70B"));
  for (const auto &c : cases) {
    ConfigRequest request;
    request.experiment = "x.yaml";
    request.overrides = {"micro_batch_size=1", "global_batch_size=8", "seq_length=1024"};
    request.overrides.insert(request.overrides.end(), c.overrides.begin(), c.overrides.end());
    request.ranks = 8;
    std::string error = run(request).firstError();
    if (*c.takes)
      EXPECT_NE(error.find(c.takes), std::string::npos) << c.takes << "\n" << error;
    else
      EXPECT_EQ(error, "no error");
  }
}

TEST(ParallelSizes, ExplainSaysWhatFollows) {
  ConfigRequest with = request("llama-tiny.yaml", {{"tensor_model_parallel_size=2"}, 8, ""});
  Diagnostics diagnostics;
  std::optional<ResolvedConfig> config = resolveConfig(with, diagnostics);
  ASSERT_TRUE(config);
  std::optional<SpecResult> result = buildSpec(*config, diagnostics);
  ASSERT_TRUE(result) << diagnostics.str();
  std::string text = explain(*config, *result);
  for (const char *line : {"parallelism.replicate = 4: from the ranks that are left of --ranks 8",
                           "parallelism.data = 4: from parallelism.replicate * parallelism.shard",
                           "gradient accumulation = 2:", "sequences of one step on each data rank = 2:"})
    EXPECT_NE(text.find(line), std::string::npos) << line;
}

/// What does not fit is said with the keys, their places, and a plan that fits.
TEST(ParallelSizes, Mistakes) {
  struct {
    const char *file;
    Case with;
    const char *error;
  } cases[] = {
      {"llama-tiny.yaml",
       {{"tensor_model_parallel_size=4", "context_parallel_size=2"}, 12, ""},
       "command line: error: --ranks 12 is not a multiple of the 8 ranks of tensor_model_parallel_size 4 (command line) "
       "* context_parallel_size 2 (command line); use --ranks 8 or --ranks 16"},
      {"llama-tiny.yaml",
       {{"tensor_model_parallel_size=4"}, 2, ""},
       "command line: error: --ranks 2 is not a multiple of the 4 ranks of tensor_model_parallel_size 4 (command line); "
       "use --ranks 4"},
      {"llama3-debugmodel.toml",
       {{"parallelism.data_parallel_shard_degree=2"}, 8, ""},
       "command line: error: --ranks 8 does not match the 2 ranks of parallelism.data_parallel_shard_degree 2 (command "
       "line); use --ranks 2, or set parallelism.data_parallel_shard_degree=-1, which takes the ranks that are left"},
      {"llama-tiny-maxtext.yaml",
       {{}, 8, ""},
       "command line: error: --ranks 8 does not match the one rank of this experiment's parallel sizes; use --ranks 1, "
       "or set ici_fsdp_parallelism=-1, which takes the ranks that are left"},
      {"llama-tiny-maxtext.yaml",
       {{"ici_fsdp_parallelism=-1", "ici_data_parallelism=-1"}, 8, ""},
       "command line: error: 'ici_data_parallelism' and 'ici_fsdp_parallelism' (command line) both ask for the ranks "
       "that are left; write a size for one of them"},
      {"llama3-debugmodel.toml",
       {{"parallelism.data_parallel_shard_degree=0"}, 0, ""},
       "command line: error: 'parallelism.data_parallel_shard_degree' must not be 0; write 1, or -1 for the ranks that "
       "are left"},
      {"llama-tiny.yaml",
       {{"context_parallel_size=2", "cp_comm_type=a2a"}, 0, ""},
       "command line: error: 'cp_comm_type: a2a' is not supported: another exchange than a ring or a gather; set "
       "cp_comm_type=p2p or cp_comm_type=all_gather"},
      {"llama-tiny-maxtext.yaml",
       {{"ici_context_parallelism=2", "context_parallel_strategy=ulysses"}, 0, ""},
       "command line: error: 'context_parallel_strategy: ulysses' is not supported: another exchange than a ring or a "
       "gather; set context_parallel_strategy=ring or context_parallel_strategy=all_gather"},
      {"llama-tiny.yaml",
       {{"tensor_model_parallel_size=4", "sequence_parallel=true", "context_parallel_size=2", "seq_length=100"}, 0, ""},
       "command line: error: seq_length 100 is not a multiple of context_parallel_size 2 * tensor_model_parallel_size 4; "
       "set tensor_model_parallel_size=2 (seq_length stands at command line)"},
      {"llama-tiny.yaml",
       {{"global_batch_size=6", "micro_batch_size=1"}, 4, ""},
       "command line: error: global_batch_size 6 is not a multiple of micro_batch_size 1 times 4 data ranks; set "
       "global_batch_size=8, or use --ranks 3 (micro_batch_size stands at command line)"},
      {"llama-tiny.yaml",
       {{"global_batch_size=2", "micro_batch_size=1", "tensor_model_parallel_size=2"}, 8, ""},
       "command line: error: global_batch_size 2 is not a multiple of micro_batch_size 1 times 4 data ranks; set "
       "global_batch_size=4, or use --ranks 4 (micro_batch_size stands at command line)"},
  };
  for (const auto &c : cases)
    EXPECT_EQ(run(request(c.file, c.with)).firstError(), c.error);
}

} // namespace
