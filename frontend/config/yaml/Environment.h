//===- Environment.h - ${VAR:default} ----------------------------*- C++ -*-===//

#pragma once

#include "frontend/config/yaml/Value.h"

namespace primus::config {

/// Replaces `${VAR}` and `${VAR:default}` in every string value (not in keys). The default stands in for an absent
/// variable only: an empty one gives the empty string. A changed string is typed anew as a whole. There is no escape;
/// `$VAR` and `${:x}` are left alone. A variable that is absent and has no default is an error.
void substituteEnvironment(Value &value, Diagnostics &diagnostics);

} // namespace primus::config
