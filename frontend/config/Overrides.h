//===- Overrides.h - key=value on the command line ---------------*- C++ -*-===//

#pragma once

#include "frontend/config/yaml/Value.h"

#include <string>
#include <vector>

namespace primus::config {

/// Reads `key=value`, `--key=value`, `--key value` and `--flag` (true); a dotted key reaches into a mapping. Later
/// arguments win. All values carry the layer CommandLine.
Map parseOverrides(const std::vector<std::string> &arguments, Diagnostics &diagnostics);

} // namespace primus::config
