//===- Initialization.h - First values of graph variables --------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/interpreter/Tensor.h"
#include "runtime/init/Initializer.h"

namespace primus::interpreter {

/// A variable's initialiser in the runtime's terms, checked for a (whole) value of this type; a located error if the
/// runtime does not know it.
mlir::FailureOr<runtime::InitializerSpec> getInitializerSpec(graph::VariableOp variable, mlir::RankedTensorType type);

/// A variable's first (whole) value, of this type, as the runtime makes it; that of a rank's place on a rank which has
/// this one.
mlir::FailureOr<Tensor> makeInitialValue(graph::VariableOp variable, mlir::RankedTensorType type, uint64_t seed,
                                         int64_t axisIndex = 0);

} // namespace primus::interpreter
