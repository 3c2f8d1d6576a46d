//===- MathCases.h - How exact elementary functions are ----------*- C++ -*-===//

#pragma once

#include <cmath>
#include <ostream>
#include <vector>

namespace primus::test {

struct MathCase {
  /// Of the math dialect's op.
  const char *name;
  double (*reference)(double);
  /// Inputs are spread over [low, high] evenly and, if both have one sign, geometrically.
  float low, high;
  /// Allowed error in units in the last place of the result.
  double ulps;

  std::vector<float> getInputs(int64_t count) const {
    std::vector<float> inputs(count);
    bool geometric = low > 0 && high / low > 1e4;
    for (int64_t i = 0; i < count; ++i) {
      double t = double(i) / (count - 1);
      inputs[i] = geometric ? low * std::pow(double(high) / low, t) : low + t * (double(high) - low);
    }
    return inputs;
  }
};

inline std::ostream &operator<<(std::ostream &stream, const MathCase &c) {
  return stream << c.name << " from " << c.low << " to " << c.high;
}

/// Distance of `value` from the exact result in units in the last place of the f32 that is nearest to it.
inline double getUlps(float value, double exact) {
  float nearest = float(exact);
  if (std::isnan(exact))
    return std::isnan(value) ? 0 : HUGE_VAL;
  if (std::isinf(nearest) || std::isinf(value))
    return nearest == value || std::abs(exact) > 3.40282e38 ? 0 : HUGE_VAL;
  double ulp = std::max<double>(std::nextafter(std::abs(nearest), INFINITY) - std::abs(nearest), 1.17549435e-38 / (1 << 23));
  return std::abs(value - exact) / ulp;
}

/// What every target must reach.
inline const MathCase kMathCases[] = {
    {"exp", std::exp, -104, 89, 1.5},
    {"exp", std::exp, -1, 1, 1.0},
    {"exp2", std::exp2, -150, 128, 1.5},
    {"expm1", std::expm1, -20, 89, 2},
    {"expm1", std::expm1, -1e-3, 1e-3, 1},
    {"log", std::log, 1e-40, 3e38, 1.5},
    {"log", std::log, 0.5, 2, 1.5},
    {"log2", std::log2, 1e-3, 1e3, 3},
    {"log10", std::log10, 1e-3, 1e3, 3},
    {"log1p", std::log1p, -0.99, 1, 2},
    {"log1p", std::log1p, 1e-8, 1e8, 2},
    {"tanh", std::tanh, -10, 10, 3},
    {"tanh", std::tanh, -1e-2, 1e-2, 3},
    {"erf", std::erf, -5, 5, 2},
    {"erf", std::erf, -1e-2, 1e-2, 1},
    {"rsqrt", [](double x) { return 1 / std::sqrt(x); }, 1e-37, 3e38, 1.5},
    {"sqrt", std::sqrt, 1e-40, 3e38, 0.51}};

/// Inputs that are treated like by the C library.
inline const float kSpecialNumbers[] = {0.0f,   -0.0f,   INFINITY, -INFINITY, NAN,    1e-40f, -1e-40f,
                                        3.4e38f, -3.4e38f, -1.0f,    1e-20f,    -1e-20f, 100.0f, -120.0f};

} // namespace primus::test
