//===- CompileExecutable.h - From the step phase to an executable -*- C++ -*-===//

#pragma once

#include "codegen/common/CompileEach.h"
#include "runtime/executable/Executable.pb.h"

namespace primus::codegen {

/// What kernels can be compiled for: cpu, and AMD GPUs by LLVM's names.
llvm::ArrayRef<llvm::StringLiteral> getTargets();

/// Compiles the kernels of a planned module in phase `step` for its `primus.target` (the CPU: with `primus.cpu_features`; without them, this
/// machine's), and writes code, target, launches, functions, programs, variables and memory figures. What the training loop needs is the
/// caller's to fill in. Errors are located.
mlir::LogicalResult compileExecutable(mlir::ModuleOp module, const CompileOptions &options, executable::Executable &result);

} // namespace primus::codegen
