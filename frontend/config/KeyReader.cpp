//===- KeyReader.cpp - Typed access to resolved keys ----------------------===//

#include "frontend/config/KeyReader.h"

#include "frontend/config/Suggestion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <sstream>

namespace primus::config {

const Value *KeyReader::find(const std::string &key) {
  read.insert(key);
  const Value *found = findPath(params, key);
  if (!found || found->isNull())
    found = findPath(defaults, key);
  if (!found || found->isNull())
    return nullptr;
  const Value &value = *found;
  // Upstream keeps the text 'null' of a command line; the wish is clear.
  if (value.location().layer == Layer::CommandLine && value.asString() && *value.asString() == "null") {
    diagnostics.warning(value.location(), fmt::format("{}=null is read as None", key),
                        "write None; upstream takes null for text");
    return nullptr;
  }
  return &value;
}

bool KeyReader::isSet(const std::string &key) { return find(key) != nullptr; }

Origin KeyReader::origin(const std::string &key) const {
  const Value *value = findPath(params, key);
  if (!value || value->isNull())
    if (const Value *fact = findPath(defaults, key))
      value = fact;
  return value ? Origin{key, value->location()} : fallbackOrigin(key);
}

void KeyReader::wrongType(const std::string &key, const Value &value, const char *expected) {
  std::string suggestion;
  bool isText = value.asString() != nullptr;
  if (isText && value.location().layer != Layer::CommandLine && std::string_view(expected) != "a string")
    suggestion = "remove quotes, if any";
  else if (std::string_view(expected) == "a string")
    suggestion = "put it in quotes";
  diagnostics.error(value.location(),
                    fmt::format("'{}' must be {}, but {} is {}", key, expected, value.str(), value.kindName()),
                    suggestion);
}

std::optional<Setting<bool>> KeyReader::tryBoolean(const std::string &key) {
  const Value *value = find(key);
  if (!value)
    return std::nullopt;
  if (const bool *flag = value->asBool())
    return Setting<bool>{*flag, origin(key)};
  // 0 and 1 are in use as flags.
  if (const int64_t *number = value->asInt(); number && (*number == 0 || *number == 1))
    return Setting<bool>{*number == 1, origin(key)};
  wrongType(key, *value, "true or false");
  return std::nullopt;
}

std::optional<Setting<int64_t>> KeyReader::tryInteger(const std::string &key) {
  const Value *value = find(key);
  if (!value)
    return std::nullopt;
  if (const int64_t *number = value->asInt())
    return Setting<int64_t>{*number, origin(key)};
  // 1e3 is an integer too.
  if (const double *number = value->asFloat(); number && *number == std::floor(*number) && std::fabs(*number) < 9e15)
    return Setting<int64_t>{static_cast<int64_t>(*number), origin(key)};
  wrongType(key, *value, "an integer");
  return std::nullopt;
}

std::optional<Setting<double>> KeyReader::tryReal(const std::string &key) {
  const Value *value = find(key);
  if (!value)
    return std::nullopt;
  if (const int64_t *number = value->asInt())
    return Setting<double>{static_cast<double>(*number), origin(key)};
  if (const double *number = value->asFloat(); number && std::isfinite(*number))
    return Setting<double>{*number, origin(key)};
  wrongType(key, *value, "a finite number");
  return std::nullopt;
}

std::optional<Setting<std::string>> KeyReader::tryText(const std::string &key) {
  const Value *value = find(key);
  if (!value)
    return std::nullopt;
  if (const std::string *text = value->asString())
    return Setting<std::string>{*text, origin(key)};
  wrongType(key, *value, "a string");
  return std::nullopt;
}

std::optional<Setting<std::vector<std::string>>> KeyReader::tryTexts(const std::string &key) {
  const Value *value = find(key);
  if (!value)
    return std::nullopt;
  std::vector<std::string> texts;
  if (const std::string *text = value->asString()) {
    std::istringstream words(*text);
    for (std::string word; words >> word;)
      texts.push_back(word);
    return Setting<std::vector<std::string>>{std::move(texts), origin(key)};
  }
  const List *list = value->asList();
  if (!list) {
    wrongType(key, *value, "a string or a list of strings");
    return std::nullopt;
  }
  for (const Value &element : *list) {
    if (element.asString())
      texts.push_back(*element.asString());
    else
      wrongType(key, element, "a string");
  }
  return Setting<std::vector<std::string>>{std::move(texts), origin(key)};
}

Setting<bool> KeyReader::boolean(const std::string &key, bool fallback) {
  return tryBoolean(key).value_or(Setting<bool>{fallback, fallbackOrigin(key)});
}

Setting<int64_t> KeyReader::integer(const std::string &key, int64_t fallback) {
  return tryInteger(key).value_or(Setting<int64_t>{fallback, fallbackOrigin(key)});
}

Setting<double> KeyReader::real(const std::string &key, double fallback) {
  return tryReal(key).value_or(Setting<double>{fallback, fallbackOrigin(key)});
}

Setting<std::string> KeyReader::text(const std::string &key, std::string fallback) {
  return tryText(key).value_or(Setting<std::string>{std::move(fallback), fallbackOrigin(key)});
}

Setting<std::string> KeyReader::choice(const std::string &key, std::string fallback,
                                       const std::vector<std::string> &choices) {
  std::optional<Setting<std::string>> setting = tryText(key);
  if (!setting)
    return {std::move(fallback), fallbackOrigin(key)};
  if (std::find(choices.begin(), choices.end(), setting->value) != choices.end())
    return *setting;
  diagnostics.error(setting->origin.location, fmt::format("'{}' cannot be '{}'", key, setting->value),
                    didYouMean(setting->value, choices, fmt::format("supported: {}", fmt::join(choices, ", "))));
  return {std::move(fallback), setting->origin};
}

void KeyReader::missing(const std::string &key, const std::string &meaning) {
  const Value *value = findPath(params, key);
  diagnostics.error(value ? value->location() : whole,
                    fmt::format("'{}' ({}) is not set", key, meaning),
                    fmt::format("set it in the model preset, under 'overrides:' or as {}=VALUE", key));
}

Setting<int64_t> KeyReader::requiredCount(const std::string &key, const std::string &meaning) {
  if (!isSet(key)) {
    missing(key, meaning);
    return {1, origin(key)};
  }
  return count(key, 1, 1);
}

Setting<int64_t> KeyReader::count(const std::string &key, int64_t fallback, int64_t minimum) {
  Setting<int64_t> setting = integer(key, fallback);
  if (setting.value >= minimum)
    return setting;
  diagnostics.error(setting.origin.location,
                    fmt::format("'{}' must be at least {}, but is {}", key, minimum, setting.value));
  setting.value = fallback;
  return setting;
}

} // namespace primus::config
