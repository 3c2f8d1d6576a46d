//===- PipelineTest.cpp - Stages and schedules in each flavour's words ----===//

#include "frontend/config/PipelineStages.h"
#include "frontend/config/SpecWriter.h"
#include "frontend/config/StageBalance.h"
#include "frontend/config/megatron/PipelineLayout.h"

#include "tests/frontend/config/ConfigTestHelper.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <random>

using namespace primus::config;
using namespace primus::config::test;

namespace {

const std::string experiments = std::string(PRIMUS_SOURCE_DIR) + "/configs/experiments/cpu/";
const std::string torchtitan = experiments + "llama3-debugmodel.toml", maxtext = experiments + "llama-tiny-maxtext.yaml";

/// 1f1b of two ranks and two microbatches; of two stages on each of them; a stage that runs backward too early.
constexpr const char *kTable = "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n";
constexpr const char *kTwoEach = "0F0,2F0,2B0,0B0\n1F0,3F0,3B0,1B0\n";
constexpr const char *kTooEarly = "0F0,0F1,0B0,0B1\n1F0,1B1,1F1,1B0\n";

class Pipeline : public ::testing::Test {
protected:
  void SetUp() override {
    workspace.write("exp.yaml", experiment("      mock_data: true\n      micro_batch_size: 1\n      global_batch_size: 8\n"));
    workspace.write("table.csv", kTable);
    workspace.write("two.csv", kTwoEach);
    workspace.write("early.csv", kTooEarly);
    workspace.write("words.csv", "0F0,F1\n");
    workspace.write("empty.csv", "\n");
  }

  Workspace workspace;
};

/// What a pipeline becomes: "stages layers/of/each microbatches*sequences schedule".
std::string describe(const primus::spec::TrainingSpec &spec) {
  return fmt::format("{} {} {}x{} {}", fmt::join(getStageLayers(spec), "/"), fmt::join(getStageRanks(spec.parallelism()), ""),
                     countMicrobatches(spec), spec.training().micro_batch_size(),
                     spec.parallelism().schedule_table().empty() ? getScheduleName(spec.parallelism()) : "table");
}

struct Case {
  std::string file;
  std::vector<std::string> overrides;
  const char *expected;
};

TEST_F(Pipeline, Megatron) {
  const Case cases[] = {
      {"exp.yaml", {"pipeline_model_parallel_size=2"}, "4/4 01 8x1 1f1b"},
      {"exp.yaml", {"pipeline_model_parallel_size=2", "num_virtual_stages_per_pipeline_rank=2"}, "2/2/2/2 0101 8x1 interleaved"},
      {"exp.yaml", {"pipeline_model_parallel_size=4", "pipeline_model_parallel_layout=E|t*4|t*4,|L"}, "0/4/4/0 0123 8x1 1f1b"},
      {"exp.yaml", {"pipeline_model_parallel_size=2", "pipeline_model_parallel_layout=Et|(tt|)*2tttL"}, "1/2/2/3 0101 8x1 interleaved"},
      // Rank by rank, as Primus lists them.
      {"exp.yaml",
       {"pipeline_model_parallel_size=2", "virtual_pipeline_model_parallel_size=2", "decoder_pipeline_manual_split_list=[1,2,3,2]"},
       "1/3/2/2 0101 8x1 interleaved"},
      {"exp.yaml",
       {"pipeline_model_parallel_size=2", "num_virtual_stages_per_pipeline_rank=2", "decoder_last_pipeline_num_layers=2"},
       "3/1/3/1 0101 8x1 interleaved"},
      {"exp.yaml",
       {"pipeline_model_parallel_size=3", "account_for_loss_in_pipeline_split=true"},
       "3/3/2 012 8x1 1f1b"},
      {"exp.yaml",
       {"pipeline_model_parallel_size=2", "patch_zero_bubble=true", "enable_zero_bubble=true"},
       "4/4 01 8x1 zero-bubble"},
      {"exp.yaml",
       {"pipeline_model_parallel_size=2", "patch_zero_bubble=true", "zero_bubble_v_schedule=true", "num_virtual_stages_per_pipeline_rank=2",
        "decoder_pipeline_manual_split_list=[1,2,3,2]"},
       "1/2/3/2 0110 8x1 zbv"},
      {"exp.yaml",
       {"pipeline_model_parallel_size=2", "patch_primus_pipeline=true", "pp_algorithm=zbv-formatted",
        "num_virtual_stages_per_pipeline_rank=2"},
       "2/2/2/2 0110 8x1 zbv"},
      {"exp.yaml", {"pipeline_model_parallel_size=2", "patch_primus_pipeline=true"}, "4/4 01 8x1 interleaved"},
      {"exp.yaml",
       {"pipeline_model_parallel_size=2", "global_batch_size=2", "pipeline_schedule_table=table.csv"},
       "4/4 01 2x1 table"},
      {"exp.yaml",
       {"pipeline_model_parallel_size=2", "num_virtual_stages_per_pipeline_rank=2", "global_batch_size=1",
        "pipeline_schedule_table=two.csv"},
       "2/2/2/2 0101 1x1 table"},
  };
  for (const Case &c : cases) {
    Outcome outcome = run(c.file, c.overrides);
    ASSERT_TRUE(outcome.result) << fmt::format("{}\n", fmt::join(c.overrides, " ")) << outcome.diagnostics.str();
    EXPECT_EQ(describe(outcome.result->spec), c.expected) << fmt::format("{}", fmt::join(c.overrides, " "));
  }
}

TEST_F(Pipeline, TorchTitan) {
  const std::string pp = "parallelism.pipeline_parallel_degree=2", prefix = "parallelism.pipeline_parallel_";
  const Case cases[] = {
      {torchtitan, {pp}, "3/3 01 2x1 1f1b"},
      {torchtitan, {pp, prefix + "microbatch_size=2", "training.global_batch_size=4"}, "3/3 01 2x2 1f1b"},
      {torchtitan, {pp, prefix + "schedule=gpipe"}, "3/3 01 2x1 gpipe"},
      {torchtitan, {pp, prefix + "schedule=LoopedBFS"}, "1/2/2/1 0101 2x1 gpipe"},
      {torchtitan, {pp, prefix + "schedule=Interleaved1F1B", prefix + "layers_per_stage=1"}, "0/1/1/1/1/1/1/0 01010101 2x1 interleaved"},
      {torchtitan, {pp, prefix + "schedule=InterleavedZeroBubble"}, "1/2/2/1 0101 2x1 zero-bubble"},
      {torchtitan, {pp, prefix + "schedule=ZBVZeroBubble"}, "1/2/2/1 0110 2x1 zbv"},
      // Nine places for two stages: the first takes one more.
      {torchtitan, {pp, prefix + "last_stage_less_layers=2"}, "4/2 01 2x1 1f1b"},
      {torchtitan, {pp, prefix + "schedule_csv=table.csv"}, "3/3 01 2x1 table"},
  };
  for (const Case &c : cases) {
    Outcome outcome = run(c.file, c.overrides);
    ASSERT_TRUE(outcome.result) << fmt::format("{}\n", fmt::join(c.overrides, " ")) << outcome.diagnostics.str();
    EXPECT_EQ(describe(outcome.result->spec), c.expected) << fmt::format("{}", fmt::join(c.overrides, " "));
  }
}

TEST_F(Pipeline, MaxText) {
  const std::string pp = "ici_pipeline_parallelism=2", eight = "base_num_decoder_layers=8";
  const Case cases[] = {
      {maxtext, {pp, eight}, "1/1/1/1/1/1/1/1 01010101 2x2 interleaved"},
      {maxtext, {pp, eight, "num_layers_per_pipeline_stage=4"}, "4/4 01 2x2 1f1b"},
      {maxtext, {pp, eight, "num_layers_per_pipeline_stage=2", "num_pipeline_repeats=2"}, "2/2/2/2 0101 2x2 interleaved"},
      {maxtext, {pp, eight, "num_layers_per_pipeline_stage=4", "num_pipeline_microbatches=4"}, "4/4 01 4x1 1f1b"},
      {maxtext, {pp, eight, "num_layers_per_pipeline_stage=4", "pipeline_delay_activation_forwarding=true"}, "4/4 01 4x1 1f1b"},
      {maxtext, {pp, eight, "num_layers_per_pipeline_stage=4", "gradient_accumulation_steps=3"}, "4/4 01 6x2 1f1b"},
  };
  for (const Case &c : cases) {
    Outcome outcome = run(c.file, c.overrides);
    ASSERT_TRUE(outcome.result) << fmt::format("{}\n", fmt::join(c.overrides, " ")) << outcome.diagnostics.str();
    EXPECT_EQ(describe(outcome.result->spec), c.expected) << fmt::format("{}", fmt::join(c.overrides, " "));
  }
}

TEST_F(Pipeline, Mistakes) {
  const std::string pp = "pipeline_model_parallel_size=2", layout = "pipeline_model_parallel_layout=";
  const std::string titan = "parallelism.pipeline_parallel_degree=2", prefix = "parallelism.pipeline_parallel_";
  const Case cases[] = {
      {"exp.yaml", {pp, layout + "Et*5|t*4L"}, "pipeline_model_parallel_layout has 9 layers, but the model has 8; write a t for each layer"},
      {"exp.yaml", {pp, layout + "Et*5|t|t*2L"},
       "the 3 stages of pipeline_model_parallel_layout are not a multiple of the 2 pipeline ranks; set pipeline_model_parallel_size=3 (command line)"},
      {"exp.yaml", {layout + "Et*5|t*3L"}, "the 2 stages of pipeline_model_parallel_layout need several pipeline ranks; set pipeline_model_parallel_size=2"},
      {"exp.yaml", {pp, layout + "Et*5|t*3xL"},
       "'pipeline_model_parallel_layout: Et*5|t*3xL' can't be read: 'x' means nothing in it: E is the embedding, t a layer, L the "
       "head, | the next stage"},
      {"exp.yaml", {pp, layout + "Et*5|t*3mL"},
       "'pipeline_model_parallel_layout: Et*5|t*3mL' can't be read: 'm', multi-token prediction, is not supported"},
      {"exp.yaml", {pp, layout + "Ettt|(tL"}, "'pipeline_model_parallel_layout: Ettt|(tL' can't be read: a parenthesis is not closed"},
      {"exp.yaml", {pp, layout + "t*8|L"},
       "'pipeline_model_parallel_layout: t*8|L' can't be read: it must begin with the embedding E, once"},
      {"exp.yaml", {pp, layout + "Et*99999999|L"},
       "'pipeline_model_parallel_layout: Et*99999999|L' can't be read: '*' needs a number from 0 to 65536 behind it"},
      {"exp.yaml", {"pipeline_model_parallel_size=4", layout + "Et*4||t*4|L"},
       "stage 1 of the pipeline has no layer: the 8 layers are cut into 4, 0, 4, 0; set "
       "pipeline_model_parallel_layout='Et*2(|t*2)*2|t*2L'"},
      {"exp.yaml", {pp, layout + "Et*5|t*3L", "decoder_first_pipeline_num_layers=5"},
       "'pipeline_model_parallel_layout' and 'decoder_first_pipeline_num_layers' (command line) exclude each other; set one of them "
       "only"},
      {"exp.yaml", {pp, layout + "Et*5|t*3L", "num_virtual_stages_per_pipeline_rank=2"},
       "pipeline_model_parallel_layout has 1 stages on each of 2 pipeline ranks, but num_virtual_stages_per_pipeline_rank (command line) says 2; set "
       "num_virtual_stages_per_pipeline_rank=None"},
      {"exp.yaml", {pp, "decoder_pipeline_manual_split_list=[4,3]"},
       "'decoder_pipeline_manual_split_list: [4,3]' is no list of 2 positive numbers that sum up to 8 layers; write one for each of 1 "
       "stages on each of 2 pipeline ranks"},
      {"exp.yaml", {pp, "decoder_first_pipeline_num_layers=3", "num_virtual_stages_per_pipeline_rank=2"},
       "the 3 layers of pipeline rank 0 cannot be split into num_virtual_stages_per_pipeline_rank 2; use multiples of 2, or "
       "pipeline_model_parallel_layout"},
      {"exp.yaml", {pp, "patch_primus_pipeline=true", "pp_algorithm=v-half"},
       "'pp_algorithm: v-half' is not supported: another schedule; supported: 1f1b, 1f1b-interleaved, zero-bubble, zbv-formatted"},
      {"exp.yaml", {pp, "patch_primus_pipeline=true", "pp_algorithm=zbv-formatted"},
       "the schedule zbv has 2 stages on each pipeline rank, not 1; set num_virtual_stages_per_pipeline_rank=2"},
      {"exp.yaml", {pp, "patch_primus_pipeline=true", "pp_algorithm=1f1b", "num_virtual_stages_per_pipeline_rank=2"},
       "the schedule 1f1b has 1 stage on each pipeline rank, not 2; set num_virtual_stages_per_pipeline_rank=1"},
      {"exp.yaml", {pp, "patch_zero_bubble=true", "enable_1f1b_v=true"},
       "'enable_1f1b_v: true' is not supported: the schedule 1F1B-V; set zero_bubble_v_schedule=true, or enable_1f1b_v=false"},
      {"exp.yaml", {pp, "patch_zero_bubble=true", "patch_primus_pipeline=true"},
       "'patch_primus_pipeline' and 'patch_zero_bubble' (command line) exclude each other; set one of them only"},
      {"exp.yaml", {pp, "pipeline_schedule_table=none.csv"},
       "'pipeline_schedule_table: none.csv' is no file; name a CSV file with a line for each pipeline rank"},
      {"exp.yaml", {pp, "pipeline_schedule_table=empty.csv"}, "'pipeline_schedule_table: empty.csv' can't be read or is empty"},
      {"exp.yaml", {pp, "pipeline_schedule_table=words.csv"},
       "the table of pipeline_schedule_table: line 1, cell 2: 'F1' does not begin with the number of a stage"},
      {"exp.yaml", {pp, "pipeline_schedule_table=table.csv"},
       "the table of pipeline_schedule_table has 2 microbatches, but a step has 8; set global_batch_size=2 (global_batch_size stands at "
       "exp.yaml:13:26)"},
      {"exp.yaml", {"pipeline_model_parallel_size=4", "pipeline_schedule_table=table.csv"},
       "the table of pipeline_schedule_table has 2 lines, but there are 4 pipeline ranks; write a line per rank, or set "
       "pipeline_model_parallel_size=2"},
      {"exp.yaml", {pp, "global_batch_size=1", "pipeline_schedule_table=two.csv"},
       "the table of pipeline_schedule_table has 4 stages, but the pipeline has 2; set num_virtual_stages_per_pipeline_rank=2"},
      {torchtitan, {titan, prefix + "schedule=DualPipeV"},
       "'parallelism.pipeline_parallel_schedule: \"DualPipeV\"' is not supported: another schedule; supported: 1F1B, GPipe, LoopedBFS, "
       "Interleaved1F1B, InterleavedZeroBubble, ZBVZeroBubble"},
      {torchtitan, {titan, prefix + "layers_per_stage=1"},
       "the schedule 1F1B has one stage on each rank, but parallelism.pipeline_parallel_layers_per_stage 1 makes 4; set "
       "parallelism.pipeline_parallel_layers_per_stage=4"},
      {torchtitan, {titan, prefix + "layers_per_stage=3"},
       "parallelism.pipeline_parallel_layers_per_stage 3 makes 3 stages of 8 layers (with what counts as one), which 2 pipeline ranks "
       "can't share; set parallelism.pipeline_parallel_layers_per_stage=4"},
      {torchtitan, {titan, prefix + "first_stage_less_layers=9"},
       "parallelism.pipeline_parallel_first_stage_less_layers 9 is more than the 8 layers of a stage; set "
       "parallelism.pipeline_parallel_first_stage_less_layers=3"},
      {torchtitan, {titan, prefix + "microbatch_size=3"},
       "training.local_batch_size 2 is not a multiple of parallelism.pipeline_parallel_microbatch_size 3; set training.local_batch_size=3 "
       "(it stands at <own>/experiments/cpu/llama3-debugmodel.toml:20:20)"},
      {maxtext, {"ici_pipeline_parallelism=2", "base_num_decoder_layers=8", "num_layers_per_pipeline_stage=3"},
       "8 layers are not a multiple of 2 pipeline ranks * num_layers_per_pipeline_stage 3; set num_layers_per_pipeline_stage=4"},
      {maxtext, {"ici_pipeline_parallelism=2", "base_num_decoder_layers=8", "num_pipeline_repeats=3"},
       "2 pipeline ranks * num_layers_per_pipeline_stage 1 * num_pipeline_repeats 3 are not the 8 layers; set num_pipeline_repeats=4"},
      {maxtext, {"ici_pipeline_parallelism=2", "base_num_decoder_layers=8", "num_pipeline_microbatches=3"},
       "num_pipeline_microbatches 3 is not a multiple of 2 pipeline ranks; set num_pipeline_microbatches=4"},
      {maxtext, {"ici_pipeline_parallelism=2", "base_num_decoder_layers=8", "num_pipeline_microbatches=8"},
       "the 4 sequences of a data rank cannot be divided into 8 microbatches of the pipeline; set per_device_batch_size=4"},
      {maxtext, {"ici_pipeline_parallelism=2", "base_num_decoder_layers=8", "pipeline_parallel_layers=6"},
       "'pipeline_parallel_layers: 6' is not supported: layers outside the pipeline (8 in all); set pipeline_parallel_layers=-1"},
  };
  for (const Case &c : cases) {
    Outcome outcome = run(c.file, c.overrides);
    EXPECT_FALSE(outcome.result) << c.expected;
    std::string error = outcome.firstError();
    EXPECT_TRUE(error.ends_with(fmt::format(": error: {}", c.expected))) << error << "\n" << c.expected;
  }
}

/// A wrong cell is named.
TEST_F(Pipeline, TablesAreProven) {
  Outcome outcome = run("exp.yaml", {"pipeline_model_parallel_size=2", "global_batch_size=2", "pipeline_schedule_table=early.csv"});
  EXPECT_NE(outcome.firstError().find("the table of pipeline_schedule_table cannot be run: line 2, at 1B1: "), std::string::npos)
      << outcome.firstError();
}

/// A large head makes the last stage slow; a better cut is named, and with it the warning is gone.
TEST_F(Pipeline, UnevenStages) {
  auto warnings = [](const Outcome &outcome) {
    std::vector<std::string> messages;
    for (const Diagnostic &diagnostic : outcome.diagnostics.all())
      messages.push_back(diagnostic.str());
    return messages;
  };
  workspace.write("exp.yaml", experiment("      mock_data: true\n      seq_length: 1024\n", "llama3_8B"));
  Outcome uneven = run("exp.yaml", {"pipeline_model_parallel_size=8"});
  ASSERT_TRUE(uneven.result) << uneven.diagnostics.str();
  ASSERT_EQ(warnings(uneven).size(), 1u);
  std::string warning = warnings(uneven).front(), key = "pipeline_model_parallel_layout='";
  EXPECT_NE(warning.find("the pipeline's stages are uneven"), std::string::npos) << warning;
  size_t begin = warning.find(key);
  ASSERT_NE(begin, std::string::npos) << warning;
  std::string layout = warning.substr(begin + key.size(), warning.find('\'', begin + key.size()) - begin - key.size());
  Outcome even = run("exp.yaml", {"pipeline_model_parallel_size=8", "pipeline_model_parallel_layout=" + layout});
  ASSERT_TRUE(even.result) << even.diagnostics.str();
  EXPECT_TRUE(even.diagnostics.empty()) << even.diagnostics.str();
}

/// A backward pass that computes the forward pass again is longer, and a head's share of the step smaller: even stages have
/// fewer layers beside it without.
TEST(StageBalance, CountsWhatIsComputedAgain) {
  primus::spec::TrainingSpec spec;
  ModelWork work(spec);
  work.layers.assign(8, 3);
  work.attention.assign(8, 1);
  work.head = 8;
  EXPECT_DOUBLE_EQ(work.getImbalance({4, 4}, {0, 1}), 20 / 16.0);
  EXPECT_EQ(work.divide(2), (std::vector<int64_t>{5, 3}));
  work.recomputed = 8;
  EXPECT_DOUBLE_EQ(work.getImbalance({4, 4}, {0, 1}), 24 / 20.0);
  EXPECT_DOUBLE_EQ(work.getImbalance({5, 3}, {0, 1}), 1);
  // What schedules decide by: scores of attention have no weights, and the head computes all in its forward pass.
  work.recomputed = 1;
  work.embedding = 0.5;
  std::vector<primus::schedules::StageSeconds> costs = work.getCosts({5, 3});
  ASSERT_EQ(costs.size(), 2u);
  EXPECT_DOUBLE_EQ(costs[0].forward, 15.5);
  EXPECT_DOUBLE_EQ(costs[0].inputGradient, 5 * 4 + 3);
  EXPECT_DOUBLE_EQ(costs[0].weightGradient, 10.5);
  EXPECT_DOUBLE_EQ(costs[1].forward, 9 + 24);
  EXPECT_DOUBLE_EQ(costs[1].inputGradient, 12);
  EXPECT_DOUBLE_EQ(costs[1].weightGradient, 6);
}

TEST_F(Pipeline, KeysThatNeedAnotherKeyWarn) {
  for (auto [key, needed] : {std::pair{"pp_algorithm=zero-bubble", "patch_primus_pipeline"}, {"enable_zero_bubble=true", "patch_zero_bubble"}}) {
    Outcome outcome = run("exp.yaml", {"pipeline_model_parallel_size=2", key});
    ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
    EXPECT_NE(outcome.diagnostics.str().find(fmt::format("has no effect without {}", needed)), std::string::npos) << outcome.diagnostics.str();
  }
}

/// What is written is what is read.
TEST(PipelineLayout, RoundTrip) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<int64_t> stages(2 + random() % 9);
    for (size_t i = 0; i < stages.size(); ++i)
      stages[i] = static_cast<int64_t>(random() % 3) + (i > 0 && i + 1 < stages.size() ? 1 : 0);
    megatron::PipelineLayout layout = megatron::parseLayout(writeLayout(stages));
    EXPECT_EQ(layout.error, "") << writeLayout(stages);
    EXPECT_EQ(layout.stages, stages) << writeLayout(stages);
  }
}

/// Against all cuts of small models.
TEST(StageBalance, NoCutIsBetter) {
  std::mt19937 random(11);
  primus::spec::TrainingSpec spec;
  for (int round = 0; round < 100; ++round) {
    ModelWork work(spec);
    work.layers.resize(1 + random() % 8);
    for (double &layer : work.layers)
      layer = static_cast<double>(1 + random() % 4);
    work.embedding = random() % 3;
    work.head = random() % 9;
    int64_t stages = 2 + random() % 4, layers = static_cast<int64_t>(work.layers.size());
    std::vector<int64_t> ranks(stages);
    for (int64_t stage = 0; stage < stages; ++stage)
      ranks[stage] = stage;
    std::vector<int64_t> found = work.divide(stages);
    if (layers < stages - 2) {
      EXPECT_TRUE(found.empty());
      continue;
    }
    double best = 1e9;
    // Every way to choose the layers of all stages but the last.
    std::vector<int64_t> cut(stages);
    for (int64_t code = 0; code < std::pow(layers + 1, stages - 1); ++code) {
      int64_t rest = code, left = layers;
      for (int64_t stage = 0; stage + 1 < stages; ++stage, rest /= layers + 1)
        left -= cut[stage] = rest % (layers + 1);
      cut.back() = left;
      if (left >= 0 && std::none_of(cut.begin() + 1, cut.end() - 1, [](int64_t count) { return count == 0; }))
        best = std::min(best, work.getImbalance(cut, ranks));
    }
    ASSERT_EQ(static_cast<int64_t>(found.size()), stages);
    EXPECT_NEAR(work.getImbalance(found, ranks), best, 1e-9) << fmt::format("{} of {} layers, head {}", fmt::join(found, "/"), layers, work.head);
  }
}

} // namespace
