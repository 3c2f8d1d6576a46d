//===- TrainRuns.h - Whole runs as benchmarks --------------------*- C++ -*-===//

#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace primus::bench {

/// The program beside this one, in its folder.
std::string findTool(const char *name);

/// Runs a command on all processors, or on the one that the benchmarks run on. Whether it exited with 0.
bool runCommand(const std::string &command, bool onAllProcessors = true);

/// The files of one benchmark, in a folder that goes with it.
class Files {
public:
  Files();
  ~Files();
  std::string operator/(const char *name) const { return (folder / name).string(); }
  /// The content of one of them, which has to be JSON.
  nlohmann::json readJson(const char *name) const;

private:
  std::filesystem::path folder;
};

} // namespace primus::bench
