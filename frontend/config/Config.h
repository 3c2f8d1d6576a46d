//===- Config.h - From an experiment file to a TrainingSpec ------*- C++ -*-===//
//
// Two steps. `resolveConfig` layers presets, experiment and command line into one flat mapping, exactly as upstream
// merges them (phase `config`). `buildSpec` judges every key and fills the TrainingSpec (phase `spec`). Neither writes
// anything nor throws; what is wrong goes to `Diagnostics`.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Diagnostic.h"
#include "frontend/config/TrainingSpec.pb.h"
#include "frontend/config/yaml/Merge.h"
#include "frontend/config/yaml/Value.h"

#include <optional>
#include <string>
#include <vector>

namespace primus::config {

/// What the command line asks for.
struct ConfigRequest {
  /// The experiment's YAML file, or a Hugging Face model: its folder or its config.json.
  std::string experiment;
  /// key=value arguments, in order.
  std::vector<std::string> overrides;
  /// Roots of --config-path, searched before our own.
  std::vector<std::string> configPaths;
  /// Which of the experiment's modules; empty: its trainer.
  std::string module;
  /// Unknown keys are warnings.
  bool allowUnknown = false;
  /// cpu, gfx942 or gfx950; a GPU's implies a `hardware` where no key names one.
  std::string target = "cpu";
  /// Upstream's `train posttrain`: of several trainers, post_trainer is the default.
  bool postTraining = false;
  /// Of a Hugging Face model: nothing will be trained, so that dropout is off.
  bool evaluation = false;
  /// World size (--ranks); 0: the smallest that the parallel sizes need.
  int64_t ranks = 0;
};

/// One module of an experiment with all layers merged.
struct ResolvedConfig {
  std::string experimentFile;
  std::string module;
  std::string framework;
  /// The experiment's own top-level keys (work_group, user_name, exp_name, workspace, platform, env).
  Map experiment;
  /// Where the module begins in the experiment.
  Location moduleLocation;
  /// The resolved keys.
  Map params;
  /// Values that a stronger layer replaced or kept out, in the order in which that happened.
  std::vector<Hidden> hidden;
  bool allowUnknown = false;
  std::vector<std::string> configPaths;
  std::string target = "cpu";
  /// World size (--ranks); 0: the smallest that the parallel sizes need.
  int64_t ranks = 0;

  /// {"framework": ..., "params": {...}} on one line: `--emit=config`.
  std::string json() const;
};

/// Phase `config`: reads and layers everything. Keys are not judged yet.
std::optional<ResolvedConfig> resolveConfig(const ConfigRequest &request, Diagnostics &diagnostics);

/// What became of one key in `spec`.
struct KeyFate {
  enum class Kind { Mapped, NoEffect, Unknown };
  Kind kind;
  /// Mapped: the fields it set, separated by blanks. NoEffect: why.
  std::string detail;
};

struct SpecResult {
  spec::TrainingSpec spec;
  /// Of every resolved key, by its dotted path.
  std::map<std::string, KeyFate> fates;
  /// Where we read a key otherwise than its framework does; one sentence each.
  std::vector<std::string> notes;
};

/// Phase `spec`: gives every key its fate and fills a TrainingSpec that fits its own rules, with the source of every
/// field. Nullopt after an error.
std::optional<SpecResult> buildSpec(const ResolvedConfig &config, Diagnostics &diagnostics);

/// The rules that any TrainingSpec has to fit, wherever it came from. Errors stand at the sources of the fields.
void verifySpec(const spec::TrainingSpec &spec, Diagnostics &diagnostics);

/// The fields that a run and a checkpoint that it loads should agree on, by path ("model.width"): all that decide what is
/// computed. Fields at their default are left out.
std::map<std::string, std::string> resumeSettings(const spec::TrainingSpec &spec);

/// `--emit=spec`: textproto that `parseSpec` reads back.
std::string printSpec(const spec::TrainingSpec &spec);

/// Reads a textproto (`--start-from`); `name` is how messages call it.
std::optional<spec::TrainingSpec> parseSpec(const std::string &text, const std::string &name, Diagnostics &diagnostics);

/// `--explain`: where every value came from, what was hidden, which keys had no effect and why, and what was derived.
/// With a key (upstream's or a field of the spec): only that one.
std::string explain(const ResolvedConfig &config, const SpecResult &result, const std::string &key = {});

/// Where the field came from, "file:line" or the layer's name; for messages of later phases.
std::string sourceOf(const spec::TrainingSpec &spec, const std::string &field);

} // namespace primus::config
