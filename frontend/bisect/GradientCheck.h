//===- GradientCheck.h - Gradients against finite differences -----*- C++ -*-===//
//
// Phase `train` has no phase before it that knows gradients. Its judge is the forward pass: with phi(x) = sum_j <c_j, y_j(x)>, where y
// are a layer's results and c the cotangents that its backward function got, the gradient g that it returns for x must satisfy
//
//   <g, d> = (8 (phi(x + h d) - phi(x - h d)) - (phi(x + 2 h d) - phi(x - 2 h d))) / 12 h + O(h^4)
//
// for a random unit direction d. In f64 both sides agree to about ten digits. A wrong gradient is narrowed down in the same way, with the
// perturbation at one use of one value inside the layer; and the element, by directions that are zero outside a shrinking range.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/bisect/Finding.h"
#include "frontend/bisect/Trace.h"

#include <optional>

namespace primus::bisect {

struct GradientCheck {
  /// Largest difference of any derivative, relative to the larger side and to the gradient's largest element.
  double relative = 0;
  /// Set where a gradient is wrong; its pass is the caller's to fill in.
  std::optional<Finding> finding;
};

/// Checks every backward function that the trace of a module in phase `train` (in exact mode) has called, once per layer instance, and
/// then the gradient of the loss itself along one direction over all parameters. Errors are diagnostics.
mlir::FailureOr<GradientCheck> checkGradients(mlir::ModuleOp module, const Trace &trace, const StepSetup &setup);

} // namespace primus::bisect
