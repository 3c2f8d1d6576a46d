//===- MegatronBridge.cpp - The megatron_bridge flavour -------------------===//

#include "frontend/config/megatron_bridge/MegatronBridge.h"

#include "frontend/config/FateMacros.h"
#include "frontend/config/Hardware.h"
#include "frontend/config/PresetFinder.h"
#include "frontend/config/megatron/Megatron.h"
#include "frontend/config/yaml/Extends.h"

#include <fmt/format.h>

namespace primus::config::megatron_bridge {

static constexpr Fate table[] = {
#include "frontend/config/megatron_bridge/Keys.def"
};

const FateTable &fates() {
  static const FateTable result(table);
  return result;
}

/// A key of a recipe and Megatron's key for the same.
struct Renamed {
  const char *key, *megatron;
};

static constexpr Renamed shared[] = {
    {"trainable", "trainable"},
    {"train_iters", "train_iters"},
    {"global_batch_size", "global_batch_size"},
    {"micro_batch_size", "micro_batch_size"},
    {"seq_length", "seq_length"},
    {"eval_interval", "eval_interval"},
    {"eval_iters", "eval_iters"},
    {"log_interval", "log_interval"},
    {"recompute_granularity", "recompute_granularity"},
    {"recompute_method", "recompute_method"},
    {"recompute_num_layers", "recompute_num_layers"},
    {"lr", "lr"},
    {"min_lr", "min_lr"},
    {"lr_warmup_iters", "lr_warmup_iters"},
    {"lr_decay_iters", "lr_decay_iters"},
    {"tensor_model_parallel_size", "tensor_model_parallel_size"},
    {"pipeline_model_parallel_size", "pipeline_model_parallel_size"},
    {"context_parallel_size", "context_parallel_size"},
    {"virtual_pipeline_model_parallel_size", "virtual_pipeline_model_parallel_size"},
    {"sequence_parallel", "sequence_parallel"},
    {"hardware", "hardware"},
    {"mock", "mock_data"},
    {"data_paths", "data_path"},
    {"train_data_path", "train_data_path"},
    {"valid_data_path", "valid_data_path"},
    {"sink_level", "sink_level"},
    {"file_sink_level", "file_sink_level"},
    {"stderr_sink_level", "stderr_sink_level"},
};

/// Their defaults differ from recipe to recipe and from release to release, so that an experiment has to say them.
static constexpr std::pair<const char *, const char *> required[] = {
    {"train_iters", "number of steps"},
    {"global_batch_size", "sequences of one step"},
    {"micro_batch_size", "sequences of one microbatch"},
    {"seq_length", "tokens of one sequence"},
    {"lr", "learning rate"},
    {"min_lr", "lowest learning rate"},
    {"lr_warmup_iters", "steps of warm-up"},
};

/// What every pre-training recipe sets (Megatron-Bridge's cosine-annealed distributed Adam; its schedule sets the weight
/// decay of each step to 0.033, which replaces the optimizer's own 0.1).
static Map recipeDefaults() {
  Map defaults;
  auto set = [&](const char *key, Value value) { defaults.emplace(key, Entry{{}, std::move(value)}); };
  set("optimizer", std::string("adam"));
  set("adam_beta1", 0.9);
  set("adam_beta2", 0.95);
  set("adam_eps", 1e-5);
  set("weight_decay", 0.033);
  set("clip_grad", 1.0);
  set("lr_decay_style", std::string("cosine"));
  set("eval_interval", int64_t(500));
  set("eval_iters", int64_t(32));
  set("log_interval", int64_t(10));
  set("seed", int64_t(1234));
  set("split", std::string("9999,8,2"));
  set("make_vocab_size_divisible_by", int64_t(128));
  set("use_distributed_optimizer", true);
  return defaults;
}

/// Adds the keys of our preset of the model.
static bool addModel(Mapping &m, const Setting<std::string> &name, Map &keys) {
  std::optional<std::string> path =
      PresetFinder({}).find("models", "megatron", name.value, name.origin.location, m.diagnostics);
  std::optional<Value> preset = path ? loadWithExtends(*path, m.diagnostics) : std::nullopt;
  if (!preset)
    return false;
  preset->setLayer(Layer::ModelPreset);
  for (const auto &[key, entry] : *preset->asMap())
    keys.insert_or_assign(key, entry);
  keys.insert_or_assign("model", Entry{name.origin.location, Value(name.value, name.origin.location)});
  return true;
}

void map(Mapping &m) {
  std::optional<Setting<std::string>> model = findModel(m);
  Setting<std::string> precision = m.keys.choice("precision_config", "bf16_mixed", {"bf16_mixed"});
  // Other stages have other keys; that they are not supported is said already.
  for (auto [key, meaning] : required)
    if (!m.keys.isSet(key) && model)
      m.keys.missing(key, meaning);
  ResolvedConfig config = m.config;
  config.params = recipeDefaults();
  for (const Renamed &renamed : shared)
    if (const Value *value = m.keys.value(renamed.key))
      config.params.insert_or_assign(renamed.megatron, Entry{value->location(), *value});
  config.params.insert_or_assign("bf16", Entry{precision.origin.location, Value(true, precision.origin.location)});
  if (!model || !addModel(m, *model, config.params))
    return;
  m.notes.push_back(
      "The schedule of the recipes sets the weight decay of every step to 0.033, whatever the optimizer says.");
  KeyReader keys(config.params, m.config.moduleLocation, m.diagnostics);
  Mapping asMegatron{config, keys, m.spec, m.diagnostics, m.notes};
  megatron::map(asMegatron);
}

} // namespace primus::config::megatron_bridge
