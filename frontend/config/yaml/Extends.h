//===- Extends.h - A YAML file with all that it extends ----------*- C++ -*-===//

#pragma once

#include "frontend/config/yaml/Value.h"

#include <optional>
#include <string>

namespace primus::config {

/// Reads a file, substitutes variables, and layers it over the files its `extends` names (a path or a list, relative to
/// the file that says it; later entries win, the file itself wins over all). `path` is also how messages call the file.
/// The result is a mapping without `extends`; nullopt after an error.
std::optional<Value> loadWithExtends(const std::string &path, Diagnostics &diagnostics);

} // namespace primus::config
