//===- TrainCommand.cpp - primus-train ------------------------------------===//

#include "runtime/train/TrainCommand.h"

#include "runtime/compiler/CompilerLibrary.h"
#include "runtime/executable/ExecutableFile.h"
#include "runtime/executable/Validation.h"
#include "runtime/support/Checksum.h"
#include "runtime/train/Launch.h"
#include "runtime/train/Trainer.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <new>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

using namespace primus;
using namespace primus::runtime;
using executable::Executable;

static Error loadInput(Run &run, const std::string &path) {
  std::error_code code;
  if (!std::filesystem::exists(path, code))
    return Error::configuration(fmt::format("there is no file '{}'", path));
  Expected<Executable> executable = loadExecutable(path);
  if (!executable)
    return executable.takeError();
  if (!executable->has_training())
    return Error::configuration(fmt::format("'{}' was not compiled for training", path));
  if (Error error = checkTraining(executable->training()))
    return Error::failure(fmt::format("'{}': {}", path, error.getMessage()));
  if (run.options.communicator == "rccl" && !isGpuTarget(executable->target()))
    return Error::configuration(fmt::format("--communicator rccl is for GPUs, and '{}' is compiled for {} (--target)", path,
                                            executable->target()));
  run.executable = std::move(*executable);
  run.executableChecksum = addToChecksum(0, serializeExecutable(run.executable));
  return Error::success();
}

/// Compiles the experiment, or loads the executable.
static Error prepareRun(Run &run, bool &isDone) {
  std::string path = run.options.input;
  if (!run.options.isExecutable()) {
    Expected<PrimusCompileResult> compiled = compileForTraining(run.options.compileArguments);
    if (!compiled)
      return compiled.takeError();
    isDone = compiled->done;
    if (isDone)
      return Error::success();
    run.compiled = std::move(*compiled);
    path = run.compiled.executablePath;
  }
  return loadInput(run, path);
}

static LaunchResult runCommand(int argc, const char *const *argv) {
  Expected<std::optional<TrainOptions>> options = parseTrainOptions(argc, argv);
  if (!options)
    return {options.takeError()};
  if (!*options)
    return {};
  Run run;
  run.options = std::move(**options);
  // RCCL carries tensors; how ranks talk apart from that depends on how they were started.
  bool isOpen = run.options.communicator.empty() || run.options.communicator == "rccl";
  bool isMpi = isOpen ? getLaunchedRanks() > 1 : run.options.communicator == "mpi";
  if (!isMpi && getLaunchedRanks() > 1)
    return {Error::configuration(fmt::format("--communicator local: this process is one of {} that were started together; "
                                             "leave the option away, or start one process, whose threads are the ranks",
                                             getLaunchedRanks()))};
  if (int tasks = getUnconnectedTasks(); tasks > 0 && run.options.communicator != "local")
    return {Error::configuration(fmt::format("srun has started {} processes that cannot reach each other; start them by srun "
                                             "--mpi=pmix, or pass --communicator local if each is to train alone",
                                             tasks))};
  if (isMpi && !isLaunched())
    return {Error::configuration("--communicator mpi: neither mpirun nor srun has started this process; start the ranks by "
                                 "mpirun -n RANKS primus-train ..., or leave the option away: the ranks are threads then")};
  return isMpi ? launchMpi(run, prepareRun) : launchLocal(run, prepareRun);
}

void primus::runtime::reportError(const Error &error) {
  const std::string &message = error.getMessage();
  // The compiler has printed what it found, as there may be several messages.
  if (message.empty())
    return;
  // What has a place in a configuration file says so itself.
  bool isLocated = message.find(": error: ") != std::string::npos;
  fmt::print(stderr, "{}{}\n", isLocated ? "" : "primus-train: error: ", message);
  auto &sinks = spdlog::default_logger()->sinks();
  for (size_t i = 1; i < sinks.size(); ++i)
    sinks[i]->log(spdlog::details::log_msg("primus", spdlog::level::err, message));
}

int primus::runtime::runTrainCommand(int argc, const char *const *argv) {
  // A file that grows beyond its limit is an error like a full disk, not a reason to be killed.
  signal(SIGXFSZ, SIG_IGN);
  LaunchResult result;
  try {
    result = runCommand(argc, argv);
  } catch (const std::bad_alloc &) {
    result.error = Error::failure("out of memory");
  } catch (const std::exception &exception) {
    result.error = Error::defect(exception.what());
  }
  if (!result.error)
    return 0;
  if (!result.isReported)
    reportError(result.error);
  if (result.isStuck) {
    (void)std::fflush(nullptr);
    std::_Exit(result.error.getExitCode());
  }
  return result.error.getExitCode();
}
