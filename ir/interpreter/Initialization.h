//===- Initialization.h - First values of graph variables --------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/interpreter/Tensor.h"
#include "runtime/init/Initializer.h"

namespace primus::interpreter {

/// A variable's initialiser in the runtime's terms, checked; a located error if the runtime does not know it.
mlir::FailureOr<runtime::InitializerSpec> getInitializerSpec(graph::VariableOp variable);

/// A variable's first value, as the runtime makes it.
mlir::FailureOr<Tensor> makeInitialValue(graph::VariableOp variable, uint64_t seed);

} // namespace primus::interpreter
