//===- CompileScale.cpp - Compile time against depth and ranks ------------===//
//
// The graph phases (model to fused) of Llama 3.1 405B at TP 8, PP 1, each run in a process of its own on one core. Counters: the seconds
// of each phase with 126 layers and one data rank, `seconds` all of them, `peak_MiB` the process's peak; `depth_seconds` = t(126 layers)
// - t(2 layers), to be at most 0.3; `ranks_ratio` = t(DP 2048) / t(DP 1), to be at most 1.1. Medians. And those of 16,384 ranks: TP 8 with
// sequence parallelism, PP 16 with 7 layers on the first and the last rank, DP 128, 16 microbatches, of one stage a rank (1f1b, zero-bubble) and two
// (interleaved): `seconds` to be at most 2, `peak_MiB` at most 1,024.
//
//===----------------------------------------------------------------------===//

#include "frontend/config/Config.h"
#include "frontend/models/ModelBuilder.h"
#include "passes/Passes.h"
#include "passes/Pipeline.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

using namespace primus;

namespace {

constexpr size_t mostPhases = 16;

/// What one process measured.
struct Measured {
  /// By index in getPhases().
  double seconds[mostPhases] = {};
  double peakMib = 0;
  bool succeeded = false;

  double total() const {
    double sum = 0;
    for (double each : seconds)
      sum += each;
    return sum;
  }
};

/// The experiment with `layers` layers and `data` data ranks, which share the optimizer's state.
std::optional<spec::TrainingSpec> makeSpec(int64_t layers, int64_t data, int64_t microbatches = 1) {
  config::ConfigRequest request;
  request.experiment = PRIMUS_SOURCE_DIR "/configs/experiments/mi300x/llama3.1_405B-BF16-pretrain.yaml";
  // One stage holds more than a device has; the hardware is not said, so that nobody minds.
  request.overrides = {"pipeline_model_parallel_size=1",
                       "decoder_first_pipeline_num_layers=None",
                       "decoder_last_pipeline_num_layers=None",
                       "hardware=None",
                       "use_distributed_optimizer=true",
                       fmt::format("num_layers={}", layers),
                       fmt::format("global_batch_size={}", data * microbatches)};
  request.ranks = 8 * data;
  config::Diagnostics diagnostics;
  auto resolved = config::resolveConfig(request, diagnostics);
  auto built = resolved ? config::buildSpec(*resolved, diagnostics) : std::nullopt;
  if (!built) {
    fmt::print(stderr, "{}", diagnostics.str());
    return std::nullopt;
  }
  return built->spec;
}

/// Compiles in this process.
Measured compile(const spec::TrainingSpec &spec) {
  Measured measured;
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto start = std::chrono::steady_clock::now();
  auto lap = [&](llvm::StringRef phase) {
    auto now = std::chrono::steady_clock::now();
    measured.seconds[*findPhase(phase)] = std::chrono::duration<double>(now - start).count();
    start = now;
  };
  auto module = models::buildModel(spec, &context);
  if (failed(module))
    return measured;
  measured.succeeded = succeeded(runPhases(**module, *findPhase("model"), *findPhase("fused"),
                                           [&](const Phase &phase, mlir::ModuleOp) { lap(phase.name); }));
  return measured;
}

/// Compiles in a process of its own, whose peak memory is that of the compilation.
Measured compileApart(const spec::TrainingSpec &spec) {
  Measured measured;
  int ends[2];
  if (pipe(ends))
    return measured;
  pid_t child = fork();
  if (child == 0) {
    Measured mine = compile(spec);
    bool sent = write(ends[1], &mine, sizeof(mine)) == sizeof(mine);
    _exit(sent ? 0 : 1);
  }
  close(ends[1]);
  bool received = child > 0 && read(ends[0], &measured, sizeof(measured)) == sizeof(measured);
  close(ends[0]);
  rusage usage{};
  if (child > 0)
    wait4(child, nullptr, 0, &usage);
  measured.peakMib = static_cast<double>(usage.ru_maxrss) / 1024;
  measured.succeeded &= received;
  return measured;
}

Measured median(std::vector<Measured> runs) {
  std::nth_element(runs.begin(), runs.begin() + static_cast<ptrdiff_t>(runs.size() / 2), runs.end(),
                   [](const Measured &a, const Measured &b) { return a.total() < b.total(); });
  return runs[runs.size() / 2];
}

void setPhaseCounters(benchmark::State &state, const Measured &measured) {
  for (size_t phase = *findPhase("model"); phase <= *findPhase("fused"); ++phase)
    state.counters[getPhases()[phase].name.str()] = measured.seconds[phase];
  state.counters["seconds"] = measured.total();
}

/// 16,384 ranks in a pipeline.
void compilePipeline(benchmark::State &state, const std::string &schedule, int64_t stagesPerRank) {
  std::optional<spec::TrainingSpec> spec = makeSpec(126, 128, /*microbatches=*/16);
  if (!spec)
    return state.SkipWithError("the experiment has no spec");
  spec::Parallelism &parallel = *spec->mutable_parallelism();
  parallel.set_pipeline(16);
  parallel.set_world_size(16384);
  parallel.set_schedule(schedule);
  parallel.set_virtual_stages(stagesPerRank);
  int64_t stages = 16 * stagesPerRank;
  for (int64_t stage = 0; stage < stages; ++stage)
    parallel.add_stage_layers(8 / stagesPerRank - (stage == 0 || stage + 1 == stages));
  std::vector<Measured> runs;
  for (auto _ : state) {
    runs.push_back(compileApart(*spec));
    if (!runs.back().succeeded)
      return state.SkipWithError("16,384 ranks do not compile");
  }
  Measured middle = median(runs);
  setPhaseCounters(state, middle);
  state.counters["peak_MiB"] = middle.peakMib;
}

void compileScale(benchmark::State &state) {
  struct {
    int64_t layers, data;
    std::vector<Measured> runs;
  } cases[] = {{126, 1, {}}, {2, 1, {}}, {126, 2048, {}}};
  for (auto _ : state) {
    for (auto &each : cases) {
      std::optional<spec::TrainingSpec> spec = makeSpec(each.layers, each.data);
      each.runs.push_back(spec ? compileApart(*spec) : Measured());
      if (!each.runs.back().succeeded)
        return state.SkipWithError(fmt::format("{} layers on {} data ranks do not compile", each.layers, each.data).c_str());
    }
  }
  Measured base = median(cases[0].runs), shallow = median(cases[1].runs), wide = median(cases[2].runs);
  setPhaseCounters(state, base);
  state.counters["peak_MiB"] = std::max(base.peakMib, wide.peakMib);
  state.counters["depth_seconds"] = base.total() - shallow.total();
  state.counters["ranks_ratio"] = wide.total() / base.total();
}

BENCHMARK_CAPTURE(compilePipeline, one_stage, "1f1b", 1)->Name("compile_scale/llama3.1_405B/tp8_pp16_dp128")->Iterations(5)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(compilePipeline, interleaved, "interleaved", 2)->Name("compile_scale/llama3.1_405B/tp8_pp16x2_dp128")->Iterations(5)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(compilePipeline, zero_bubble, "zero-bubble", 1)->Name("compile_scale/llama3.1_405B/tp8_pp16_dp128_zero_bubble")->Iterations(5)->Unit(benchmark::kSecond);
BENCHMARK(compileScale)->Name("compile_scale/llama3.1_405B/tp8")->Iterations(5)->Unit(benchmark::kSecond);

} // namespace
