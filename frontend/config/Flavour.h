//===- Flavour.h - One framework's configuration keys ------------*- C++ -*-===//
//
// A flavour is a folder frontend/config/<framework> with tables Keys*.def (see Fates.h), functions that read the mapped
// keys, and one line in the list of flavours in BuildSpec.cpp.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Config.h"
#include "frontend/config/Fates.h"
#include "frontend/config/KeyReader.h"
#include "frontend/config/SpecWriter.h"

namespace primus::config {

/// What the functions of a flavour share: they read keys and set fields of the spec.
struct Mapping {
  const ResolvedConfig &config;
  KeyReader &keys;
  SpecWriter &spec;
  Diagnostics &diagnostics;
  /// For --explain: where a key is read otherwise than its framework reads it; one sentence each.
  std::vector<std::string> &notes;

  /// A warning that a key says nothing without `needed`, which may be set by `assignment`.
  void warnOfNoEffect(const Origin &origin, const std::string &needed, const std::string &assignment) const {
    diagnostics.warning(origin.location, "'" + origin.key + "' has no effect without " + needed, "set " + assignment + " if it is meant");
  }
};

struct Flavour {
  /// As `framework:` names it.
  const char *framework;
  /// The fate of each of its keys; null where the table depends on the model.
  const FateTable &(*fates)();
  /// Reads every mapped key, with the framework's own defaults where one is absent, and fills the spec.
  void (*map)(Mapping &mapping);
  /// In place of `fates`: the table for these keys, or null after an error.
  const FateTable *(*selectFates)(const ResolvedConfig &config, Diagnostics &diagnostics) = nullptr;

  const FateTable *findFates(const ResolvedConfig &config, Diagnostics &diagnostics) const {
    return selectFates ? selectFates(config, diagnostics) : &fates();
  }
};

/// All flavours.
std::span<const Flavour> flavours();

} // namespace primus::config
