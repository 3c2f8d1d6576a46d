//===- SpecChecker.cpp - Rules over the fields of a TrainingSpec ----------===//

#include "frontend/config/SpecChecker.h"

#include <fmt/format.h>

namespace primus::config {

SpecChecker::SpecChecker(const spec::TrainingSpec &spec, Diagnostics &diagnostics)
    : spec(spec), diagnostics(diagnostics) {
  for (const spec::Source &source : spec.sources())
    sources[source.field()] = &source;
}

Location SpecChecker::at(const std::string &field) const {
  auto it = sources.find(field);
  if (it == sources.end())
    return inFile(field);
  const spec::Source &source = *it->second;
  Location location{nullptr, source.line(), source.column(), Layer::Default};
  if (!source.file().empty())
    location.file = std::make_shared<const std::string>(source.file());
  for (Layer layer : {Layer::Derived, Layer::ModelPreset, Layer::ModulePreset, Layer::Experiment, Layer::CommandLine})
    if (source.layer() == layerName(layer))
      location.layer = layer;
  return location;
}

std::string SpecChecker::name(const std::string &field) const {
  auto it = sources.find(field);
  if (it == sources.end())
    return field;
  // A derived value may be another key's as it stands: "train_iters (lr_decay_iters is not set)".
  std::string key = it->second->key().substr(0, it->second->key().find(" ("));
  return key.empty() || key.find(' ') != std::string::npos ? field : key;
}

std::string SpecChecker::place(const std::string &field) const {
  return fmt::format("{} stands at {}", name(field), at(field).str());
}

void SpecChecker::error(const std::string &field, std::string message, std::string suggestion) {
  diagnostics.error(at(field), std::move(message), std::move(suggestion));
}

bool SpecChecker::atLeast(const std::string &field, int64_t value, int64_t minimum) {
  if (value >= minimum)
    return true;
  error(field, fmt::format("'{}' must be at least {}, but is {}", name(field), minimum, value));
  return false;
}

} // namespace primus::config
