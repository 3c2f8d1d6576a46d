//===- Fates.h - What becomes of every key -----------------------*- C++ -*-===//
//
// Each flavour keeps one line per key in tables, frontend/config/<flavour>/Keys*.def:
//
//   MAPPED(key, fields)                  sets these fields of the TrainingSpec
//   MAPPED(key, fields, example)         the same, with arguments under which it can be seen that it does
//   NO_EFFECT(key, reason)               cannot change the result of training here
//   UNSUPPORTED(key, neutral, missing)   would change the result and is not honoured
//
// A key inside mappings is written with dots: training.local_batch_size.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Config.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace primus::config {

/// The fate of one key.
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
  /// Unsupported: values (YAML scalars, separated by '|') that ask for nothing. Null and what is empty always do.
  std::string_view neutral;
  /// Mapped: key=value arguments, separated by blanks, with which this key changes the spec. Where this key is not
  /// among them (or there are none), any other value of the type that its presets give it does.
  std::string_view example;
};

/// The fates of one flavour's keys.
class FateTable {
public:
  explicit FateTable(std::span<const Fate> fates);

  /// The fate of a key, or null where it is unknown.
  const Fate *find(std::string_view key) const;
  /// True if `key` is a mapping that holds keys of the table.
  bool isSection(std::string_view key) const;
  /// All keys that have a fate, sorted.
  const std::vector<std::string> &keys() const { return sorted; }
  /// All keys and the sections that hold them, for suggestions.
  const std::vector<std::string> &names() const { return known; }
  /// Keys that have more than one line, which is a mistake in the tables.
  const std::vector<std::string> &repeated() const { return twice; }

private:
  std::map<std::string_view, const Fate *> index;
  std::vector<std::string> sorted, known, twice;
};

/// Gives every resolved key its fate; errors for those that cannot have one.
std::map<std::string, KeyFate> judgeKeys(const ResolvedConfig &config, const FateTable &table,
                                         Diagnostics &diagnostics);

} // namespace primus::config
