//===- PresetFinder.h - Where model and module presets lie -------*- C++ -*-===//

#pragma once

#include "frontend/config/Diagnostic.h"

#include <optional>
#include <string>
#include <vector>

namespace primus::config {

/// Finds `<root>/{models|modules}/<framework>/<name>[.yaml]`. Roots of --config-path come first, then our own.
class PresetFinder {
public:
  explicit PresetFinder(std::vector<std::string> configPaths);

  /// The file of a preset. `kind` is "models" or "modules"; an error stands at `at` and suggests the nearest name.
  std::optional<std::string> find(const std::string &kind, const std::string &framework, const std::string &name,
                                  const Location &at, Diagnostics &diagnostics) const;

  const std::vector<std::string> &roots() const { return searched; }

private:
  std::vector<std::string> presetNames(const std::string &kind, const std::string &framework) const;
  std::vector<std::string> frameworks() const;

  std::vector<std::string> searched;
};

/// The folder of our own presets and experiments: `configs` of the source tree that this library was built in, or
/// `share/primus/configs` of the installation; empty if there is none.
std::string ownConfigFolder();

} // namespace primus::config
