//===- ActivationFormulas.h - Pointwise non-linearities ----------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphBuilder.h"

namespace primus::graph {

/// The non-linearity of `x`, in x's type.
mlir::Value buildActivation(GraphBuilder &b, Activation kind, mlir::Value x);

/// Its derivative at `x`.
mlir::Value buildActivationDerivative(GraphBuilder &b, Activation kind, mlir::Value x);

/// Floating-point operations that one element of it takes, a transcendental function being one.
int64_t countActivationFlops(Activation kind);

} // namespace primus::graph
