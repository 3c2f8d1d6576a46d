//===- LowerKernels.h - Tile programs to LLVM for the CPU --------*- C++ -*-===//

#pragma once

#include "codegen/cpu/CpuTarget.h"
#include "ir/kernel/KernelDialect.h"

namespace primus::codegen {

/// Loads the dialects that lowering creates. To be called before threads share the context.
void loadCpuDialects(mlir::MLIRContext &context);

/// A module with `llvm.func @symbol(!llvm.ptr %arguments, i64 %begin, i64 %end)`, which runs the program instances [begin, end) of the
/// kernel's linear grid (first grid dimension slowest), in operations of arith, math, scf and llvm on scalars and one-dimensional vectors.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> lowerKernel(kernel::FuncOp kernel, const CpuTarget &target);

/// Turns what `lowerKernel` made into the llvm dialect alone.
mlir::LogicalResult convertToLLVM(mlir::ModuleOp module);

} // namespace primus::codegen
