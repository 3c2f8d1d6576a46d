//===- Difference.cpp - How far two tensors are apart ---------------------===//

#include "frontend/bisect/Difference.h"

#include <cmath>

using namespace mlir;
using namespace primus;
using namespace primus::bisect;

/// The largest finite absolute value of either, but at least `floor`.
static double getScale(ArrayRef<double> expected, ArrayRef<double> actual, double floor) {
  double scale = floor;
  for (ArrayRef<double> values : {expected, actual})
    for (double value : values)
      if (std::isfinite(value))
        scale = std::max(scale, std::abs(value));
  return scale;
}

static double getRelative(double expected, double actual, double scale) {
  if (expected == actual || (std::isnan(expected) && std::isnan(actual)))
    return 0;
  if (!std::isfinite(expected) || !std::isfinite(actual))
    return HUGE_VAL;
  return std::abs(actual - expected) / scale;
}

Difference bisect::compare(ArrayRef<double> expected, ArrayRef<double> actual, double tolerance, double floor) {
  Difference result;
  if (expected.size() != actual.size()) {
    result.relative = result.elementRelative = HUGE_VAL;
    result.element = 0;
    result.count = actual.size();
    return result;
  }
  double scale = getScale(expected, actual, floor);
  for (auto [index, before, after] : llvm::enumerate(expected, actual)) {
    double relative = getRelative(before, after, scale);
    result.relative = std::max(result.relative, relative);
    if (relative <= tolerance)
      continue;
    if (result.count++)
      continue;
    result.element = index;
    result.expected = before;
    result.actual = after;
    result.elementRelative = relative;
  }
  return result;
}

bool bisect::agree(ArrayRef<double> expected, ArrayRef<double> actual, double tolerance) {
  if (expected.size() != actual.size())
    return false;
  double scale = getScale(expected, actual, 0);
  return llvm::all_of(llvm::zip(expected, actual), [&](auto pair) {
    return getRelative(std::get<0>(pair), std::get<1>(pair), scale) <= tolerance;
  });
}

double bisect::norm(ArrayRef<double> values) {
  double sum = 0;
  for (double value : values)
    sum += value * value;
  return std::sqrt(sum);
}

SmallVector<int64_t> bisect::unflatten(int64_t element, ArrayRef<int64_t> shape) {
  SmallVector<int64_t> index(shape.size());
  for (size_t dim = shape.size(); dim-- > 0;) {
    index[dim] = element % shape[dim];
    element /= shape[dim];
  }
  return index;
}
