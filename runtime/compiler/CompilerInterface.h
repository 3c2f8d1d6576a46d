//===- CompilerInterface.h - What the compiler library offers -------------===//
//
// libprimus_compiler.so exports one function to the runtime, which opens it with dlopen only when there is YAML to
// compile. Both libraries are built and installed together, so the result is a plain C++ struct.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_COMPILER_COMPILERINTERFACE_H
#define PRIMUS_RUNTIME_COMPILER_COMPILERINTERFACE_H

#include <string>
#include <vector>

/// Where the value of a TrainingSpec field came from, for messages about values that only the run can judge (data that
/// is too short for one sequence, for instance).
struct PrimusValueSource {
  std::string field;    ///< path in TrainingSpec: data.paths
  std::string key;      ///< the experiment's key: train_data_path
  std::string location; ///< file:line, or "command line"
};

struct PrimusCompileResult {
  /// Exit code: 0, 2 (configuration), 3 (a file), 1 (a defect). Unless it is 0, `message` says why in one line, or is
  /// empty if everything has been said on standard error already.
  int status = 0;
  std::string message;
  /// Nothing is to be run: an option such as --explain printed what was asked for.
  bool done = false;
  std::string executablePath; ///< the .primus file, in the cache
  std::string outputFolder;   ///< workspace/work_group/user_name/exp_name; not created here
  std::string moduleName;     ///< which of the experiment's modules runs
  std::string sinkLevel;      ///< overrides the next two where it is not empty
  std::string fileSinkLevel;
  std::string stderrSinkLevel;
  std::string reportJson; ///< what `primus-compile --report` prints; empty: made from the executable
  std::vector<PrimusValueSource> sources;
};

/// Parses an experiment, its key=value overrides and the compile options of primus-train (argv[0] is the program's
/// name), and compiles it into the cache. Returns result->status. Throws nothing.
extern "C" int primus_compile_for_training(int argc, const char *const *argv, PrimusCompileResult *result);

/// The type and the name under which the function is looked up.
using PrimusCompileForTraining = int (*)(int argc, const char *const *argv, PrimusCompileResult *result);
inline constexpr const char *primusCompileForTrainingName = "primus_compile_for_training";

#endif // PRIMUS_RUNTIME_COMPILER_COMPILERINTERFACE_H
