//===- Einsum.h - Products in normal form ------------------------*- C++ -*-===//

#pragma once

#include "mlir/IR/PatternMatch.h"

namespace primus::fusion {

/// Brings graph.matmul into the form [batch, m, k] x [batch, k, n] by views, and by transposes where letters do not follow each other.
void populateEinsumPatterns(mlir::RewritePatternSet &patterns);

} // namespace primus::fusion
