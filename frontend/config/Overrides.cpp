//===- Overrides.cpp - key=value on the command line ----------------------===//

#include "frontend/config/Overrides.h"

#include "frontend/config/yaml/Scalar.h"

#include <fmt/format.h>

namespace primus::config {

static Location commandLine() { return {nullptr, 0, 0, Layer::CommandLine}; }

/// Puts `value` at the dotted path `key`, making mappings on the way.
static void assign(Map &map, const std::string &key, Value value, Diagnostics &diagnostics) {
  Map *target = &map;
  size_t begin = 0;
  for (size_t dot = key.find('.'); dot != std::string::npos; begin = dot + 1, dot = key.find('.', begin)) {
    std::string part = key.substr(begin, dot - begin);
    Entry &entry = target->try_emplace(part, Entry{commandLine(), Value(Map{}, commandLine())}).first->second;
    if (!entry.value.isMap()) {
      diagnostics.error(commandLine(),
                        fmt::format("'{}' reaches into '{}', which another argument sets to {}", key,
                                    key.substr(0, dot), entry.value.str()),
                        "give one of them only");
      return;
    }
    target = entry.value.asMap();
  }
  target->insert_or_assign(key.substr(begin), Entry{commandLine(), std::move(value)});
}

static bool isKey(const std::string &key) {
  return !key.empty() && key.front() != '.' && key.back() != '.' && key.find("..") == std::string::npos &&
         key.find_first_of(" \t/") == std::string::npos;
}

Map parseOverrides(const std::vector<std::string> &arguments, Diagnostics &diagnostics) {
  Map map;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string argument = arguments[i];
    bool dashed = argument.starts_with("--");
    if (dashed)
      argument.erase(0, 2);
    size_t equals = argument.find('=');
    std::string key = argument.substr(0, equals);
    if (!isKey(key) || (!dashed && equals == std::string::npos)) {
      diagnostics.error(commandLine(), fmt::format("'{}' is not an override", arguments[i]), "write key=value");
      continue;
    }
    if (equals != std::string::npos) {
      assign(map, key, commandLineScalar(argument.substr(equals + 1), commandLine(), diagnostics), diagnostics);
      continue;
    }
    // `--key value`, where the value may be a negative number; else a flag.
    bool hasValue = i + 1 < arguments.size() && !arguments[i + 1].starts_with("--") &&
                    arguments[i + 1].find('=') == std::string::npos;
    Value value = hasValue ? commandLineScalar(arguments[++i], commandLine(), diagnostics) : Value(true, commandLine());
    assign(map, key, std::move(value), diagnostics);
  }
  return map;
}

} // namespace primus::config
