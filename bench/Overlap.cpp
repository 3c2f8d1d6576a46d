//===- Overlap.cpp - How much of communication is hidden ------------------===//
//
// A step of four ranks (two of tensor parallelism, two that share parameters) without and with a modelled network whose links
// are so slow that a rank's collectives take as long as the step without them. Exposed is what the step takes longer, as a share of that.
//
//===----------------------------------------------------------------------===//

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <vector>

namespace {

/// The program beside this one, in its folder.
std::string findTool(const char *name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

/// Runs a command on all processors, although the benchmarks run on one.
bool runCommand(const std::string &command) {
  cpu_set_t before, all;
  CPU_ZERO(&all);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    CPU_SET(cpu, &all);
  sched_getaffinity(0, sizeof(before), &before);
  sched_setaffinity(0, sizeof(all), &all);
  bool succeeded = std::system((command + " > /dev/null 2>&1").c_str()) == 0;
  sched_setaffinity(0, sizeof(before), &before);
  return succeeded;
}

/// The files of one benchmark, in a folder that goes with it.
struct Files {
  Files() { std::filesystem::create_directories(folder); }
  ~Files() { std::filesystem::remove_all(folder); }
  std::string operator/(const char *name) const { return (folder / name).string(); }

  std::filesystem::path folder = std::filesystem::temp_directory_path() / fmt::format("primus-overlap-{}", getpid());
};

/// Seconds of the quickest step; negative if the run failed.
double trainSteps(const Files &files, double bytesPerSecond) {
  std::filesystem::remove(files / "metrics.jsonl");
  std::string link = bytesPerSecond > 0 ? fmt::format("PRIMUS_LINK=bandwidth={:.0f} ", bytesPerSecond) : "";
  if (!runCommand(fmt::format("{}PRIMUS_WORKSPACE={} {} {} --ranks 4 --communicator local --metrics {}", link, files / "output", findTool("primus-train"),
                              files / "x.primus", files / "metrics.jsonl")))
    return -1;
  double least = 1e30;
  std::ifstream metrics(files / "metrics.jsonl");
  for (std::string line; std::getline(metrics, line);)
    least = std::min(least, nlohmann::json::parse(line).at("step_seconds").get<double>());
  return least;
}

void overlap(benchmark::State &state) {
  Files files;
  std::string experiment = PRIMUS_SOURCE_DIR "/configs/experiments/cpu/llama-tiny.yaml";
  if (!runCommand(fmt::format("{} {} --ranks 4 tensor_model_parallel_size=2 use_torch_fsdp2=true hidden_size=512 ffn_hidden_size=1536 seq_length=128 "
                              "train_iters=8 eval_iters=0 sample_bytes=0 train_data_path={} -o {} --report {}",
                              findTool("primus-compile"), experiment, PRIMUS_SOURCE_DIR "/ir", files / "x.primus", files / "report.json")))
    return state.SkipWithError("the experiment was not compiled");
  double bytes = 0;
  std::ifstream file(files / "report.json");
  const nlohmann::json report = nlohmann::json::parse(file);
  for (const nlohmann::json &sum : report.at("ranks").at(0).at("communication"))
    bytes += sum.at("bytes").get<double>();

  std::vector<double> exposed;
  double alone = 0;
  for (auto _ : state) {
    // In turns, as a shared machine is now quick and now slow.
    for (int turn = 0; turn < 3; ++turn) {
      alone = trainSteps(files, 0);
      double together = alone < 0 ? -1 : trainSteps(files, bytes / alone);
      if (together < 0)
        return state.SkipWithError("the run failed");
      exposed.push_back((together - alone) / alone);
    }
  }
  std::sort(exposed.begin(), exposed.end());
  state.counters["exposed_share"] = exposed[exposed.size() / 2];
  state.counters["step_seconds"] = alone;
  state.counters["sent_mib"] = bytes / (1 << 20);
}
BENCHMARK(overlap)->Iterations(1)->Unit(benchmark::kSecond);

} // namespace
