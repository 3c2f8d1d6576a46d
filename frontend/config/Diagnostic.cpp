//===- Diagnostic.cpp - Located messages about a configuration ------------===//

#include "frontend/config/Diagnostic.h"

#include <fmt/format.h>

#include <map>
#include <tuple>

namespace primus::config {

const char *layerName(Layer layer) {
  switch (layer) {
  case Layer::Default:
    return "default";
  case Layer::Derived:
    return "derived";
  case Layer::ModelPreset:
    return "model preset";
  case Layer::ModulePreset:
    return "module preset";
  case Layer::Experiment:
    return "experiment";
  case Layer::CommandLine:
    return "command line";
  }
  return "unknown";
}

const std::string &Location::fileName() const {
  static const std::string none;
  return file ? *file : none;
}

std::string Location::str() const {
  if (!file || file->empty())
    return layerName(layer);
  if (line == 0)
    return *file;
  return fmt::format("{}:{}:{}", *file, line, column);
}

std::string Diagnostic::str() const {
  std::string text =
      fmt::format("{}: {}: {}", location.str(), severity == Severity::Error ? "error" : "warning", message);
  if (!suggestion.empty())
    text += fmt::format("; {}", suggestion);
  return text;
}

void Diagnostics::error(const Location &location, std::string message, std::string suggestion) {
  add({Diagnostic::Severity::Error, location, std::move(message), std::move(suggestion)});
}

void Diagnostics::warning(const Location &location, std::string message, std::string suggestion) {
  add({Diagnostic::Severity::Warning, location, std::move(message), std::move(suggestion)});
}

void Diagnostics::add(Diagnostic diagnostic) {
  std::string text = diagnostic.str();
  for (const Diagnostic &known : list)
    if (known.str() == text)
      return;
  errors += diagnostic.severity == Diagnostic::Severity::Error;
  list.push_back(std::move(diagnostic));
}

void Diagnostics::append(const Diagnostics &other) {
  for (const Diagnostic &diagnostic : other.list)
    add(diagnostic);
}

std::string Diagnostics::str() const {
  // A multimap keeps the order of arrival within one place.
  std::multimap<std::tuple<std::string, int, int>, const Diagnostic *> sorted;
  for (const Diagnostic &diagnostic : list) {
    const Location &at = diagnostic.location;
    sorted.emplace(std::tuple(at.fileName(), at.line, at.column), &diagnostic);
  }
  std::string text;
  for (const auto &[place, diagnostic] : sorted)
    text += diagnostic->str() + "\n";
  return text;
}

Location inFile(std::string file) {
  return {std::make_shared<const std::string>(std::move(file)), 0, 0, Layer::Experiment};
}

} // namespace primus::config
