//===- Assembly.h - Machine code for AMD GPUs --------------------*- C++ -*-===//

#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace primus::codegen::hip {

/// The assembly of a module that lowerKernels has been through, for `chip` (gfx942, gfx950). The module is left in the
/// LLVM dialect.
mlir::FailureOr<std::string> emitAssembly(mlir::ModuleOp module, llvm::StringRef chip);

} // namespace primus::codegen::hip
