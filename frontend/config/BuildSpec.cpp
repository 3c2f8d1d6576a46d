//===- BuildSpec.cpp - Phase spec: from resolved keys to a TrainingSpec ---===//

#include "frontend/config/Flavour.h"
#include "frontend/config/Suggestion.h"
#include "frontend/config/huggingface/HuggingFace.h"
#include "frontend/config/maxtext/MaxText.h"
#include "frontend/config/megatron/Megatron.h"
#include "frontend/config/megatron_bridge/MegatronBridge.h"
#include "frontend/config/torchtitan/TorchTitan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace primus::config {

std::span<const Flavour> flavours() {
  static constexpr Flavour list[] = {
      {"huggingface", nullptr, huggingface::map, huggingface::selectFates},
      {"megatron", megatron::fates, megatron::map},
      {"megatron_bridge", megatron_bridge::fates, megatron_bridge::map},
      {"torchtitan", torchtitan::fates, torchtitan::map},
      {"maxtext", maxtext::fates, maxtext::map},
  };
  return list;
}

/// Keys beside `modules` in an experiment; names that begin with '.' or 'x-' are free, for anchors.
static void judgeTopLevel(const ResolvedConfig &config, Diagnostics &diagnostics) {
  static const std::vector<std::string> known = {"work_group", "user_name", "exp_name", "workspace",
                                                 "modules",    "platform",  "env",      "extends"};
  for (const auto &[key, entry] : config.experiment) {
    if (std::find(known.begin(), known.end(), key) != known.end() || key.starts_with(".") || key.starts_with("x-"))
      continue;
    std::string suggestion = didYouMean(key, known, "settings of the run stand under modules: ... overrides:");
    if (config.allowUnknown)
      diagnostics.warning(entry.keyLocation, fmt::format("unknown key '{}' has no effect", key), suggestion);
    else
      diagnostics.error(entry.keyLocation, fmt::format("unknown key '{}' in an experiment", key), suggestion);
  }
}

static void warnOfHiddenPresets(const ResolvedConfig &config, Diagnostics &diagnostics) {
  for (const Hidden &hidden : config.hidden) {
    if (!hidden.surprising)
      continue;
    // A stronger layer that says it again settles the matter.
    const Value *winner = findPath(config.params, hidden.key);
    if (winner && winner->location().layer >= Layer::Experiment)
      continue;
    diagnostics.warning(hidden.value.location(),
                        fmt::format("the model preset's '{}: {}' is hidden by the module preset ({})", hidden.key,
                                    hidden.value.str(), hidden.winner.str()),
                        "repeat it under 'overrides:' if it is meant");
  }
}

/// Judges every key, maps those that have a meaning, and checks what comes out.
static SpecResult applyFlavour(const Flavour &flavour, const ResolvedConfig &config, Diagnostics &diagnostics) {
  SpecResult result;
  const FateTable *table = flavour.findFates(config, diagnostics);
  if (!table)
    return result;
  result.fates = judgeKeys(config, *table, diagnostics);
  // Keys that are refused leave a whole spec behind, whose rules can be checked; values that could not be read do not.
  Diagnostics own;
  KeyReader keys(config.params, config.moduleLocation, own);
  SpecWriter writer(result.spec);
  Mapping mapping{config, keys, writer, own, result.notes};
  flavour.map(mapping);
  result.spec.set_framework(config.framework);
  result.spec.set_module(config.module);
  if (!own.hasErrors())
    verifySpec(result.spec, own);
  diagnostics.append(own);
  return result;
}

std::optional<SpecResult> buildSpec(const ResolvedConfig &config, Diagnostics &diagnostics) {
  Diagnostics own;
  judgeTopLevel(config, own);
  warnOfHiddenPresets(config, own);
  const Flavour *flavour = nullptr;
  std::vector<std::string> names;
  for (const Flavour &candidate : flavours()) {
    names.push_back(candidate.framework);
    if (config.framework == candidate.framework)
      flavour = &candidate;
  }
  std::optional<SpecResult> result;
  if (flavour) {
    result = applyFlavour(*flavour, config, own);
  } else {
    own.error(config.moduleLocation, fmt::format("framework '{}' cannot be trained here", config.framework),
              didYouMean(config.framework, names, fmt::format("supported: {}", fmt::join(names, ", "))));
  }
  bool failed = own.hasErrors();
  diagnostics.append(own);
  return failed ? std::nullopt : std::move(result);
}

} // namespace primus::config
