//===- Recipes.cpp - Which model a Megatron-Bridge recipe builds ----------===//

#include "frontend/config/Suggestion.h"
#include "frontend/config/megatron_bridge/MegatronBridge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace primus::config::megatron_bridge {

/// A recipe module: its models come from presets, or need a feature that is missing.
struct Recipe {
  std::string_view name, missing;
};

static constexpr Recipe recipes[] = {
    {"llama.llama2", ""},
    {"llama.llama3", ""},
    {"qwen.qwen2", ""},
    {"qwen.qwen3", ""},
    {"qwen.qwen3_moe", "mixture of experts"},
    {"mamba.mamba2", "Mamba layers"},
    {"zebra_llama.zebra_llama", "hybrid models of Mamba and multi-latent attention"},
    {"primus.backends.megatron_bridge.recipes.mlperf_llama2_70b.llama2_custom", "LoRA and other adapters"},
};

/// How flavors and the Hugging Face hub call a model, and our preset of it.
struct KnownModel {
  std::string_view flavor, hub, preset;
};

static constexpr KnownModel models[] = {
    {"llama2_7b", "Llama-2-7b-hf", "llama2_7B"},        {"llama3_8b", "Meta-Llama-3-8B", "llama3_8B"},
    {"llama3_70b", "Meta-Llama-3-70B", "llama3_70B"},   {"llama31_8b", "Meta-Llama-3.1-8B", "llama3.1_8B"},
    {"llama31_70b", "Meta-Llama-3.1-70B", "llama3.1_70B"}, {"llama31_405b", "Meta-Llama-3.1-405B", "llama3.1_405B"},
    {"llama32_1b", "Llama-3.2-1B", "llama3.2_1B"},      {"llama32_3b", "Llama-3.2-3B", "llama3.2_3B"},
    {"qwen2_500m", "Qwen2-0.5B", "qwen2_0.5B"},         {"qwen2_1p5b", "Qwen2-1.5B", "qwen2_1.5B"},
    {"qwen2_7b", "Qwen2-7B", "qwen2_7B"},               {"qwen2_72b", "Qwen2-72B", "qwen2_72B"},
    {"qwen25_500m", "Qwen2.5-0.5B", "qwen2.5_0.5B"},    {"qwen25_1p5b", "Qwen2.5-1.5B", "qwen2.5_1.5B"},
    {"qwen25_7b", "Qwen2.5-7B", "qwen2.5_7B"},          {"qwen25_14b", "Qwen2.5-14B", "qwen2.5_14B"},
    {"qwen25_32b", "Qwen2.5-32B", "qwen2.5_32B"},       {"qwen25_72b", "Qwen2.5-72B", "qwen2.5_72B"},
    {"qwen3_600m", "Qwen3-0.6B", "qwen3_0.6B"},         {"qwen3_1p7b", "Qwen3-1.7B", "qwen3_1.7B"},
    {"qwen3_4b", "Qwen3-4B", "qwen3_4B"},               {"qwen3_8b", "Qwen3-8B", "qwen3_8B"},
    {"qwen3_14b", "Qwen3-14B", "qwen3_14B"},            {"qwen3_32b", "Qwen3-32B", "qwen3_32B"},
};

static constexpr std::string_view pretrainSuffix = "_pretrain_config";

static const KnownModel *find(std::string_view KnownModel::*name, std::string_view wanted) {
  const KnownModel *found = std::find_if(std::begin(models), std::end(models),
                                         [&](const KnownModel &model) { return model.*name == wanted; });
  return found == std::end(models) ? nullptr : found;
}

static bool checkRecipe(Mapping &m) {
  std::optional<Setting<std::string>> recipe = m.keys.tryText("recipe");
  if (!recipe) {
    m.keys.missing("recipe", "module of the recipe, such as qwen.qwen3");
    return false;
  }
  std::vector<std::string> names;
  for (const Recipe &known : recipes) {
    if (known.name != recipe->value) {
      names.emplace_back(known.name);
      continue;
    }
    if (!known.missing.empty())
      m.diagnostics.error(recipe->origin.location,
                          fmt::format("recipe '{}' is not supported: {}", recipe->value, known.missing),
                          "choose a dense model: llama.llama3, qwen.qwen2 or qwen.qwen3");
    return known.missing.empty();
  }
  m.diagnostics.error(recipe->origin.location, fmt::format("recipe '{}' is not known here", recipe->value),
                      didYouMean(recipe->value, names, fmt::format("known: {}", fmt::join(names, ", "))));
  return false;
}

std::optional<Setting<std::string>> findModel(Mapping &m) {
  bool known = checkRecipe(m);
  std::optional<Setting<std::string>> flavor = m.keys.tryText("flavor"), hub = m.keys.tryText("hf_path");
  if (!flavor)
    m.keys.missing("flavor", "function of the recipe, such as qwen3_8b_pretrain_config");
  if (!known || !flavor)
    return std::nullopt;
  if (!flavor->value.ends_with(pretrainSuffix)) {
    m.diagnostics.error(flavor->origin.location,
                        fmt::format("flavor '{}' is not supported: only pre-training is", flavor->value),
                        fmt::format("choose one that ends with {}", pretrainSuffix));
    return std::nullopt;
  }
  std::vector<std::string> names;
  if (hub) {
    std::string_view repository = std::string_view(hub->value).substr(hub->value.rfind('/') + 1);
    if (const KnownModel *model = find(&KnownModel::hub, repository))
      return hub->with(std::string(model->preset));
    for (const KnownModel &model : models)
      names.emplace_back(model.hub);
    m.diagnostics.error(hub->origin.location,
                        fmt::format("the architecture of hf_path '{}' is not known here", hub->value),
                        didYouMean(hub->value, names, fmt::format("known: {}", fmt::join(names, ", "))));
    return std::nullopt;
  }
  std::string_view size = std::string_view(flavor->value).substr(0, flavor->value.size() - pretrainSuffix.size());
  if (const KnownModel *model = find(&KnownModel::flavor, size))
    return flavor->with(std::string(model->preset));
  for (const KnownModel &model : models)
    names.push_back(std::string(model.flavor) + std::string(pretrainSuffix));
  m.diagnostics.error(flavor->origin.location, fmt::format("flavor '{}' is not known here", flavor->value),
                      didYouMean(flavor->value, names, fmt::format("known: {}", fmt::join(names, ", "))));
  return std::nullopt;
}

} // namespace primus::config::megatron_bridge
