//===- Toml.h - A TOML document as a Value -----------------------*- C++ -*-===//

#pragma once

#include "frontend/config/yaml/Value.h"

#include <optional>
#include <string>

namespace primus::config {

/// Parses a TOML 1.0 document; every value knows its line and column. Dates and times, which no key has, are errors.
/// `name` is how messages call the file. Nullopt after an error.
std::optional<Value> parseToml(const std::string &text, const std::string &name, Diagnostics &diagnostics);

/// Reads and parses a file.
std::optional<Value> readToml(const std::string &path, Diagnostics &diagnostics);

} // namespace primus::config
