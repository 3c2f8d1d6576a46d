//===- Difference.h - How far two tensors are apart ---------------*- C++ -*-===//
//
// The one metric of the numeric bisection. With s the scale of a pair of tensors,
//
//   relative difference of element i = |actual_i - expected_i| / s
//   s = max(floor, max_i |expected_i|, max_i |actual_i|)          over finite elements
//
// A whole tensor shares one scale, so that an element near zero does not count rounding errors of its neighbours' size as
// its own. NaN equals NaN only, an infinity only itself; any other pair with one of them is infinitely far apart.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/interpreter/Interpreter.h"

namespace primus::bisect {

using interpreter::Tensor;
using TensorRef = interpreter::Interpreter::TensorRef;

struct Difference {
  /// Largest relative difference of any element; 0 for empty tensors, infinite for tensors of different sizes.
  double relative = 0;
  /// The first element beyond the tolerance, in row-major order, or -1; and how many there are.
  int64_t element = -1, count = 0;
  /// Of that element.
  double expected = 0, actual = 0, elementRelative = 0;

  explicit operator bool() const { return element >= 0; }
};

/// Compares element by element. Values below `floor` in size are noise.
Difference compare(llvm::ArrayRef<double> expected, llvm::ArrayRef<double> actual, double tolerance, double floor = 0);

/// Whether all elements agree; stops at the first that does not.
bool agree(llvm::ArrayRef<double> expected, llvm::ArrayRef<double> actual, double tolerance);

/// |x|, in the Euclidean norm.
double norm(llvm::ArrayRef<double> values);

/// A flat row-major index as one index per dimension.
llvm::SmallVector<int64_t> unflatten(int64_t element, llvm::ArrayRef<int64_t> shape);

} // namespace primus::bisect
