//===- Resume.cpp - What a run goes on from -------------------------------===//

#include "runtime/train/Resume.h"

#include "runtime/checkpoint/CheckpointFolder.h"
#include "runtime/train/CheckpointSaver.h"

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
  void compareSettings(const std::map<std::string, std::string> &own);
  Error checkOptimizer();

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
    else if (tensor->type != expected.type || tensor->shape != expected.shape)
      differences.push_back(fmt::format("{} is {} instead of {}", expected.name, tensor->str(), expected.str()));
    else
      matches.emplace_back(&variable, tensor);
  }
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
    if (get(saved, name) == get(own, name))
      continue;
    bool isModel = name.starts_with("model.");
    // A new run has its own way to train.
    if (isModel || part != Part::Parameters)
      (isModel ? differences : warnings)
          .push_back(fmt::format("{} is {} instead of {}", name, get(saved, name), get(own, name)));
  }
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
  for (const std::string &warning : warnings)
    spdlog::warn("the checkpoint differs from this run, which holds: {}", warning);
  for (auto [variable, tensor] : matches) {
    Tensor target = executor.getTensor(*variable);
    checkpoint.read(*tensor, [&](uint64_t offset, std::span<const std::byte> bytes) {
      executor.write({target.address + offset, static_cast<int64_t>(bytes.size())}, bytes.data());
    });
  }
  const CheckpointState &saved = checkpoint.getState();
  if (part == Part::Parameters) {
    spdlog::info("starts with the parameters of the checkpoint '{}'", checkpoint.getPath());
    return Error::success();
  }
  state.step = saved.step;
  state.samples = saved.samples;
  state.optimizerSteps = part == Part::All ? saved.optimizerSteps : 0;
  spdlog::info("goes on after step {} from the checkpoint '{}'", state.step, checkpoint.getPath());
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Choosing
//===----------------------------------------------------------------------===//

/// Loads from `path`; `found` says whether there was a checkpoint.
static Error tryLoad(Executor &executor, const std::string &path, int64_t step, Part part, CheckpointState &state,
                     bool &found) {
  Expected<std::optional<Checkpoint>> checkpoint = findCheckpoint(path, step);
  if (!checkpoint)
    return checkpoint.takeError();
  found = checkpoint->has_value();
  return found ? Loader(executor, **checkpoint, part).load(state) : Error::success();
}

/// What the experiment wants of a checkpoint that it loads.
static Part getPart(const executable::Checkpoint &config) {
  if (config.finetune())
    return Part::Parameters;
  return config.fresh_optimizer() ? Part::AllButOptimizer : Part::All;
}

/// Loads what the keys load and pretrained_checkpoint name.
static Error loadConfigured(Executor &executor, CheckpointState &state) {
  const executable::Checkpoint &config = executor.getExecutable().training().checkpoint();
  bool found = false;
  if (!config.load().empty()) {
    if (Error error = tryLoad(executor, config.load(), config.load_step(), getPart(config), state, found))
      return error;
    if (found)
      return Error::success();
  }
  if (!config.pretrained().empty()) {
    if (Error error = tryLoad(executor, config.pretrained(), 0, Part::Parameters, state, found))
      return error;
    return found ? Error::success()
                 : Error::failure(fmt::format("there is no checkpoint in '{}' (pretrained_checkpoint)", config.pretrained()));
  }
  if (config.load().empty())
    return Error::success();
  std::string which = config.load_step() ? fmt::format(" of step {}", config.load_step()) : "";
  std::string message = fmt::format("there is no checkpoint{} in '{}' (load)", which, config.load());
  if (config.required())
    return Error::failure(message + ", and exit_on_missing_checkpoint is set");
  spdlog::info("{}: training starts from the beginning", message);
  return Error::success();
}

Error primus::runtime::loadStart(Executor &executor, const std::string &resume, CheckpointState &state) {
  const executable::Checkpoint &config = executor.getExecutable().training().checkpoint();
  bool found = false;
  if (!resume.empty() && resume != "auto") {
    if (Error error = tryLoad(executor, resume, 0, getPart(config), state, found))
      return error;
    if (found)
      return Error::success();
    std::error_code code;
    std::string message = fmt::format("--resume: there is no checkpoint in '{}'", resume);
    return std::filesystem::exists(resume, code) ? Error::failure(message) : Error::configuration(message);
  }
  if (resume.empty() && !config.auto_resume())
    return loadConfigured(executor, state);
  // The run's own checkpoints are complete, however it started.
  if (!config.save().empty())
    if (Error error = tryLoad(executor, config.save(), 0, Part::All, state, found))
      return error;
  if (found)
    return Error::success();
  spdlog::info(config.save().empty() ? "this run saves no checkpoints to go on from (save is not set)"
                                     : fmt::format("there is no checkpoint in '{}' to go on from", config.save()));
  if (config.load().empty() && config.pretrained().empty())
    spdlog::info("training starts from the beginning");
  return loadConfigured(executor, state);
}
