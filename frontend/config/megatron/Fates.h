//===- Fates.h - What becomes of every Megatron key --------------*- C++ -*-===//

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace primus::config::megatron {

/// The fate of one key. The tables Keys*.def hold one line for each key that upstream's presets and experiments know.
struct Fate {
  enum class Kind {
    /// Sets fields of the TrainingSpec; `detail` says which.
    Mapped,
    /// Cannot change the result of training here; `detail` says why.
    NoEffect,
    /// Would change the result and is not honoured: an error unless the value is one of `neutral`; `detail` says what
    /// is missing.
    Unsupported
  };

  std::string_view key;
  Kind kind;
  std::string_view detail;
  /// Values (YAML scalars, separated by '|') that ask for nothing; null always does.
  std::string_view neutral;
};

/// The fate of a key, or null where it is unknown.
const Fate *findFate(std::string_view key);

/// All keys that have a fate, sorted.
const std::vector<std::string> &knownKeys();

} // namespace primus::config::megatron
