//===- TrainCommand.cpp - primus-train ------------------------------------===//

#include "runtime/train/TrainCommand.h"

#include "runtime/compiler/CompilerLibrary.h"
#include "runtime/devices/cpu/CpuDevice.h"
#include "runtime/executable/ExecutableFile.h"
#include "runtime/metrics/Progress.h"
#include "runtime/metrics/Report.h"
#include "runtime/support/Logging.h"
#include "runtime/support/OwnFolder.h"
#include "runtime/support/WriteFile.h"
#include "runtime/train/Resume.h"
#include "runtime/train/TrainOptions.h"
#include "runtime/train/Trainer.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>
#include <new>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

using namespace primus;
using namespace primus::runtime;
using executable::Executable;

namespace {

/// What is known about the run before it starts. `compiled` is empty for an executable.
struct Run {
  TrainOptions options;
  PrimusCompileResult compiled;
};

} // namespace

/// Prefixes a message about a configured value with where it was set.
static Error locate(const Error &error, const Run &run, const std::string &field) {
  if (error.getKind() != ErrorKind::Configuration)
    return error;
  if (!run.options.dataPath.empty() && field == "data.paths")
    return Error::configuration(fmt::format("--data: {}", error.getMessage()));
  for (const PrimusValueSource &source : run.compiled.sources)
    if (source.field == field)
      return Error::configuration(fmt::format("{}: error: {}: {}", source.location, source.key, error.getMessage()));
  return error;
}

static Expected<Executable> loadInput(const std::string &path) {
  std::error_code code;
  if (!std::filesystem::exists(path, code))
    return Error::configuration(fmt::format("there is no file '{}'", path));
  Expected<Executable> executable = loadExecutable(path);
  if (!executable)
    return executable;
  if (executable->world_size() > 1)
    return Error::configuration(
        fmt::format("'{}' is compiled for {} ranks: this version runs one rank", path, executable->world_size()));
  if (!executable->has_training())
    return Error::configuration(fmt::format("'{}' was not compiled for training", path));
  if (Error error = checkTraining(executable->training()))
    return Error::failure(fmt::format("'{}': {}", path, error.getMessage()));
  return executable;
}

/// A path of an experiment: as it is where it exists from here, else below the folder that holds our configs, so that our
/// own experiments run from any folder. (It stays out of the executable, which is equal wherever it is compiled.)
static std::string findData(const std::string &path) {
  std::error_code code;
  if (std::filesystem::path(path).is_absolute() || std::filesystem::exists(path, code))
    return path;
  std::filesystem::path own = findOwnTree() / path;
  return own.is_absolute() && std::filesystem::exists(own, code) ? own.string() : path;
}

static Expected<DataSet> openRunData(const Run &run, const executable::Training &training) {
  DataConfig config;
  config.kind = training.data_kind();
  std::ranges::transform(training.data_paths(), std::back_inserter(config.paths), findData);
  std::ranges::transform(training.validation_data_paths(), std::back_inserter(config.validationPaths), findData);
  config.split = training.split();
  config.sequenceLength = training.sequence_length();
  config.vocabulary = training.vocabulary();
  config.seed = training.seed();
  config.needsValidation = training.eval_steps() > 0;
  if (!run.options.dataPath.empty()) {
    config.paths = {run.options.dataPath};
    config.kind = detectDataKind(config.paths.front());
    config.validationPaths.clear();
  }
  std::string field;
  Expected<DataSet> data = openData(config, field);
  if (!data)
    return locate(data.takeError(), run, field);
  return data;
}

static Error writeReport(const std::string &path, const nlohmann::ordered_json &report) {
  std::string text = report.dump(2) + "\n";
  if (path != "-")
    return writeFileAtomically(path, text);
  return writeAll(fileno(stdout), text) ? Error::success() : Error::failure("cannot write to standard output");
}

static void announce(const Executable &executable, const DataSet &data, const Executor &executor) {
  spdlog::info("{} parameters, {:.1f} MiB for tensors; {} training tokens, {} per step", executable.parameters(),
               static_cast<double>(executor.getAllocatedBytes()) / (1 << 20),
               data.training.getEnd() - data.training.getBegin(),
               executable.training().microbatches() * executable.training().micro_batch_size() *
                   executable.training().sequence_length());
}

/// Builds everything in order: what can be wrong with the configuration first, then memory, then files that are written.
static Error train(const Run &run, Executable executable) {
  Expected<DataSet> data = openRunData(run, executable.training());
  if (!data)
    return data.takeError();
  nlohmann::ordered_json report = makeReport(executable);
  if (!run.compiled.reportJson.empty())
    report = nlohmann::ordered_json::parse(run.compiled.reportJson);
  Expected<std::unique_ptr<Executor>> created =
      Executor::create(std::move(executable), createCpuDevice(run.options.threads));
  if (!created)
    return created.takeError();
  Executor &executor = **created;
  const executable::Training &training = executor.getExecutable().training();

  LogConfig log;
  log.folder = run.compiled.outputFolder;
  log.module = run.compiled.moduleName;
  log.sinkLevel = run.compiled.sinkLevel;
  if (!run.compiled.fileSinkLevel.empty())
    log.fileSinkLevel = run.compiled.fileSinkLevel;
  if (!run.compiled.stderrSinkLevel.empty())
    log.stderrSinkLevel = run.compiled.stderrSinkLevel;
  if (Error error = setUpLogging(log))
    return error;
  announce(executor.getExecutable(), *data, executor);
  if (Error error = executor.initializeVariables(training.seed()))
    return error;
  CheckpointState state = makeInitialState(executor.getExecutable(), data->training.getEnd() - data->training.getBegin());
  if (Error error = loadStart(executor, run.options.resume, state))
    return error;
  std::optional<CheckpointSaver> saver;
  if (!training.checkpoint().save().empty() && !training.frozen()) {
    Expected<CheckpointSaver> created = CheckpointSaver::create(executor);
    if (!created)
      return created.takeError();
    saver.emplace(std::move(*created));
  }
  std::optional<MetricsFile> metrics;
  if (!run.options.metricsPath.empty()) {
    Expected<MetricsFile> file = state.step > 0 ? MetricsFile::resume(run.options.metricsPath, state.step)
                                                : MetricsFile::create(run.options.metricsPath);
    if (!file)
      return file.takeError();
    metrics.emplace(std::move(*file));
  }
  Expected<std::unique_ptr<Trainer>> trainer =
      Trainer::create(executor, *data, metrics ? &*metrics : nullptr, std::move(state), saver ? &*saver : nullptr);
  if (!trainer)
    return trainer.takeError();
  if (training.frozen())
    spdlog::warn("trainable is false: everything is built and nothing is trained");
  else if (Error error = (*trainer)->run())
    return error;
  if (run.options.reportPath.empty())
    return Error::success();
  addRunToReport(report, executor.getAllocatedBytes(), getProcessMemory(executor.getArena()));
  return writeReport(run.options.reportPath, report);
}

static Error runCommand(int argc, const char *const *argv) {
  Expected<std::optional<TrainOptions>> options = parseTrainOptions(argc, argv);
  if (!options)
    return options.takeError();
  if (!*options)
    return Error::success();
  Run run = {std::move(**options), {}};
  std::string path = run.options.input;
  if (!run.options.isExecutable()) {
    Expected<PrimusCompileResult> compiled = compileForTraining(run.options.compileArguments);
    if (!compiled)
      return compiled.takeError();
    if (compiled->done)
      return Error::success();
    run.compiled = std::move(*compiled);
    path = run.compiled.executablePath;
  }
  Expected<Executable> executable = loadInput(path);
  if (!executable)
    return executable.takeError();
  return train(run, std::move(*executable));
}

int primus::runtime::runTrainCommand(int argc, const char *const *argv) {
  // A file that grows beyond its limit is an error like a full disk, not a reason to be killed.
  signal(SIGXFSZ, SIG_IGN);
  Error error = Error::success();
  try {
    error = runCommand(argc, argv);
  } catch (const std::bad_alloc &) {
    error = Error::failure("out of memory");
  } catch (const std::exception &exception) {
    error = Error::defect(exception.what());
  }
  if (!error)
    return 0;
  const std::string &message = error.getMessage();
  // The compiler has printed what it found, as there may be several messages.
  if (message.empty())
    return error.getExitCode();
  // What has a place in a configuration file says so itself.
  bool isLocated = message.find(": error: ") != std::string::npos;
  fmt::print(stderr, "{}{}\n", isLocated ? "" : "primus-train: error: ", message);
  // The log files should say how the run ended, without a second line on the terminal.
  auto &sinks = spdlog::default_logger()->sinks();
  for (size_t i = 1; i < sinks.size(); ++i)
    sinks[i]->log(spdlog::details::log_msg("primus", spdlog::level::err, message));
  return error.getExitCode();
}
