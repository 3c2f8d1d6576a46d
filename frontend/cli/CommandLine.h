//===- CommandLine.h - The options of the compiler's commands -----*- C++ -*-===//

#pragma once

#include "frontend/config/Config.h"

#include <optional>
#include <string>
#include <vector>

namespace primus::cli {

/// Exit codes of all commands.
enum ExitCode : int {
  kDone = 0,
  kDefect = 1,        // of ours
  kConfiguration = 2, // the command line or the experiment is wrong
  kFailure = 3,       // a file or the run failed
};

/// What `primus-compile`, and `primus-train` for an experiment, are asked for.
struct CompileOptions {
  config::ConfigRequest config;
  /// As given; empty: cpu, or what a dump was made for.
  std::string target;
  /// As given; empty: this machine's.
  std::string cpuFeatures;
  std::string output, emit, dump, stopAfter, startFrom, report;
  /// A regular expression of passes' names, for --dump-passes; empty: none.
  std::string dumpPasses;
  /// Names of passes to leave out.
  std::vector<std::string> disabledPasses;
  /// Set by --explain; empty: everything.
  std::optional<std::string> explain;
};

/// Parses the arguments (argv[0] is the program's name). Returns an exit code when the program should end at once: after --help (0) or an error (2),
/// which has been printed. With `forTraining` only the options that both commands have exist.
std::optional<int> parseCommandLine(int argc, const char *const *argv, bool forTraining, CompileOptions &options);

} // namespace primus::cli
