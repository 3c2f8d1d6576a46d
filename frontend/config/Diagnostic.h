//===- Diagnostic.h - Located messages about a configuration -----*- C++ -*-===//
//
// Reading a configuration never throws and never stops at the first mistake: every reader takes a `Diagnostics` and
// adds what it finds. A message says what is wrong, where (file:line:column of the value) and what to do.
//
//===----------------------------------------------------------------------===//

#pragma once

#include <memory>
#include <string>
#include <vector>

namespace primus::config {

/// The layer that set a value, weakest first.
enum class Layer { Default, Derived, ModelPreset, ModulePreset, Experiment, CommandLine };

/// `layer` for people: "model preset".
const char *layerName(Layer layer);

/// Where a value was written.
struct Location {
  /// As the user would name the file; null where no file said it.
  std::shared_ptr<const std::string> file;
  /// From 1; 0 where there is no line (command line, defaults).
  int line = 0;
  int column = 0;
  Layer layer = Layer::Default;

  /// "file:line:column", "command line", or the layer's name.
  std::string str() const;
  const std::string &fileName() const;
};

struct Diagnostic {
  enum class Severity { Error, Warning };

  Severity severity = Severity::Error;
  Location location;
  std::string message;
  /// What to do; may be empty.
  std::string suggestion;

  /// "file:line:column: error: message (suggestion)".
  std::string str() const;
};

/// Collects what readers find.
class Diagnostics {
public:
  void error(const Location &location, std::string message, std::string suggestion = {});
  void warning(const Location &location, std::string message, std::string suggestion = {});

  /// Adds all of another collection.
  void append(const Diagnostics &other);

  bool hasErrors() const { return errors != 0; }
  bool empty() const { return list.empty(); }
  const std::vector<Diagnostic> &all() const { return list; }

  /// One line each, in the order of their files and lines.
  std::string str() const;

private:
  /// The same message at the same place counts once: several readers may meet one bad value.
  void add(Diagnostic diagnostic);

  std::vector<Diagnostic> list;
  size_t errors = 0;
};

/// A location that names only a file.
Location inFile(std::string file);

} // namespace primus::config
