//===- Fates.cpp - What becomes of every key ------------------------------===//

#include "frontend/config/Fates.h"

#include "frontend/config/Suggestion.h"
#include "frontend/config/yaml/Scalar.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace primus::config {

FateTable::FateTable(std::span<const Fate> fates) {
  for (const Fate &fate : fates)
    if (!index.emplace(fate.key, &fate).second)
      twice.emplace_back(fate.key);
  std::set<std::string> all;
  for (const auto &[key, fate] : index) {
    sorted.emplace_back(key);
    all.emplace(key);
    for (size_t dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.', dot + 1))
      all.emplace(key.substr(0, dot));
  }
  known.assign(all.begin(), all.end());
}

const Fate *FateTable::find(std::string_view key) const {
  auto it = index.find(key);
  return it == index.end() ? nullptr : it->second;
}

bool FateTable::isSection(std::string_view key) const {
  std::string prefix = std::string(key) + ".";
  auto it = index.lower_bound(prefix);
  return it != index.end() && it->first.starts_with(prefix);
}

/// Null, what is empty, each of the alternatives, and a list of alternatives, ask for nothing.
static bool isNeutral(const Value &value, std::string_view alternatives) {
  bool nullText = value.asString() && *value.asString() == "null" && value.location().layer == Layer::CommandLine;
  if (value.isNull() || nullText)
    return true;
  if (const List *list = value.asList())
    return std::all_of(list->begin(), list->end(),
                       [&](const Value &element) { return isNeutral(element, alternatives); });
  if ((value.asMap() && value.asMap()->empty()) || (value.asString() && value.asString()->empty()))
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

namespace {

class Judge {
public:
  Judge(const ResolvedConfig &config, const FateTable &table, Diagnostics &diagnostics)
      : config(config), table(table), diagnostics(diagnostics) {}

  std::map<std::string, KeyFate> judge() {
    judgeMap(config.params, "");
    return std::move(fates);
  }

private:
  void judgeMap(const Map &map, const std::string &prefix) {
    for (const auto &[name, entry] : map) {
      std::string key = prefix + name;
      if (const Fate *fate = table.find(key))
        judgeKey(key, *fate, entry.value);
      else if (table.isSection(key))
        judgeSection(key, entry.value);
      else
        judgeUnknown(key, entry.keyLocation);
    }
  }

  void judgeSection(const std::string &key, const Value &value) {
    if (value.isMap())
      judgeMap(*value.asMap(), key + ".");
    else if (value.isNull())
      fates[key] = {KeyFate::Kind::NoEffect, "an empty section"};
    else
      diagnostics.error(
          value.location(),
          fmt::format("'{}' must be a mapping of keys to values, but {} is {}", key, value.str(), value.kindName()),
          fmt::format("write the keys of '{}' below it", key));
  }

  void judgeUnknown(const std::string &key, const Location &location) {
    std::string message = fmt::format("unknown key '{}'", key);
    std::string suggestion = didYouMean(key, table.names(), "remove it, or pass --allow-unknown");
    fates[key] = {KeyFate::Kind::Unknown, "unknown to us"};
    if (config.allowUnknown)
      diagnostics.warning(location, message + " has no effect", suggestion);
    else
      diagnostics.error(location, message, suggestion);
  }

  void judgeKey(const std::string &key, const Fate &fate, const Value &value) {
    if (fate.kind == Fate::Kind::Mapped) {
      fates[key] = {KeyFate::Kind::Mapped, std::string(fate.detail)};
      return;
    }
    if (fate.kind == Fate::Kind::NoEffect) {
      fates[key] = {KeyFate::Kind::NoEffect, std::string(fate.detail)};
      return;
    }
    fates[key] = {KeyFate::Kind::NoEffect, fmt::format("{} asks for nothing", value.str())};
    if (!isNeutral(value, fate.neutral))
      diagnostics.error(
          value.location(), fmt::format("'{}: {}' is not supported: {}", key, value.str(), fate.detail),
          fate.neutral.empty() ? fmt::format("set {}=None", key)
                               : fmt::format("set {}={}", key, fate.neutral.substr(0, fate.neutral.find('|'))));
  }

  const ResolvedConfig &config;
  const FateTable &table;
  Diagnostics &diagnostics;
  std::map<std::string, KeyFate> fates;
};

} // namespace

std::map<std::string, KeyFate> judgeKeys(const ResolvedConfig &config, const FateTable &table,
                                         Diagnostics &diagnostics) {
  return Judge(config, table, diagnostics).judge();
}

} // namespace primus::config
