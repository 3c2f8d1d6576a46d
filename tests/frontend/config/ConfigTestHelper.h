//===- ConfigTestHelper.h - Files and requests for configuration tests -----===//

#pragma once

#include "frontend/config/Config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace primus::config::test {

/// A temporary folder that is the current one while it lives, so that messages hold short paths.
class Workspace {
public:
  Workspace() : before(std::filesystem::current_path()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "primus-config-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    std::filesystem::current_path(folder);
  }
  ~Workspace() {
    std::filesystem::current_path(before);
    std::filesystem::remove_all(folder);
  }

  void write(const std::string &name, const std::string &text) const {
    std::filesystem::path path(name);
    if (path.has_parent_path())
      std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  /// All files below, so that a test can tell that nothing was written.
  size_t countFiles() const {
    size_t count = 0;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(folder))
      count += entry.is_regular_file();
    return count;
  }

private:
  std::filesystem::path before, folder;
};

/// The four keys that every experiment has.
inline const std::string header = "work_group: team\nuser_name: me\nexp_name: run\nworkspace: ./output\n";

/// An experiment on our own presets whose overrides are `overrides`, indented by 6. They begin in line 11.
inline std::string experiment(const std::string &overrides, const std::string &model = "llama-tiny") {
  return header +
         "modules:\n  pre_trainer:\n    framework: megatron\n    config: pre_trainer.yaml\n    model: " + model +
         ".yaml\n    overrides:\n" + overrides;
}

/// Resolves an experiment file and, if that works, builds its spec.
struct Outcome {
  Diagnostics diagnostics;
  std::optional<ResolvedConfig> config;
  std::optional<SpecResult> result;

  /// The first error without the folder of our own presets in it.
  std::string firstError() const;
};

inline Outcome run(const ConfigRequest &request) {
  Outcome outcome;
  outcome.config = resolveConfig(request, outcome.diagnostics);
  if (outcome.config)
    outcome.result = buildSpec(*outcome.config, outcome.diagnostics);
  return outcome;
}

inline Outcome run(const std::string &file, std::vector<std::string> overrides = {}) {
  ConfigRequest request;
  request.experiment = file;
  request.overrides = std::move(overrides);
  return run(request);
}

inline std::string Outcome::firstError() const {
  static const std::string own = std::string(PRIMUS_SOURCE_DIR) + "/configs";
  for (const Diagnostic &diagnostic : diagnostics.all()) {
    if (diagnostic.severity != Diagnostic::Severity::Error)
      continue;
    std::string text = diagnostic.str();
    for (size_t at = text.find(own); at != std::string::npos; at = text.find(own))
      text.replace(at, own.size(), "<own>");
    return text;
  }
  return "no error";
}

/// Sets an environment variable for the length of a scope.
class ScopedVariable {
public:
  ScopedVariable(const char *name, const char *value) : name(name) { setenv(name, value, 1); }
  ~ScopedVariable() { unsetenv(name); }

private:
  const char *name;
};

} // namespace primus::config::test
