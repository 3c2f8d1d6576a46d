//===- Overlap.cpp - How much of communication is hidden ------------------===//
//
// A step of four ranks (two of tensor parallelism, two that share parameters) on a modelled network whose links are so slow that all that a rank
// sends takes as long as all that it computes. Exposed is what a rank waits for the links, as a share of its computing. Time is processor time
// (PRIMUS_LINK's clock=processor): ranks that share processors, and other programs, change nothing.
//
//===----------------------------------------------------------------------===//

#include "bench/TrainRuns.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

using namespace primus::bench;

namespace {

constexpr int ranks = 4, steps = 4;

/// Seconds of all ranks in a whole run.
struct Seconds {
  double link = 0, compute = 0;
};

std::optional<Seconds> train(const Files &files, double bytesPerSecond) {
  if (!runCommand(fmt::format("PRIMUS_LINK=clock=processor,bandwidth={:.0f} PRIMUS_WORKSPACE={} {} {} --ranks {} --communicator local --threads {} --report {}",
                              bytesPerSecond, files / "output", findTool("primus-train"), files / "x.primus", ranks, ranks, files / "run.json")))
    return std::nullopt;
  const nlohmann::json report = files.readJson("run.json");
  Seconds seconds;
  for (const nlohmann::json &run : report.at("rank_runs")) {
    seconds.link += run.at("link_seconds").get<double>();
    seconds.compute += run.at("compute_seconds").get<double>();
  }
  return seconds;
}

/// `keys`: what differs from the experiment.
void overlap(benchmark::State &state, const std::string &keys) {
  Files files;
  std::string experiment = PRIMUS_SOURCE_DIR "/configs/experiments/cpu/llama-tiny.yaml";
  if (!runCommand(fmt::format("{} {} --ranks {} tensor_model_parallel_size=2 hidden_size=512 ffn_hidden_size=1536 {} train_iters={} eval_iters=0 "
                              "sample_bytes=0 train_data_path={} -o {} --report {}",
                              findTool("primus-compile"), experiment, ranks, keys, steps, PRIMUS_SOURCE_DIR "/ir", files / "x.primus",
                              files / "report.json")))
    return state.SkipWithError("the experiment was not compiled");
  double bytes = 0;
  const nlohmann::json report = files.readJson("report.json");
  for (const nlohmann::json &sum : report.at("ranks").at(0).at("communication"))
    bytes += sum.at("bytes").get<double>();

  std::vector<double> exposed;
  double compute = 0;
  for (auto _ : state) {
    for (int turn = 0; turn < 3; ++turn) {
      // How fast the ranks compute, on links that cost nothing.
      std::optional<Seconds> alone = train(files, 0);
      std::optional<Seconds> together = alone ? train(files, bytes * ranks * steps / alone->compute) : std::nullopt;
      if (!together)
        return state.SkipWithError("the run failed");
      compute = alone->compute / (ranks * steps);
      exposed.push_back(together->link / alone->compute);
    }
  }
  std::sort(exposed.begin(), exposed.end());
  state.counters["exposed_share"] = exposed[exposed.size() / 2];
  state.counters["compute_seconds"] = compute;
  state.counters["sent_mib"] = bytes / (1 << 20);
}
BENCHMARK_CAPTURE(overlap, fsdp2, "use_torch_fsdp2=true seq_length=128")->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(overlap, fsdp2_long, "use_torch_fsdp2=true seq_length=512")->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(overlap, zero1, "use_distributed_optimizer=true seq_length=128")->Iterations(1)->Unit(benchmark::kSecond);

} // namespace
