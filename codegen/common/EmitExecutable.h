//===- EmitExecutable.h - From the step phase to the executable format -*- C++ -*-===//

#pragma once

#include "runtime/executable/Executable.pb.h"

#include "mlir/IR/BuiltinOps.h"

namespace primus {

/// Writes kernels' launch descriptions, functions, programs, variables and memory figures of a planned module in phase `step`. The code itself,
/// the target and what the training loop needs are the caller's to fill in. Errors are located on the op that has no place in the format.
mlir::LogicalResult emitExecutable(mlir::ModuleOp module, executable::Executable &result);

/// Name of a kernel's function in the shared object.
std::string getKernelSymbol(llvm::StringRef kernel);

} // namespace primus
