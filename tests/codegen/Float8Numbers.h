//===- Float8Numbers.h - What 8-bit floats stand for -------------*- C++ -*-===//
//
// Rounding by looking numbers up, in a table that is PyTorch's.
//
//===----------------------------------------------------------------------===//

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace primus::test {

struct Float8Numbers {
  /// As MLIR spells it.
  const char *name;
  /// Of every code; the positive ones come first, in their order.
  float numbers[256];

  bool isPower() const { return std::strstr(name, "E8M0"); }
  bool isFnuz() const { return std::strstr(name, "FNUZ"); }

  /// The code of the nearest number, of two equally near ones the even code; of powers of two that of the largest which
  /// is not larger, or the smallest. What lies beyond the largest number becomes it. A NaN's code is the first of a NaN.
  uint8_t round(float value) const {
    auto isNan = [](float number) { return std::isnan(number); };
    if (std::isnan(value))
      return std::find_if(numbers, numbers + 256, isNan) - numbers;
    float magnitude = isPower() ? std::max(value, 0.0f) : std::fabs(value);
    int last = isPower() ? 255 : 127;
    while (!std::isfinite(numbers[last]))
      --last;
    // The first that is larger, and the one before it.
    int code = std::upper_bound(numbers, numbers + last + 1, magnitude) - numbers;
    if (code > last || isPower()) {
      code = std::max(code - 1, 0);
    } else {
      double below = double(magnitude) - numbers[code - 1], above = double(numbers[code]) - magnitude;
      if (below < above || (below == above && code % 2 != 0))
        --code;
    }
    bool isNegative = std::signbit(value) && !isPower() && !(isFnuz() && code == 0);
    return code | (isNegative ? 0x80 : 0);
  }
};

inline const Float8Numbers kFloat8Numbers[] = {
#include "tests/goldens/float8.inc"
};

/// Numbers at which roundings differ: all codes', the middles between them, what is next to both, and `random` others, with
/// both signs.
inline std::vector<float> getRoundingCases(const Float8Numbers &format, int64_t random) {
  std::vector<float> cases{0, INFINITY, NAN, 0x1p-149f, 0x1.fffffep127f, 0x1p-130f};
  auto add = [&](float value) {
    for (float near : {value, std::nextafter(value, 0.0f), std::nextafter(value, INFINITY)})
      cases.push_back(near);
  };
  std::vector<float> numbers;
  for (float number : format.numbers)
    if (std::isfinite(number) && number >= 0)
      numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  for (size_t i = 0; i < numbers.size(); ++i) {
    add(numbers[i]);
    if (i > 0) {
      add((double(numbers[i - 1]) + numbers[i]) / 2);
      // Half a gap beyond the largest.
      if (i + 1 == numbers.size())
        add(1.5 * numbers[i] - 0.5 * numbers[i - 1]);
    }
  }
  uint32_t state = 1;
  for (int64_t i = 0; i < random; ++i) {
    state = state * 1664525 + 1013904223;
    uint32_t bits = state ^ state >> 15;
    // Half of them within the format's range.
    if (i % 2 == 0)
      bits = (bits & 0x807fffff) | (127 - 20 + (bits >> 23 & 0xff) % 40) << 23;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    cases.push_back(value);
  }
  size_t count = cases.size();
  for (size_t i = 0; i < count; ++i)
    cases.push_back(-cases[i]);
  return cases;
}

} // namespace primus::test
