//===- CompileMicrobatches.cpp - Compile time against a step's length -----===//
//
// All phases up to `step` of a small model on four pipeline ranks, each of which has a list of actions as long as its row of the table. Counters:
// `seconds` with 256 microbatches, and `growth`, how many times as long that takes as 64 of them, over 4: to be at most 1.2. Medians.
//
//===----------------------------------------------------------------------===//

#include "bench/TrainRuns.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

using namespace primus::bench;

static void compileMicrobatches(benchmark::State &state) {
  std::map<int, std::vector<double>> seconds;
  for (auto _ : state)
    for (int microbatches : {64, 256}) {
      Files files;
      if (!runCommand(fmt::format("{} " PRIMUS_SOURCE_DIR "/configs/experiments/cpu/llama-tiny.yaml pipeline_model_parallel_size=4 num_layers=8 "
                                  "seq_length=32 micro_batch_size=1 global_batch_size={} --stop-after step --report {}",
                                  findTool("primus-compile"), microbatches, files / "report.json")))
        return state.SkipWithError("the experiment was not compiled");
      const nlohmann::json report = files.readJson("report.json");
      double sum = 0;
      for (const nlohmann::json &phase : report.at("compile_seconds"))
        sum += phase.get<double>();
      seconds[microbatches].push_back(sum);
    }
  for (auto &[microbatches, all] : seconds)
    std::nth_element(all.begin(), all.begin() + all.size() / 2, all.end());
  double few = seconds[64][seconds[64].size() / 2], many = seconds[256][seconds[256].size() / 2];
  state.counters["seconds"] = many;
  state.counters["growth"] = many / few / 4;
}
BENCHMARK(compileMicrobatches)->Name("compile_microbatches")->Iterations(5)->Unit(benchmark::kSecond);
