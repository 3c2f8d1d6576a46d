//===- Initializer.cpp - First values of variables ------------------------===//
//
// One kind is one small function and one line of the table at the end.
//
//===----------------------------------------------------------------------===//

#include "runtime/init/Initializer.h"
#include "runtime/init/Philox.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

using namespace primus::runtime;

namespace {

/// A request to fill elements [begin, end) of a variable.
struct Request {
  const InitializerSpec &spec;
  std::span<const int64_t> shape;
  uint64_t seed;
  int64_t begin, end;
  float *out;

  double parameter(const std::string &name, double fallback) const {
    auto found = spec.parameters.find(name);
    return found == spec.parameters.end() ? fallback : found->second;
  }
  /// The position whose value element (row) `index` holds.
  int64_t getPosition(int64_t index) const {
    return getContextPosition(index, shape[0], static_cast<int64_t>(parameter("ranks", 1)));
  }
};

/// What a kind of initialiser fills: any tensor, one value per position, a table of positions x frequencies, a scalar.
enum class Form { Any, Positions, Table, Scalar };

struct Kind {
  /// Parameters that it understands, and those that it cannot do without.
  std::vector<std::string> parameters, required;
  Form form = Form::Any;
  void (*fill)(const Request &request);
};

void fillConstant(const Request &request, double value) {
  std::fill(request.out, request.out + (request.end - request.begin), static_cast<float>(value));
}

/// Value `index` of a normal distribution without its tails beyond `cutoff` standard deviations (0: all of it). What is
/// drawn again comes from far behind the elements of any variable.
double truncatedNormal(uint64_t seed, uint64_t stream, uint64_t index, double cutoff) {
  constexpr uint64_t redraws = 64;
  double value = standardNormal(seed, stream, index);
  for (uint64_t redraw = 1; cutoff > 0 && std::abs(value) > cutoff; ++redraw) {
    if (redraw > redraws)
      return std::copysign(cutoff, value);
    value = standardNormal(seed, stream, index + (redraw << 48));
  }
  return value;
}

void fillNormal(const Request &request) {
  double std = request.parameter("std", 1.0), mean = request.parameter("mean", 0.0);
  double cutoff = request.parameter("cutoff", 0.0);
  for (int64_t i = request.begin; i < request.end; ++i)
    request.out[i - request.begin] =
        static_cast<float>(mean + std * truncatedNormal(request.seed, request.spec.stream, i, cutoff));
}

/// Rounds to f32 wherever Hugging Face's implementation does: the frequency, the angle, its cosine, and the scaled
/// cosine.
void fillRope(const Request &request, double (*function)(double)) {
  int64_t columns = request.shape[1];
  float scale = static_cast<float>(request.parameter("scale", 1.0));
  for (int64_t i = request.begin; i < request.end; ++i) {
    float position = static_cast<float>(request.getPosition(i / columns));
    float angle = position * static_cast<float>(request.spec.frequencies[i % columns]);
    request.out[i - request.begin] = static_cast<float>(function(angle)) * scale;
  }
}

void fillPositions(const Request &request) {
  for (int64_t i = request.begin; i < request.end; ++i)
    request.out[i - request.begin] = static_cast<float>(request.getPosition(i));
}

const std::map<std::string, Kind> &getKinds() {
  static const std::map<std::string, Kind> kinds = {
      {"zeros", {{}, {}, Form::Any, [](const Request &request) { fillConstant(request, 0.0); }}},
      {"ones", {{}, {}, Form::Any, [](const Request &request) { fillConstant(request, 1.0); }}},
      {"constant",
       {{"value"},
        {"value"},
        Form::Any,
        [](const Request &request) { fillConstant(request, request.parameter("value", 0)); }}},
      {"normal", {{"std", "mean", "cutoff"}, {}, Form::Any, fillNormal}},
      {"rope_cos", {{"scale", "ranks"}, {}, Form::Table, [](const Request &request) { fillRope(request, std::cos); }}},
      {"rope_sin", {{"scale", "ranks"}, {}, Form::Table, [](const Request &request) { fillRope(request, std::sin); }}},
      {"positions", {{"ranks"}, {}, Form::Positions, fillPositions}},
      {"axis_index",
       {{},
        {},
        Form::Scalar,
        [](const Request &request) { fillConstant(request, static_cast<double>(request.spec.axisIndex)); }}},
  };
  return kinds;
}

/// Says why a tensor of this shape is not of the form that the initialiser fills.
std::optional<std::string> checkShape(const InitializerSpec &spec, Form form, std::span<const int64_t> shape) {
  auto expect = [&](size_t rank, const std::string &what) -> std::optional<std::string> {
    if (shape.size() == rank)
      return std::nullopt;
    return "initializer '" + spec.kind + "' fills " + what + ", not a tensor of " + std::to_string(shape.size()) +
           " dimensions";
  };
  switch (form) {
  case Form::Any:
    return std::nullopt;
  case Form::Scalar:
    return expect(0, "a scalar");
  case Form::Positions:
    return expect(1, "one element per position");
  case Form::Table:
    if (std::optional<std::string> problem = expect(2, "a table of positions x frequencies"))
      return problem;
    if (static_cast<int64_t>(spec.frequencies.size()) != shape[1])
      return "initializer '" + spec.kind + "' has " + std::to_string(spec.frequencies.size()) +
             " frequencies for a table of " + std::to_string(shape[1]) + " columns";
    return std::nullopt;
  }
  return std::nullopt;
}

std::string join(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

} // namespace

std::vector<std::string> primus::runtime::getInitializerKinds() {
  std::vector<std::string> names;
  for (const auto &[name, kind] : getKinds())
    names.push_back(name);
  return names;
}

std::optional<std::string> primus::runtime::checkInitializer(const InitializerSpec &spec,
                                                             std::span<const int64_t> shape) {
  auto found = getKinds().find(spec.kind);
  if (found == getKinds().end())
    return "unknown initializer '" + spec.kind + "'; known are: " + join(getInitializerKinds());
  const Kind &kind = found->second;
  for (const auto &[name, value] : spec.parameters)
    if (std::find(kind.parameters.begin(), kind.parameters.end(), name) == kind.parameters.end())
      return "initializer '" + spec.kind + "' has no parameter '" + name + "'" +
             (kind.parameters.empty() ? "" : "; it has: " + join(kind.parameters));
  for (const std::string &name : kind.required)
    if (!spec.parameters.contains(name))
      return "initializer '" + spec.kind + "' needs the parameter '" + name + "'";
  if (std::optional<std::string> problem = checkShape(spec, kind.form, shape))
    return problem;
  if (kind.form == Form::Scalar && spec.axes.empty())
    return "initializer '" + spec.kind + "' needs the mesh axes of which it is the index";
  if (auto ranks = spec.parameters.find("ranks"); ranks != spec.parameters.end() && ranks->second != 1) {
    double count = ranks->second;
    if (!(count >= 1 && count <= static_cast<double>(shape[0])) || count != std::floor(count))
      return "initializer '" + spec.kind + "' has ranks = " + std::to_string(count) + ", which is no number of ranks";
    if (shape[0] % (2 * static_cast<int64_t>(count)) != 0)
      return "initializer '" + spec.kind + "' cannot divide " + std::to_string(shape[0]) +
             " positions into two equal chunks for each of " + std::to_string(static_cast<int64_t>(count)) + " ranks";
  }
  return std::nullopt;
}

std::optional<std::string> primus::runtime::initialize(const InitializerSpec &spec, std::span<const int64_t> shape,
                                                       uint64_t seed, int64_t begin, int64_t end, float *out) {
  if (std::optional<std::string> problem = checkInitializer(spec, shape))
    return problem;
  int64_t size = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  if (begin < 0 || begin > end || end > size)
    return "elements " + std::to_string(begin) + " to " + std::to_string(end) + " are not within a variable of " +
           std::to_string(size);
  getKinds().at(spec.kind).fill({spec, shape, seed, begin, end, out});
  return std::nullopt;
}
