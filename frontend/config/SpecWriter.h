//===- SpecWriter.h - Fields of a TrainingSpec with their sources *- C++ -*-===//

#pragma once

#include "frontend/config/Diagnostic.h"
#include "frontend/config/TrainingSpec.pb.h"

#include <string>
#include <vector>

namespace primus::config {

/// Where a setting came from.
struct Origin {
  /// The upstream key, or what a derived value follows from.
  std::string key;
  Location location;

  /// Said by the run's own layers, and not by a preset that comes with every experiment.
  bool isOwn() const { return location.layer >= Layer::Experiment; }
};

/// A typed value and where it came from.
template <typename T> struct Setting {
  T value;
  Origin origin;

  /// The same origin, another value: for plain conversions of one key.
  template <typename U> Setting<U> with(U other) const { return {std::move(other), origin}; }
};

/// A value that follows from others: `reason` says how, the location is that of the value it mostly depends on.
template <typename T> Setting<T> derived(T value, std::string reason, const Origin &from) {
  Origin origin{std::move(reason), from.location};
  origin.location.layer = Layer::Derived;
  return {std::move(value), std::move(origin)};
}

/// Sets fields by their path ("optimizer.beta1", "model.layers[0].layer.attention.heads") and notes their sources, so
/// that no field can be set without one. A path that does not exist is a defect and ends the program.
class SpecWriter {
public:
  explicit SpecWriter(spec::TrainingSpec &spec) : spec(spec) {}

  /// What has been set so far.
  const spec::TrainingSpec &get() const { return spec; }

  void set(const std::string &path, const Setting<bool> &setting);
  void set(const std::string &path, const Setting<int64_t> &setting);
  void set(const std::string &path, const Setting<double> &setting);
  /// A string field, or an enum field by the name of its value.
  void set(const std::string &path, const Setting<std::string> &setting);
  /// A repeated string field.
  void set(const std::string &path, const Setting<std::vector<std::string>> &setting);
  /// A repeated integer field.
  void set(const std::string &path, const Setting<std::vector<int64_t>> &setting);

private:
  void note(const std::string &path, const Origin &origin);

  spec::TrainingSpec &spec;
};

/// The value of a field by its path, as textproto writes it.
std::string printField(const spec::TrainingSpec &spec, const std::string &path);

} // namespace primus::config
