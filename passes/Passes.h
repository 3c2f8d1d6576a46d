//===- Passes.h - All passes and their registration --------------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"

#include "mlir/Pass/Pass.h"

namespace primus {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

/// Registers the project's dialects and those that its IR uses.
void registerDialects(mlir::DialectRegistry &registry);

} // namespace primus
