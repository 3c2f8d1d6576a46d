//===- Bubble.cpp - Whether pipelines wait as long as their tables say ----===//
//
// Training steps of four pipeline ranks as threads. Time is processor time (PRIMUS_LINK's clock=processor), in which each rank has a processor of its
// own, whatever else the machine does: a rank that is ahead waits for the others. What a rank computes for a microbatch is the difference between steps of
// 16 and of 8 of them; the stages' forward and backward passes share it as the report's cost model says. With these costs the schedule's table is
// simulated. Counters, per step: `waited` and `predicted` seconds of all ranks, their `ratio`, to be within 0.1 of 1, and the `bubble` that was measured.
//
//===----------------------------------------------------------------------===//

#include "bench/TrainRuns.h"

#include "passes/schedules/Simulate.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>

using namespace primus;
using namespace primus::bench;

namespace {

constexpr int ranks = 4, steps = 4, microbatches = 8;

/// Of a step, by rank.
struct Seconds {
  std::vector<double> waited, computed;
};

std::optional<Seconds> train(const Files &files, const std::string &keys, int microbatches) {
  std::string experiment = PRIMUS_SOURCE_DIR "/configs/experiments/cpu/llama-tiny.yaml";
  if (!runCommand(fmt::format("{} {} pipeline_model_parallel_size={} num_layers=8 hidden_size=256 ffn_hidden_size=768 seq_length=128 "
                              "global_batch_size={} train_iters={} eval_iters=0 sample_bytes=0 train_data_path={} {} -o {} --dump {}",
                              findTool("primus-compile"), experiment, ranks, microbatches, steps, PRIMUS_SOURCE_DIR "/ir", keys,
                              files / "x.primus", files / "dump")) ||
      !runCommand(fmt::format("PRIMUS_LINK=clock=processor,latency=1e-9 PRIMUS_WORKSPACE={} {} {} --ranks {} --communicator local --threads {} --report {}",
                              files / "output", findTool("primus-train"), files / "x.primus", ranks, ranks, files / "run.json")))
    return std::nullopt;
  Seconds seconds;
  const nlohmann::json report = files.readJson("run.json");
  for (const nlohmann::json &run : report.at("rank_runs")) {
    seconds.waited.push_back(run.at("link_seconds").get<double>() / steps);
    seconds.computed.push_back(run.at("compute_seconds").get<double>() / steps);
  }
  return seconds;
}

/// Seconds that all ranks wait in a step of the table in the dump, if a rank computes `perMicrobatch` for each microbatch.
std::optional<double> predict(const Files &files, const std::vector<double> &perMicrobatch) {
  std::ifstream file(files / "dump/pipeline.csv");
  llvm::Expected<schedules::Table> table = schedules::parseCsv(std::string(std::istreambuf_iterator<char>(file), {}));
  if (!table) {
    llvm::consumeError(table.takeError());
    return std::nullopt;
  }
  std::vector<double> modelled(ranks);
  std::vector<schedules::StageSeconds> stages;
  const nlohmann::json report = files.readJson("dump/report.json");
  for (const nlohmann::json &stage : report.at("pipeline").at("stage_times")) {
    double forward = stage.at("forward"), backward = stage.at("backward"), weight = stage.value("weight_gradient", 0.0);
    stages.push_back({forward, backward - weight, weight});
    modelled[stage.at("rank").get<int>()] += forward + backward;
  }
  double busy = 0;
  for (size_t stage = 0; stage < stages.size(); ++stage) {
    int32_t rank = table->rankOfStage[stage];
    double scale = perMicrobatch[rank] / modelled[rank];
    stages[stage] = {stages[stage].forward * scale, stages[stage].inputGradient * scale, stages[stage].weightGradient * scale};
  }
  for (double each : perMicrobatch)
    busy += each * table->microbatches;
  return ranks * schedules::simulate(*table, stages).seconds - busy;
}

void bubble(benchmark::State &state, const std::string &keys) {
  struct Turn {
    double ratio, waited, predicted, share;
  };
  std::vector<Turn> turns;
  for (auto _ : state) {
    for (int turn = 0; turn < 3; ++turn) {
      Files files;
      std::optional<Seconds> longer = train(files, keys, 2 * microbatches);
      std::optional<Seconds> seconds = longer ? train(files, keys, microbatches) : std::nullopt;
      if (!seconds)
        return state.SkipWithError("the run failed");
      std::vector<double> perMicrobatch;
      double waited = 0, all = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        perMicrobatch.push_back((longer->computed[rank] - seconds->computed[rank]) / microbatches);
        waited += seconds->waited[rank];
        all += seconds->waited[rank] + seconds->computed[rank];
      }
      std::optional<double> predicted = predict(files, perMicrobatch);
      if (!predicted)
        return state.SkipWithError("the dump has no table");
      turns.push_back({waited / *predicted, waited, *predicted, waited / all});
    }
  }
  std::sort(turns.begin(), turns.end(), [](const Turn &a, const Turn &b) { return a.ratio < b.ratio; });
  const Turn &middle = turns[turns.size() / 2];
  state.counters["ratio"] = middle.ratio;
  state.counters["waited"] = middle.waited;
  state.counters["predicted"] = middle.predicted;
  state.counters["bubble"] = middle.share;
}

constexpr const char *uneven = " pipeline_model_parallel_layout='Et|ttt|tt|ttL'", *zeroBubble = "patch_primus_pipeline=true pp_algorithm=zero-bubble";
BENCHMARK_CAPTURE(bubble, 1f1b, "")->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(bubble, 1f1b_uneven, uneven)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(bubble, interleaved, "num_virtual_stages_per_pipeline_rank=2")->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(bubble, zero_bubble, zeroBubble)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(bubble, zero_bubble_uneven, std::string(zeroBubble) + uneven)->Iterations(1)->Unit(benchmark::kSecond);

} // namespace
