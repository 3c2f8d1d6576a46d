//===- Verify.h - What each phase promises -----------------------*- C++ -*-===//
//
// One verifier per IR phase, run after the phase's passes (see passes/Pipeline.cpp). Errors are located and say which pass or
// rule is broken.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinOps.h"

namespace primus {

/// No two live buffers overlap, and all lie within their regions.
mlir::LogicalResult verifyStep(mlir::ModuleOp module);

} // namespace primus
