//===- PythonLiteral.h - Lists and dicts on the command line -----*- C++ -*-===//

#pragma once

#include "frontend/config/yaml/Value.h"

#include <optional>
#include <string_view>

namespace primus::config {

/// A Python literal (list, tuple, dict of strings, number, quoted string, True, False, None), or nullopt if `text` is
/// anything else: such a value of the command line stays text.
std::optional<Value> parsePythonLiteral(std::string_view text, const Location &location);

} // namespace primus::config
