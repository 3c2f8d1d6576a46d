//===- Parser.h - One YAML document as a Value -------------------*- C++ -*-===//

#pragma once

#include "frontend/config/yaml/Value.h"

#include <optional>
#include <string>

namespace primus::config {

/// Parses `text` as PyYAML's SafeLoader would (YAML 1.1, anchors, aliases, merge keys; of duplicate keys the last wins,
/// with a warning). `name` is how messages call the file. Nullopt after an error; a null Value for an empty document.
std::optional<Value> parseYaml(const std::string &text, const std::string &name, Diagnostics &diagnostics);

/// The content of a file; an error where there is none.
std::optional<std::string> readTextFile(const std::string &path, const std::string &name, Diagnostics &diagnostics);

/// Reads and parses a file; `name` as above, `path` is what is opened.
std::optional<Value> readYaml(const std::string &path, const std::string &name, Diagnostics &diagnostics);

} // namespace primus::config
