//===- Megatron.cpp - A TrainingSpec from Megatron keys -------------------===//

#include "frontend/config/megatron/Megatron.h"

#include "frontend/config/Suggestion.h"
#include "frontend/config/megatron/BuildMegatron.h"
#include "frontend/config/megatron/Fates.h"
#include "frontend/config/yaml/Scalar.h"

#include <fmt/format.h>

namespace primus::config::megatron {

/// Null, and each of the alternatives, ask for nothing.
static bool isNeutral(const Value &value, std::string_view alternatives) {
  bool nullText = value.asString() && *value.asString() == "null" && value.location().layer == Layer::CommandLine;
  if (value.isNull() || nullText)
    return true;
  if (const List *list = value.asList(); list && list->empty())
    return true;
  Diagnostics ignored;
  for (size_t begin = 0; begin <= alternatives.size();) {
    size_t end = std::min(alternatives.find('|', begin), alternatives.size());
    Value neutral = plainScalar(alternatives.substr(begin, end - begin), {}, ignored);
    bool flag = neutral.asBool() && value.asInt() && *value.asInt() == int64_t(*neutral.asBool());
    if (flag || neutral.equals(value))
      return true;
    begin = end + 1;
  }
  return false;
}

/// Gives every key its fate; errors for those that cannot have one.
static std::map<std::string, KeyFate> judgeKeys(const ResolvedConfig &config, Diagnostics &diagnostics) {
  std::map<std::string, KeyFate> fates;
  for (const auto &[key, entry] : config.params) {
    const Fate *fate = findFate(key);
    if (!fate) {
      std::string message = fmt::format("unknown key '{}'", key);
      std::string suggestion = didYouMean(key, knownKeys(), "remove it, or pass --allow-unknown");
      fates[key] = {KeyFate::Kind::Unknown, "unknown to us"};
      if (config.allowUnknown)
        diagnostics.warning(entry.keyLocation, message + " has no effect", suggestion);
      else
        diagnostics.error(entry.keyLocation, message, suggestion);
      continue;
    }
    if (fate->kind == Fate::Kind::Mapped) {
      fates[key] = {KeyFate::Kind::Mapped, std::string(fate->detail)};
      continue;
    }
    if (fate->kind == Fate::Kind::NoEffect) {
      fates[key] = {KeyFate::Kind::NoEffect, std::string(fate->detail)};
      continue;
    }
    fates[key] = {KeyFate::Kind::NoEffect, fmt::format("{} asks for nothing", entry.value.str())};
    if (!isNeutral(entry.value, fate->neutral))
      diagnostics.error(
          entry.value.location(), fmt::format("'{}: {}' is not supported: {}", key, entry.value.str(), fate->detail),
          fate->neutral.empty() ? fmt::format("set {}=None", key)
                                : fmt::format("set {}={}", key, fate->neutral.substr(0, fate->neutral.find('|'))));
  }
  return fates;
}

SpecResult buildMegatronSpec(const ResolvedConfig &config, Diagnostics &diagnostics) {
  SpecResult result;
  result.fates = judgeKeys(config, diagnostics);
  KeyReader keys(config.params, config.moduleLocation, diagnostics);
  SpecWriter writer(result.spec);
  Mapping mapping{config, keys, writer, diagnostics};
  mapModel(mapping);
  mapOptimizer(mapping);
  mapTraining(mapping);
  mapParallelism(mapping);
  mapData(mapping);
  return result;
}

} // namespace primus::config::megatron
