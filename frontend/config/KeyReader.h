//===- KeyReader.h - Typed access to resolved keys ---------------*- C++ -*-===//

#pragma once

#include "frontend/config/SpecWriter.h"
#include "frontend/config/yaml/Merge.h"

#include <optional>
#include <set>
#include <string>

namespace primus::config {

/// Reads resolved keys as typed settings. An absent key and null both mean "not set"; a wrong type is an error at the
/// value. A key inside mappings is named by its dotted path. Keeps the set of keys that were asked for, so that a key
/// cannot claim a meaning that nobody reads.
class KeyReader {
public:
  /// `whole` is where a key that is missing would stand.
  KeyReader(const Map &params, Location whole, Diagnostics &diagnostics)
      : params(params), whole(std::move(whole)), diagnostics(diagnostics) {}

  /// Adds values that count where the experiment says nothing: facts that follow from a model's name.
  void addDefaults(Map facts) { mergeMap(defaults, facts); }
  /// The value of a key as it was written; null if it is absent or null.
  const Value *value(const std::string &key) { return find(key); }
  /// True if the key is present and not null.
  bool isSet(const std::string &key);

  std::optional<Setting<bool>> tryBoolean(const std::string &key);
  std::optional<Setting<int64_t>> tryInteger(const std::string &key);
  std::optional<Setting<double>> tryReal(const std::string &key);
  std::optional<Setting<std::string>> tryText(const std::string &key);
  /// A list of strings, or one string split at blanks.
  std::optional<Setting<std::vector<std::string>>> tryTexts(const std::string &key);

  Setting<bool> boolean(const std::string &key, bool fallback);
  Setting<int64_t> integer(const std::string &key, int64_t fallback);
  Setting<double> real(const std::string &key, double fallback);
  Setting<std::string> text(const std::string &key, std::string fallback);
  /// One of `choices` in exactly this spelling.
  Setting<std::string> choice(const std::string &key, std::string fallback, const std::vector<std::string> &choices);

  /// An error for a key that must be set and is not.
  void missing(const std::string &key, const std::string &meaning);

  /// An integer that must be there, at least 1. After an error the value is 1.
  Setting<int64_t> requiredCount(const std::string &key, const std::string &meaning);
  /// An integer of at least `minimum`.
  Setting<int64_t> count(const std::string &key, int64_t fallback, int64_t minimum);

  const std::set<std::string> &readKeys() const { return read; }
  /// Where a key stands (its value), or the default's origin.
  Origin origin(const std::string &key) const;

private:
  const Value *find(const std::string &key);
  void wrongType(const std::string &key, const Value &value, const char *expected);
  static Origin fallbackOrigin(const std::string &key) { return {key, {nullptr, 0, 0, Layer::Default}}; }

  const Map &params;
  Map defaults;
  Location whole;
  Diagnostics &diagnostics;
  std::set<std::string> read;
};

} // namespace primus::config
