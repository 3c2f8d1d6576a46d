//===- Merge.cpp - Layering one mapping over another ----------------------===//

#include "frontend/config/yaml/Merge.h"

namespace primus::config {

static bool isNullString(const Value &value) { return value.asString() && *value.asString() == "null"; }

void mergeMap(Map &base, const Map &over, const MergeOptions &options, const std::string &prefix) {
  for (const auto &[key, entry] : over) {
    auto it = base.find(key);
    if (it != base.end() && it->second.value.isMap() && entry.value.isMap()) {
      mergeMap(*it->second.value.asMap(), *entry.value.asMap(), options, prefix + key + ".");
      continue;
    }
    Entry assigned = entry;
    if (options.nullStrings && isNullString(entry.value))
      assigned.value = Value::null(entry.value.location());
    if (it == base.end()) {
      base.emplace(key, std::move(assigned));
      continue;
    }
    if (options.hidden)
      options.hidden->push_back({prefix + key, it->second.value, assigned.value.location()});
    it->second = std::move(assigned);
  }
}

void convertNullStrings(Map &map) {
  for (auto &[key, entry] : map)
    if (isNullString(entry.value))
      entry.value = Value::null(entry.value.location());
}

} // namespace primus::config
