//===- BuildSpec.cpp - Phase spec: from resolved keys to a TrainingSpec ---===//

#include "frontend/config/Config.h"
#include "frontend/config/SpecWriter.h"
#include "frontend/config/Suggestion.h"
#include "frontend/config/megatron/BuildMegatron.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace primus::config {

/// One flavour of configuration.
struct Flavour {
  const char *framework;
  SpecResult (*build)(const ResolvedConfig &, Diagnostics &);
};

static constexpr Flavour flavours[] = {
    {"megatron", megatron::buildMegatronSpec},
};

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
    auto it = config.params.find(hidden.key);
    if (it != config.params.end() && it->second.value.location().layer >= Layer::Experiment)
      continue;
    diagnostics.warning(hidden.value.location(),
                        fmt::format("the model preset's '{}: {}' is hidden by the module preset ({})", hidden.key,
                                    hidden.value.str(), hidden.winner.str()),
                        "repeat it under 'overrides:' if it is meant");
  }
}

std::optional<SpecResult> buildSpec(const ResolvedConfig &config, Diagnostics &diagnostics) {
  Diagnostics own;
  judgeTopLevel(config, own);
  warnOfHiddenPresets(config, own);
  const Flavour *flavour = nullptr;
  std::vector<std::string> names;
  for (const Flavour &candidate : flavours) {
    names.push_back(candidate.framework);
    if (config.framework == candidate.framework)
      flavour = &candidate;
  }
  std::optional<SpecResult> result;
  if (flavour) {
    result = flavour->build(config, own);
    result->spec.set_framework(config.framework);
    result->spec.set_module(config.module);
    if (!own.hasErrors())
      verifySpec(result->spec, own);
  } else {
    own.error(config.moduleLocation, fmt::format("framework '{}' cannot be trained here", config.framework),
              didYouMean(config.framework, names, fmt::format("supported: {}", fmt::join(names, ", "))));
  }
  bool failed = own.hasErrors();
  diagnostics.append(own);
  return failed ? std::nullopt : std::move(result);
}

} // namespace primus::config
