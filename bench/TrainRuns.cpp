//===- TrainRuns.cpp - Whole runs as benchmarks ---------------------------===//

#include "bench/TrainRuns.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <sched.h>
#include <unistd.h>

using namespace primus;

std::string bench::findTool(const char *name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

bool bench::runCommand(const std::string &command, bool onAllProcessors) {
  cpu_set_t before, all;
  sched_getaffinity(0, sizeof(before), &before);
  CPU_ZERO(&all);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    CPU_SET(cpu, &all);
  if (onAllProcessors)
    sched_setaffinity(0, sizeof(all), &all);
  bool succeeded = std::system((command + " > /dev/null 2>&1").c_str()) == 0;
  sched_setaffinity(0, sizeof(before), &before);
  return succeeded;
}

bench::Files::Files() : folder(std::filesystem::temp_directory_path() / fmt::format("primus-bench-{}", getpid())) {
  std::filesystem::create_directories(folder);
}

bench::Files::~Files() { std::filesystem::remove_all(folder); }

nlohmann::json bench::Files::readJson(const char *name) const {
  std::ifstream file(folder / name);
  return nlohmann::json::parse(file);
}
