//===- Bubble.cpp - Whether pipelines wait as long as their tables say ----===//
//
// Training steps of four pipeline ranks as threads. Time is processor time (PRIMUS_LINK's clock=processor), in which each rank has a processor of its
// own: a rank that is ahead waits for the others. All run on one processor, one after the other, so that they do not slow each other down. From a run's
// profile come, for each step, the mean time of each stage's forward and backward passes (or halves of these), for which the schedule's table is
// simulated, and what the ranks wait from the first pass to the end of the last. Medians of the steps are counted: `bubble`, the share of the ranks' time
// that they wait, `predicted` by the table, and their `ratio`; `waits_ratio`, that of the seconds; and `modelled`, the bubble that the compiler's report
// says, whose costs are operations. A ratio more than 0.1 from 1 is an error.
//
//===----------------------------------------------------------------------===//

#include "bench/TrainRuns.h"

#include "passes/schedules/Simulate.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSwitch.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>

using namespace primus;
using namespace primus::bench;
using schedules::ActionKind;

namespace {

constexpr int ranks = 4, steps = 12, microbatches = 8;

bool train(const Files &files, const std::string &keys) {
  std::string experiment = PRIMUS_SOURCE_DIR "/configs/experiments/cpu/llama-tiny.yaml";
  return runCommand(fmt::format("{} {} pipeline_model_parallel_size={} num_layers=8 hidden_size=256 ffn_hidden_size=768 seq_length=256 "
                                "global_batch_size={} train_iters={} eval_iters=0 sample_bytes=0 train_data_path={} {} -o {} --dump {}",
                                findTool("primus-compile"), experiment, ranks, microbatches, steps, PRIMUS_SOURCE_DIR "/ir", keys,
                                files / "x.primus", files / "dump")) &&
         runCommand(fmt::format("PRIMUS_LINK=clock=processor PRIMUS_WORKSPACE={} {} {} --ranks {} --communicator local --threads {} --profile {}",
                                files / "output", findTool("primus-train"), files / "x.primus", ranks, ranks, files / "profile.json"),
                    /*onAllProcessors=*/false);
}

std::optional<schedules::Table> readTable(const Files &files) {
  std::ifstream file(files / "dump/pipeline.csv");
  llvm::Expected<schedules::Table> table = schedules::parseCsv(std::string(std::istreambuf_iterator<char>(file), {}));
  if (table)
    return std::move(*table);
  llvm::consumeError(table.takeError());
  return std::nullopt;
}

/// What ranks did in one step.
struct Step {
  struct Span {
    double begin, end;
  };
  /// By rank, without waits.
  std::vector<std::vector<Span>> computed{ranks};
  /// From the first of the passes to the end of the last.
  Span passes = {1e300, 0};
  /// Of all microbatches, by stage.
  std::vector<schedules::StageSeconds> stages;
};

/// The place of an instance among the others: embedding, layers.0, ..., head.
int64_t getPlace(llvm::StringRef instance) {
  int64_t layer = 0;
  if (instance.consume_front("layers.") && !instance.getAsInteger(10, layer))
    return layer;
  return instance == "embedding" ? -1 : INT64_MAX;
}

/// The steps of a profile's train_step but the first, which warms up. `stagesFirst` are the places of the stages' first instances.
std::vector<Step> readSteps(const nlohmann::json &profile, const std::vector<int64_t> &stagesFirst) {
  std::vector<Step> all(steps);
  for (Step &step : all)
    step.stages.assign(stagesFirst.size(), {0, 0, 0});
  std::vector<size_t> ofRank(ranks);
  for (const nlohmann::json &event : profile.at("traceEvents")) {
    if (event.at("ph") != "X")
      continue;
    auto rank = event.at("pid").get<size_t>();
    if (event.at("name") == "train_step")
      ++ofRank[rank];
    if (ofRank[rank] == steps || event.at("tid") != 1 || event.at("cat") == "wait")
      continue;
    Step &step = all[ofRank[rank]];
    double begin = event.at("ts").get<double>() * 1e-6, seconds = event.at("dur").get<double>() * 1e-6;
    step.computed[rank].push_back({begin, begin + seconds});
    auto function = event.at("args").value("function", "");
    auto kind = llvm::StringSwitch<ActionKind>(llvm::StringRef(function).rsplit('.').second)
                    .Cases({"forward", "forward_backward"}, ActionKind::Forward)
                    .Cases({"backward", "backward_input"}, ActionKind::InputGradient)
                    .Case("backward_weight", ActionKind::WeightGradient)
                    .Default(ActionKind::Idle);
    if (kind == ActionKind::Idle)
      continue;
    step.passes = {std::min(step.passes.begin, begin), std::max(step.passes.end, begin + seconds)};
    int64_t place = getPlace(event.at("args").value("instance", ""));
    schedules::StageSeconds &stage = step.stages[std::upper_bound(stagesFirst.begin(), stagesFirst.end(), place) - stagesFirst.begin() - 1];
    (kind == ActionKind::Forward ? stage.forward : kind == ActionKind::InputGradient ? stage.inputGradient : stage.weightGradient) += seconds;
  }
  all.erase(all.begin());
  return all;
}

/// Of one step.
struct Figures {
  double bubble, predicted, waited, predictedWait;
};

Figures compare(const Step &step, const schedules::Table &table) {
  double length = step.passes.end - step.passes.begin, waited = ranks * length;
  for (const std::vector<Step::Span> &spans : step.computed)
    for (const Step::Span &span : spans)
      waited -= std::max(0.0, std::min(span.end, step.passes.end) - std::max(span.begin, step.passes.begin));
  std::vector<schedules::StageSeconds> means = step.stages;
  for (schedules::StageSeconds &stage : means)
    for (double *seconds : {&stage.forward, &stage.inputGradient, &stage.weightGradient})
      *seconds /= table.microbatches;
  schedules::Timing timing = schedules::simulate(table, means);
  return {waited / (ranks * length), timing.bubble, waited, ranks * timing.seconds * timing.bubble};
}

double getMedian(const std::vector<Figures> &all, llvm::function_ref<double(const Figures &)> get) {
  std::vector<double> values;
  for (const Figures &figures : all)
    values.push_back(get(figures));
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void bubble(benchmark::State &state, const std::string &keys) {
  std::vector<Figures> all;
  double modelled = 0;
  for (auto _ : state) {
    Files files;
    if (!train(files, keys))
      return state.SkipWithError("the run failed");
    std::optional<schedules::Table> table = readTable(files);
    if (!table)
      return state.SkipWithError("the dump has no table");
    const nlohmann::json report = files.readJson("dump/report.json");
    modelled = report.at("pipeline").at("bubble").get<double>();
    std::vector<int64_t> stagesFirst;
    for (const nlohmann::json &stage : report.at("pipeline").at("stage_times"))
      stagesFirst.push_back(getPlace(stage.at("first").get<std::string>()));
    for (const Step &step : readSteps(files.readJson("profile.json"), stagesFirst))
      all.push_back(compare(step, *table));
  }
  double ratio = getMedian(all, [](const Figures &figures) { return figures.bubble / figures.predicted; });
  state.counters["bubble"] = getMedian(all, [](const Figures &figures) { return figures.bubble; });
  state.counters["predicted"] = getMedian(all, [](const Figures &figures) { return figures.predicted; });
  state.counters["ratio"] = ratio;
  state.counters["waits_ratio"] = getMedian(all, [](const Figures &figures) { return figures.waited / figures.predictedWait; });
  state.counters["modelled"] = modelled;
  if (std::abs(ratio - 1) > 0.1)
    state.SkipWithError(fmt::format("the bubble is {:.2f} of what the table predicts", ratio).c_str());
}

constexpr const char *zeroBubble = "patch_primus_pipeline=true pp_algorithm=zero-bubble", *interleaved = "num_virtual_stages_per_pipeline_rank=2";
constexpr const char *uneven = " pipeline_model_parallel_layout='Et|ttt|tt|ttL'";
constexpr const char *unevenInterleaved = " num_layers=10 pipeline_model_parallel_layout='Et|t|tt|t|t|t|tt|tL'";
BENCHMARK_CAPTURE(bubble, 1f1b, "")->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(bubble, 1f1b_uneven, uneven)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(bubble, interleaved, interleaved)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(bubble, interleaved_uneven, std::string(interleaved) + unevenInterleaved)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(bubble, zero_bubble, zeroBubble)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(bubble, zero_bubble_uneven, std::string(zeroBubble) + uneven)->Iterations(1)->Unit(benchmark::kSecond);

} // namespace
