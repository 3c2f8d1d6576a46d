//===- Resume.cpp - What a run goes on from -------------------------------===//

#include "runtime/train/Resume.h"

#include "runtime/checkpoint/CheckpointFolder.h"
#include "runtime/train/CheckpointShards.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>
#include <spdlog/spdlog.h>

using namespace primus;
using namespace primus::runtime;

CheckpointState primus::runtime::makeInitialState(const executable::Executable &executable, int64_t trainingTokens) {
  CheckpointState state;
  state.seed = executable.training().seed();
  state.worldSize = executable.world_size();
  for (const executable::Setting &setting : executable.settings())
    state.settings[setting.name()] = setting.value();
  state.settings["data.training_tokens"] = std::to_string(trainingTokens);
  return state;
}

namespace {

/// What is taken from a checkpoint.
enum class Part {
  All,             ///< the run goes on
  AllButOptimizer, ///< the run goes on with the optimizer's state at zero
  Parameters,      ///< a new run begins
};

/// Checks a checkpoint against the executable, and loads it.
class Loader {
public:
  Loader(Executor &executor, const Checkpoint &checkpoint, Part part)
      : executor(executor), checkpoint(checkpoint), part(part) {}

  Error load(CheckpointState &state);

private:
  /// The variables' tensors, and how the two disagree on them.
  void matchVariables();
  bool differsInPadding(const CheckpointTensor &tensor, const CheckpointTensor &expected) const;
  void compareSettings(const std::map<std::string, std::string> &own);
  Error checkOptimizer();
  Error read(const executable::Variable &variable, const CheckpointTensor &tensor);
  /// Says in the log what was loaded.
  void describe(const CheckpointState &state) const;

  Executor &executor;
  const Checkpoint &checkpoint;
  Part part;
  std::vector<std::pair<const executable::Variable *, const CheckpointTensor *>> matches;
  /// That make it the checkpoint of another model, and that just should not go unnoticed.
  std::vector<std::string> differences, warnings;
};

} // namespace

/// A checkpoint that was made without an optimizer's state and has done no steps, such as an imported one, starts a run.
Error Loader::checkOptimizer() {
  if (part != Part::All || checkpoint.getIndex().hasRole("optimizer"))
    return Error::success();
  bool isStart = checkpoint.getState().step == 0;
  if (!isStart && !executor.getExecutable().training().checkpoint().fresh_optimizer())
    return Error::failure(fmt::format("the checkpoint '{}' of step {} has no optimizer state; no_load_optim: true goes "
                                      "on from there with a fresh one, finetune: true begins a new run with its "
                                      "parameters",
                                      checkpoint.getPath(), checkpoint.getState().step));
  part = isStart ? Part::Parameters : Part::AllButOptimizer;
  return Error::success();
}

/// Rows of the token tables beyond the vocabulary take part in nothing. How many there are may depend on the layout.
bool Loader::differsInPadding(const CheckpointTensor &tensor, const CheckpointTensor &expected) const {
  bool isTable = expected.name.starts_with("embedding.weight") || expected.name.starts_with("head.weight");
  if (!isTable || tensor.type != expected.type || tensor.shape.size() != 2 || expected.shape.size() != 2)
    return false;
  int64_t vocabulary = executor.getExecutable().training().vocabulary();
  return tensor.shape[1] == expected.shape[1] && std::min(tensor.shape[0], expected.shape[0]) >= vocabulary;
}

void Loader::matchVariables() {
  std::set<std::string> known;
  for (const executable::Variable &variable : executor.getExecutable().variables()) {
    known.insert(variable.name());
    if (variable.role() != "parameter" && (variable.role() != "optimizer" || part != Part::All))
      continue;
    CheckpointTensor expected = describeVariable(variable);
    const CheckpointTensor *tensor = checkpoint.find(variable.name());
    if (!tensor)
      differences.push_back(fmt::format("{} of {} is missing", expected.name, expected.str()));
    else if ((tensor->type != expected.type || tensor->shape != expected.shape) && !differsInPadding(*tensor, expected))
      differences.push_back(fmt::format("{} is {} instead of {}", expected.name, tensor->str(), expected.str()));
    else
      matches.emplace_back(&variable, tensor);
  }
  // What other ranks of a pipeline have is theirs to check.
  for (const executable::PipelineRank &place : executor.getExecutable().pipeline_ranks())
    for (const executable::Variable &variable : place.variables())
      known.insert(variable.name());
  for (const CheckpointTensor &tensor : checkpoint.getTensors())
    if (!known.contains(tensor.name))
      differences.push_back(fmt::format("{} of {} is unknown here", tensor.name, tensor.str()));
}

void Loader::compareSettings(const std::map<std::string, std::string> &own) {
  const std::map<std::string, std::string> &saved = checkpoint.getState().settings;
  if (saved.empty())
    return;
  std::map<std::string, std::string> all = own;
  all.insert(saved.begin(), saved.end());
  auto get = [](const std::map<std::string, std::string> &settings, const std::string &name) {
    auto it = settings.find(name);
    return it == settings.end() ? "unset" : it->second;
  };
  for (const auto &[name, unused] : all) {
    // The tables' shapes say whether another padding matters.
    if (get(saved, name) == get(own, name) || name == "model.embedding.padded_vocabulary")
      continue;
    bool isModel = name.starts_with("model.");
    // A new run has its own way to train.
    if (isModel || part != Part::Parameters)
      (isModel ? differences : warnings)
          .push_back(fmt::format("{} is {} instead of {}", name, get(saved, name), get(own, name)));
  }
}

/// Loads this rank's part. Rows that the checkpoint lacks are padding, and stay as they are.
Error Loader::read(const executable::Variable &variable, const CheckpointTensor &tensor) {
  TensorRegion region = getRegion(variable, RankMesh(executor.getExecutable().mesh()), executor.getRank());
  if (!region.shape.empty())
    region.shape[0] = std::clamp<int64_t>(tensor.shape[0] - region.begin[0], 0, region.shape[0]);
  std::byte *address = executor.getTensor(variable).address;
  Error error = Error::success();
  checkpoint.read(tensor, region, [&](uint64_t offset, std::span<const std::byte> bytes) {
    if (!error)
      error = executor.write({address + offset, static_cast<int64_t>(bytes.size())}, bytes.data());
  });
  return error;
}

Error Loader::load(CheckpointState &state) {
  if (Error error = checkOptimizer())
    return error;
  matchVariables();
  compareSettings(state.settings);
  if (!differences.empty()) {
    constexpr size_t most = 12;
    size_t shown = std::min(differences.size(), most);
    std::string more = shown < differences.size() ? fmt::format("\n  and {} more", differences.size() - shown) : "";
    return Error::failure(
        fmt::format("the checkpoint '{}' is of another model:\n  {}{}", checkpoint.getPath(),
                    fmt::join(differences.begin(), differences.begin() + static_cast<ptrdiff_t>(shown), "\n  "), more));
  }
  for (auto [variable, tensor] : matches)
    if (Error error = read(*variable, *tensor))
      return error;
  const CheckpointState &saved = checkpoint.getState();
  if (part != Part::Parameters) {
    state.step = saved.step;
    state.samples = saved.samples;
    state.optimizerSteps = part == Part::All ? saved.optimizerSteps : 0;
  }
  if (executor.getRank() == 0)
    describe(state);
  return Error::success();
}

void Loader::describe(const CheckpointState &state) const {
  for (const std::string &warning : warnings)
    spdlog::warn("the checkpoint differs from this run, which holds: {}", warning);
  int64_t savedBy = checkpoint.getState().worldSize;
  std::string other = savedBy == state.worldSize ? "" : fmt::format(", which {} ranks have written", savedBy);
  if (part == Part::Parameters)
    spdlog::info("starts with the parameters of the checkpoint '{}'{}", checkpoint.getPath(), other);
  else
    spdlog::info("goes on after step {} from the checkpoint '{}'{}", state.step, checkpoint.getPath(), other);
}

//===----------------------------------------------------------------------===//
// Choosing
//===----------------------------------------------------------------------===//

namespace {

/// Finds the checkpoint to load and loads it. What is decided, all ranks decide alike.
class Start {
public:
  Start(Executor &executor, CheckpointState &state)
      : executor(executor), config(executor.getExecutable().training().checkpoint()), state(state) {}

  Error load(const std::string &resume);

private:
  /// Whether there was a checkpoint in `path`, which is loaded then.
  Expected<bool> tryLoad(const std::string &path, int64_t step, Part part);
  /// Loads what the keys load and pretrained_checkpoint name.
  Error loadConfigured();
  Error loadNamed(const std::string &path);
  /// What the experiment wants of a checkpoint that it loads.
  Part getPart() const;
  void say(const std::string &message) const;

  Executor &executor;
  const executable::Checkpoint &config;
  CheckpointState &state;
};

} // namespace

Part Start::getPart() const {
  if (config.finetune())
    return Part::Parameters;
  return config.fresh_optimizer() ? Part::AllButOptimizer : Part::All;
}

void Start::say(const std::string &message) const {
  if (executor.getRank() == 0)
    spdlog::info(message);
}

Expected<bool> Start::tryLoad(const std::string &path, int64_t step, Part part) {
  Expected<std::optional<Checkpoint>> checkpoint = findCheckpoint(path, step, &executor.getCommunicator());
  if (!checkpoint)
    return checkpoint.takeError();
  if (!*checkpoint)
    return false;
  Loader loader(executor, **checkpoint, part);
  if (Error error = agreeAfter(&executor.getCommunicator(), [&] { return loader.load(state); }))
    return error;
  return true;
}

Error Start::loadConfigured() {
  if (!config.load().empty()) {
    Expected<bool> found = tryLoad(config.load(), config.load_step(), getPart());
    if (!found || *found)
      return found ? Error::success() : found.takeError();
  }
  if (!config.pretrained().empty()) {
    Expected<bool> found = tryLoad(config.pretrained(), 0, Part::Parameters);
    if (!found || *found)
      return found ? Error::success() : found.takeError();
    return Error::failure(fmt::format("there is no checkpoint in '{}' (pretrained_checkpoint)", config.pretrained()));
  }
  if (config.load().empty())
    return Error::success();
  std::string which = config.load_step() ? fmt::format(" of step {}", config.load_step()) : "";
  std::string message = fmt::format("there is no checkpoint{} in '{}' (load)", which, config.load());
  if (config.required())
    return Error::failure(message + ", and exit_on_missing_checkpoint is set");
  say(message + ": training starts from the beginning");
  return Error::success();
}

Error Start::loadNamed(const std::string &path) {
  Expected<bool> found = tryLoad(path, 0, getPart());
  if (!found || *found)
    return found ? Error::success() : found.takeError();
  std::error_code code;
  std::string message = fmt::format("--resume: there is no checkpoint in '{}'", path);
  return std::filesystem::exists(path, code) ? Error::failure(message) : Error::configuration(message);
}

Error Start::load(const std::string &resume) {
  if (!resume.empty() && resume != "auto")
    return loadNamed(resume);
  if (resume.empty() && !config.auto_resume())
    return loadConfigured();
  // The run's own checkpoints are complete, however it started.
  if (!config.save().empty()) {
    Expected<bool> found = tryLoad(config.save(), 0, Part::All);
    if (!found || *found)
      return found ? Error::success() : found.takeError();
  }
  say(config.save().empty() ? "this run saves no checkpoints to go on from (save is not set)"
                            : fmt::format("there is no checkpoint in '{}' to go on from", config.save()));
  if (config.load().empty() && config.pretrained().empty())
    say("training starts from the beginning");
  return loadConfigured();
}

Error primus::runtime::loadStart(Executor &executor, const std::string &resume, CheckpointState &state) {
  return Start(executor, state).load(resume);
}
