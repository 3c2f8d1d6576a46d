//===- RankRun.cpp - One rank's training run ------------------------------===//

#include "runtime/train/RankRun.h"

#include "runtime/devices/cpu/CpuDevice.h"
#include "runtime/devices/hip/HipDevice.h"
#include "runtime/executable/PipelineRank.h"
#include "runtime/executable/Validation.h"
#include "runtime/metrics/Profile.h"
#include "runtime/metrics/Report.h"
#include "runtime/support/Logging.h"
#include "runtime/support/OwnFolder.h"
#include "runtime/support/WriteFile.h"
#include "runtime/train/Launch.h"
#include "runtime/train/Resume.h"
#include "runtime/train/Trainer.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>
#include <new>
#include <spdlog/spdlog.h>

using namespace primus;
using namespace primus::runtime;
using executable::Executable;

//===----------------------------------------------------------------------===//
// Data and logs
//===----------------------------------------------------------------------===//

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

/// A path of an experiment: as it is where it exists from here, else below the folder that holds our configs, so that our
/// own experiments run from any folder. (It stays out of the executable, which is equal wherever it is compiled.)
static std::string findData(const std::string &path) {
  std::error_code code;
  if (std::filesystem::path(path).is_absolute() || std::filesystem::exists(path, code))
    return path;
  std::filesystem::path own = findOwnTree() / path;
  return own.is_absolute() && std::filesystem::exists(own, code) ? own.string() : path;
}

Expected<DataSet> primus::runtime::openRunData(const Run &run) {
  const executable::Training &training = run.executable.training();
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

Error primus::runtime::setUpRunLogging(const Run &run) {
  LogConfig log;
  log.folder = run.compiled.outputFolder;
  log.module = run.compiled.moduleName;
  log.ranks = static_cast<int>(std::max<int64_t>(run.executable.world_size(), 1));
  log.sinkLevel = run.compiled.sinkLevel;
  if (!run.compiled.fileSinkLevel.empty())
    log.fileSinkLevel = run.compiled.fileSinkLevel;
  if (!run.compiled.stderrSinkLevel.empty())
    log.stderrSinkLevel = run.compiled.stderrSinkLevel;
  return setUpLogging(log);
}

//===----------------------------------------------------------------------===//
// One rank
//===----------------------------------------------------------------------===//

namespace {

/// The parts of a rank's run, in the order in which they come to be.
class RankRun {
public:
  RankRun(const Run &run, const DataSet &data, Communicator &communicator)
      : run(run), data(data), communicator(communicator), training(run.executable.training()) {}

  /// What a rank does by itself before it trains: arena, code, first values.
  Error prepare(int threads);
  /// Checks that all ranks run the same: the program, its data, and the options that decide what happens.
  Error checkAgreement();
  /// Loads what the run starts from, and opens what it writes. Ranks fail together, if not all for the same reason.
  Error open();
  /// The rest, together with the other ranks.
  Error train();

private:
  bool isMainRank() const { return communicator.getRank() == 0; }
  void announce() const;
  Error startProfile();
  Error report();

  const Run &run;
  DataSet data;
  Communicator &communicator;
  const executable::Training &training;
  /// Labels that it holds are the executor's.
  std::optional<Profile> profile;
  std::unique_ptr<Executor> executor;
  CheckpointState state;
  std::unique_ptr<CheckpointSaver> saver;
  std::optional<MetricsFile> metrics;
  std::optional<EventFile> events;
};

} // namespace

/// The device that the program is compiled for. Ranks of one process are threads, and each has its own GPU too.
static Expected<std::unique_ptr<Device>> createDevice(const Executable &executable, const Communicator &communicator,
                                                      int threads) {
  if (!isGpuTarget(executable.target()))
    return createCpuDevice(threads);
  return createHipDevice(communicator.getName() == "local" ? communicator.getRank() : getLaunchedLocalRank());
}

Error RankRun::prepare(int threads) {
  Expected<std::unique_ptr<Device>> device = createDevice(run.executable, communicator, threads);
  if (!device)
    return device.takeError();
  Expected<std::unique_ptr<Executor>> created = Executor::create(run.executable, std::move(*device), &communicator);
  if (!created)
    return created.takeError();
  executor = std::move(*created);
  return executor->initializeVariables(training.seed());
}

Error RankRun::checkAgreement() {
  int64_t heldOut = data.validation ? data.validation->getEnd() - data.validation->getBegin() : 0;
  std::vector<std::pair<std::string, std::string>> facts = {
      {"the program's checksum", fmt::format("{:08x}", run.executableChecksum)},
      {"training tokens", std::to_string(data.training.getEnd() - data.training.getBegin())},
      {"held-out tokens", std::to_string(heldOut)},
      {"--resume", run.options.resume},
      {"--timeout", fmt::format("{:g}", run.options.timeoutSeconds)},
  };
  for (const auto &[name, value] : facts) {
    Expected<std::vector<std::string>> all = communicator.allGatherBytes(value);
    if (!all)
      return all.takeError();
    for (size_t rank = 1; rank < all->size(); ++rank)
      if ((*all)[rank] != all->front())
        return Error::configuration(fmt::format("the ranks do not run the same: {} is '{}' on rank 0 and '{}' on rank {}",
                                                name, all->front(), (*all)[rank], rank));
  }
  return Error::success();
}

void RankRun::announce() const {
  int ranks = communicator.getNumRanks();
  int64_t tokensPerStep = 0;
  if (int program = executor->findProgram("train_step"); program >= 0)
    if (Expected<InputSlice> tokens = executor->findInputSlice(program, "tokens", 3))
      tokensPerStep = TensorRegion::whole(tokens->globalShape).getElements();
  bool isPipeline = run.executable.pipeline_ranks_size() > 0;
  std::string where = ranks > 1 ? fmt::format(" on {} {} ranks ({})", isPipeline ? "the fullest of" : "each of", ranks,
                                              executor->getTensorCommunicator().getName())
                                : "";
  spdlog::info("{} parameters, {:.1f} MiB for tensors{}; {} training tokens, {} per step", run.executable.parameters(),
               static_cast<double>(getLargestArena(run.executable)) / (1 << 20), where,
               data.training.getEnd() - data.training.getBegin(), tokensPerStep);
  const LinkModel &link = communicator.getOptions().link;
  if (link.isActive())
    spdlog::warn("PRIMUS_LINK delays what ranks send: {:g} s and {:g} bytes/s{}", link.latencySeconds, link.bytesPerSecond,
                 link.onProcessorTime ? ", in processor time" : "");
}

Error RankRun::open() {
  announce();
  state = makeInitialState(run.executable, data.training.getEnd() - data.training.getBegin());
  if (Error error = loadStart(*executor, run.options.resume, state))
    return error;
  if (!training.checkpoint().save().empty() && !training.frozen()) {
    Expected<std::unique_ptr<CheckpointSaver>> created = CheckpointSaver::create(*executor);
    if (!created)
      return created.takeError();
    saver = std::move(*created);
  }
  if (!training.tensorboard_folder().empty() && isMainRank() && !training.frozen()) {
    Expected<EventFile> file = EventFile::create(training.tensorboard_folder());
    if (!file)
      return file.takeError();
    events.emplace(std::move(*file));
  }
  if (run.options.metricsPath.empty() || !isMainRank())
    return Error::success();
  Expected<MetricsFile> file = state.step > 0 ? MetricsFile::resume(run.options.metricsPath, state.step)
                                              : MetricsFile::create(run.options.metricsPath);
  if (!file)
    return file.takeError();
  metrics.emplace(std::move(*file));
  return Error::success();
}

Error RankRun::train() {
  Expected<std::unique_ptr<Trainer>> trainer =
      Trainer::create(*executor, data, metrics ? &*metrics : nullptr, std::move(state), saver.get());
  if (!trainer)
    return trainer.takeError();
  if (events)
    (*trainer)->setEventFile(*events);
  if (Error error = startProfile())
    return error;
  if (training.frozen())
    spdlog::warn("trainable is false: everything is built and nothing is trained");
  else if (Error error = (*trainer)->run())
    return error;
  return report();
}

Error RankRun::startProfile() {
  if (run.options.profilePath.empty())
    return Error::success();
  // The compiler knows the hardware; an executable does not.
  std::map<std::string, double> bounds;
  if (!run.compiled.reportJson.empty())
    for (const nlohmann::json &kernel : nlohmann::json::parse(run.compiled.reportJson)["kernels"])
      bounds[kernel.value("name", "")] = kernel.value("predicted_seconds", 0.0);
  profile.emplace(std::move(bounds));
  executor->startProfile(*profile);
  Error error = communicator.barrier();
  // Ranks that have just met read about the same on the steady clock. What they compute and wait for is counted from zero.
  profile->start(communicator.getOptions().link.onProcessorTime ? 0 : executor->getTensorCommunicator().getSeconds());
  return error;
}

Error RankRun::report() {
  if (profile)
    if (Error error = profile->write(communicator, run.options.profilePath))
      return error;
  if (run.options.reportPath.empty())
    return Error::success();
  Communicator &tensors = executor->getTensorCommunicator();
  RankFigures own = {executor->getAllocatedBytes(), tensors.getBufferBytes(), tensors.getWaitSeconds(), tensors.getLinkSeconds(),
                     tensors.getComputeSeconds()};
  Expected<std::vector<std::string>> all =
      communicator.allGatherBytes({reinterpret_cast<const char *>(&own), sizeof(own)});
  if (!all)
    return all.takeError();
  if (!isMainRank())
    return Error::success();
  std::vector<RankFigures> figures;
  for (const std::string &bytes : *all)
    std::memcpy(&figures.emplace_back(), bytes.data(), sizeof(RankFigures));
  nlohmann::ordered_json json =
      run.compiled.reportJson.empty() ? makeReport(run.executable) : nlohmann::ordered_json::parse(run.compiled.reportJson);
  addRunToReport(json, std::string(tensors.getName()), figures, getProcessMemory(executor->getArena()));
  std::string text = json.dump(2) + "\n";
  if (run.options.reportPath != "-")
    return writeFileAtomically(run.options.reportPath, text);
  return writeAll(fileno(stdout), text) ? Error::success() : Error::failure("cannot write to standard output");
}

RankResult primus::runtime::runRank(const Run &run, const DataSet &data, Communicator &communicator, int threads) {
  if (communicator.getRank() > 0)
    muteThisThread();
  Error error = Error::success();
  try {
    RankRun rank(run, data, communicator);
    error = communicator.agree(rank.prepare(threads));
    if (!error)
      error = rank.checkAgreement();
    if (!error)
      error = communicator.agree(rank.open());
    if (error)
      return {error, /*isAgreed=*/!communicator.getFailure()};
    error = rank.train();
  } catch (const std::bad_alloc &) {
    error = Error::failure("out of memory");
  } catch (const std::exception &exception) {
    error = Error::defect(exception.what());
  }
  if (error)
    communicator.fail(error.getMessage());
  return {error, /*isAgreed=*/false};
}
