//===- Resolve.cpp - Layering presets, experiment and command line --------===//

#include "frontend/config/Config.h"
#include "frontend/config/Overrides.h"
#include "frontend/config/PresetFinder.h"
#include "frontend/config/Suggestion.h"
#include "frontend/config/huggingface/HuggingFace.h"
#include "frontend/config/toml/Toml.h"
#include "frontend/config/yaml/Extends.h"
#include "frontend/config/yaml/Merge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

namespace primus::config {

namespace {

/// Resolves one module of one experiment.
class Resolver {
public:
  Resolver(const ConfigRequest &request, Diagnostics &diagnostics)
      : request(request), diagnostics(diagnostics), presets(request.configPaths) {}

  std::optional<ResolvedConfig> resolve() {
    size_t errors = countErrors();
    for (const std::string &root : request.configPaths) {
      std::error_code ignored;
      if (!std::filesystem::is_directory(root, ignored))
        diagnostics.error({nullptr, 0, 0, Layer::CommandLine}, fmt::format("--config-path '{}' is no folder", root),
                          "name a folder that holds models/ and modules/");
    }
    if (!std::filesystem::exists(request.experiment)) {
      diagnostics.error({nullptr, 0, 0, Layer::CommandLine},
                        fmt::format("there is no experiment file '{}'", request.experiment),
                        "name a file, such as configs/experiments/cpu/llama-tiny.yaml");
      return std::nullopt;
    }
    config.experimentFile = request.experiment;
    config.allowUnknown = request.allowUnknown;
    config.configPaths = request.configPaths;
    config.target = request.target;
    config.ranks = request.ranks;
    if (std::filesystem::path(request.experiment).extension() == ".toml")
      return resolveJobFile();
    std::optional<Value> experiment = huggingface::isModel(request.experiment)
                                          ? huggingface::makeExperiment(request.experiment)
                                          : loadWithExtends(request.experiment, diagnostics);
    if (!experiment)
      return std::nullopt;
    experiment->setLayer(Layer::Experiment);
    config.experiment = *experiment->asMap();
    checkRequiredKeys();
    const Value *module = selectModule();
    if (!module || countErrors() != errors)
      return std::nullopt;
    layerModule(*module);
    config.experiment.erase("modules");
    if (countErrors() != errors)
      return std::nullopt;
    return std::move(config);
  }

private:
  size_t countErrors() const {
    size_t count = 0;
    for (const Diagnostic &diagnostic : diagnostics.all())
      count += diagnostic.severity == Diagnostic::Severity::Error;
    return count;
  }

  /// TorchTitan's own job files hold its keys and nothing around them.
  std::optional<ResolvedConfig> resolveJobFile() {
    size_t errors = countErrors();
    std::optional<Value> job = readToml(request.experiment, diagnostics);
    if (!job)
      return std::nullopt;
    config.framework = "torchtitan";
    config.module = request.module.empty() ? "pre_trainer" : request.module;
    config.moduleLocation = inFile(request.experiment);
    config.params = std::move(*job->asMap());
    addCommandLine();
    if (countErrors() != errors)
      return std::nullopt;
    return std::move(config);
  }

  void addCommandLine() {
    mergeMap(config.params, parseOverrides(request.overrides, diagnostics), {/*nullStrings=*/false, &config.hidden});
  }

  const Value *topLevel(const char *key) const {
    auto it = config.experiment.find(key);
    return it == config.experiment.end() ? nullptr : &it->second.value;
  }

  void checkRequiredKeys() {
    std::vector<std::string> present;
    for (const auto &[key, entry] : config.experiment)
      present.push_back(key);
    for (const char *key : {"work_group", "user_name", "exp_name", "workspace"}) {
      const Value *value = topLevel(key);
      if (!value)
        missingKey(key, present);
      else if (!value->asString() || value->asString()->empty())
        diagnostics.error(
            value->location(),
            fmt::format("'{}' must be text, but this is {}", key, value->asString() ? "empty" : value->kindName()),
            value->isNull() ? "give it a value" : "put it in quotes");
    }
    const Value *platform = topLevel("platform");
    if (platform && !platform->find("config"))
      diagnostics.error(platform->location(), "'platform' has no 'config'", "name its preset, or remove 'platform'");
  }

  void missingKey(const char *key, const std::vector<std::string> &present) {
    std::string near = nearest(key, present);
    Location at = near.empty() ? inFile(request.experiment) : config.experiment.find(near)->second.keyLocation;
    diagnostics.error(at, fmt::format("the experiment has no '{}'", key),
                      near.empty() ? fmt::format("add a line '{}: ...'", key)
                                   : fmt::format("is '{}' meant to be it?", near));
  }

  /// The module that was asked for, or the experiment's trainer.
  const Value *selectModule() {
    std::vector<std::string> present;
    for (const auto &[key, entry] : config.experiment)
      present.push_back(key);
    const Value *modules = topLevel("modules");
    if (!modules) {
      missingKey("modules", present);
      return nullptr;
    }
    if (!modules->isMap() || modules->asMap()->empty()) {
      diagnostics.error(modules->location(),
                        fmt::format("'modules' must map module names to their settings, but this is {}",
                                    modules->isMap() ? "empty" : modules->kindName()));
      return nullptr;
    }
    std::vector<std::string> names;
    for (const auto &[name, entry] : *modules->asMap())
      names.push_back(name);
    config.module = request.module;
    if (config.module.empty())
      config.module = defaultModule(*modules, request.postTraining);
    if (config.module.empty()) {
      diagnostics.error(modules->location(),
                        fmt::format("no module is a trainer (there is: {})", fmt::join(names, ", ")),
                        "call one pre_trainer or post_trainer");
      return nullptr;
    }
    const Value *module = modules->find(config.module);
    if (!module) {
      diagnostics.error(modules->location(), fmt::format("the experiment has no module '{}'", config.module),
                        didYouMean(config.module, names, fmt::format("it has: {}", fmt::join(names, ", "))));
      return nullptr;
    }
    Location key = modules->asMap()->find(config.module)->second.keyLocation;
    if (config.module.find("trainer") == std::string::npos) {
      diagnostics.error(key, fmt::format("module '{}' is not a trainer", config.module),
                        "the name of a module that trains contains 'trainer'");
      return nullptr;
    }
    if (!module->isMap()) {
      diagnostics.error(module->location(), fmt::format("module '{}' must be a mapping, but this is {}", config.module,
                                                        module->kindName()));
      return nullptr;
    }
    config.moduleLocation = key;
    return module;
  }

  static std::string defaultModule(const Value &modules, bool postTraining) {
    const char *first = postTraining ? "post_trainer" : "pre_trainer";
    const char *second = postTraining ? "pre_trainer" : "post_trainer";
    for (const char *name : {first, second})
      if (modules.find(name))
        return name;
    for (const auto &[name, entry] : *modules.asMap())
      if (name.find("trainer") != std::string::npos)
        return name;
    return {};
  }

  /// The text of a module's own key; null if it is absent.
  const std::string *moduleText(const Value &module, const char *key) {
    const Value *value = module.find(key);
    if (!value || value->isNull())
      return nullptr;
    if (value->asString())
      return value->asString();
    diagnostics.error(value->location(), fmt::format("'{}' must be text, but this is {}", key, value->kindName()));
    return nullptr;
  }

  std::optional<Value> loadPreset(const Value &module, const char *key, const char *kind, Layer layer) {
    const Value &name = *module.find(key);
    std::optional<std::string> path =
        presets.find(kind, config.framework, *name.asString(), name.location(), diagnostics);
    std::optional<Value> preset = path ? loadWithExtends(*path, diagnostics) : std::nullopt;
    if (preset)
      preset->setLayer(layer);
    return preset;
  }

  void layerModule(const Value &module) {
    size_t errors = countErrors();
    const std::string *framework = moduleText(module, "framework");
    if (framework && *framework == "huggingface")
      return layerModelFolder(module);
    const std::string *modulePreset = moduleText(module, "config"), *modelPreset = moduleText(module, "model");
    if (!framework && countErrors() == errors)
      diagnostics.error(module.location(), fmt::format("module '{}' has no 'framework'", config.module),
                        "add 'framework: megatron'");
    if (!modulePreset && !modelPreset && countErrors() == errors)
      diagnostics.error(module.location(), fmt::format("module '{}' has neither 'config' nor 'model'", config.module),
                        "add 'config: pre_trainer.yaml' and 'model: NAME.yaml'");
    else if (modulePreset && !modelPreset && countErrors() == errors)
      diagnostics.error(module.location(), fmt::format("module '{}' has no 'model'", config.module),
                        "add 'model: NAME.yaml'");
    if (countErrors() != errors)
      return;
    config.framework = *framework;
    if (!modulePreset) {
      layerFlatModule(module);
    } else {
      std::optional<Value> base = loadPreset(module, "config", "modules", Layer::ModulePreset);
      std::optional<Value> model = loadPreset(module, "model", "models", Layer::ModelPreset);
      if (!base || !model)
        return;
      config.params = std::move(*base->asMap());
      addFreeAttributes(module);
      addModelPreset(*model);
      convertNullStrings(config.params);
      addOverrides(module);
    }
    addCommandLine();
  }

  /// A Hugging Face model instead of a model preset: its config.json takes that place.
  void layerModelFolder(const Value &module) {
    config.framework = "huggingface";
    const Value *model = module.find("model");
    const Value *path = model ? model->find("hf_path") : nullptr;
    if (!path || !path->asString() || model->asMap()->size() != 1) {
      diagnostics.error(model ? model->location() : module.location(),
                        fmt::format("module '{}' must name a model's folder", config.module),
                        "write 'model: {hf_path: FOLDER}'");
      return;
    }
    Value preset = module;
    if (!module.find("config"))
      preset.asMap()->emplace(
          "config", Entry{module.location(), Value(std::string("pre_trainer.yaml"), module.location())});
    if (!moduleText(preset, "config"))
      return;
    std::optional<Value> base = loadPreset(preset, "config", "modules", Layer::ModulePreset);
    std::optional<Value> keys = huggingface::readModelConfig(*path->asString(), path->location(), diagnostics);
    if (!base || !keys)
      return;
    keys->setLayer(Layer::ModelPreset);
    config.params = std::move(*base->asMap());
    addFreeAttributes(module);
    addModelPreset(*keys);
    convertNullStrings(config.params);
    addOverrides(module);
    addCommandLine();
    huggingface::addDefaults(config, request.evaluation);
  }

  /// A module without a preset is taken as complete; its overrides stay where they are.
  void layerFlatModule(const Value &module) {
    for (const auto &[key, entry] : *module.asMap())
      if (key != "framework")
        config.params.emplace(key, entry);
    convertNullStrings(config.params);
  }

  /// Keys beside `config` and `model` count only where the module preset does not have them.
  void addFreeAttributes(const Value &module) {
    for (const auto &[key, entry] : *module.asMap()) {
      if (key == "framework" || key == "config" || key == "overrides")
        continue;
      auto it = config.params.find(key);
      if (it == config.params.end()) {
        config.params.emplace(key, entry);
        continue;
      }
      if (key == "model")
        continue;
      config.hidden.push_back({key, entry.value, it->second.value.location()});
      diagnostics.warning(entry.keyLocation,
                          fmt::format("'{}' has no effect here: the module preset sets it ({})", key,
                                      it->second.value.location().str()),
                          "move it under 'overrides:'");
    }
  }

  /// The model preset fills what the module preset leaves open; mappings are not merged.
  void addModelPreset(const Value &model) {
    for (const auto &[key, entry] : *model.asMap()) {
      auto it = config.params.find(key);
      if (it == config.params.end()) {
        config.params.emplace(key, entry);
        continue;
      }
      // The experiment's `model: NAME` yields to a mapping of that name in the preset.
      if (key == "model" && it->second.value.location().layer == Layer::Experiment) {
        it->second = entry;
        continue;
      }
      if (!it->second.value.equals(entry.value))
        config.hidden.push_back({key, entry.value, it->second.value.location(), /*surprising=*/true});
    }
  }

  void addOverrides(const Value &module) {
    const Value *overrides = module.find("overrides");
    if (!overrides || overrides->isNull())
      return;
    if (!overrides->isMap()) {
      diagnostics.error(
          overrides->location(),
          fmt::format("'overrides' must be a mapping of keys to values, but this is {}", overrides->kindName()),
          "write 'key: value' lines below it");
      return;
    }
    mergeMap(config.params, *overrides->asMap(), {/*nullStrings=*/true, &config.hidden});
  }

  const ConfigRequest &request;
  Diagnostics &diagnostics;
  PresetFinder presets;
  ResolvedConfig config;
};

} // namespace

std::optional<ResolvedConfig> resolveConfig(const ConfigRequest &request, Diagnostics &diagnostics) {
  return Resolver(request, diagnostics).resolve();
}

std::string ResolvedConfig::json() const {
  nlohmann::json root;
  root["framework"] = framework;
  root["params"] = Value(params).toJson();
  return root.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

} // namespace primus::config
