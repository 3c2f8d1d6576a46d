//===- Assembly.h - Machine code for AMD GPUs --------------------*- C++ -*-===//

#pragma once

#include "codegen/common/ObjectCode.h"
#include "ir/kernel/KernelDialect.h"

#include <string>

namespace primus::codegen::hip {

/// Loads the dialects that lowering creates. To be called before threads share the context.
void loadHipDialects(mlir::MLIRContext &context);

/// A module that lowerKernels has been through as optimised LLVM IR for `chip` (gfx942, gfx950). The module is left in the LLVM dialect.
mlir::FailureOr<TranslatedModule> translate(mlir::ModuleOp module, llvm::StringRef chip, llvm::LLVMContext &context);

/// One kernel of a module, which stays as it is.
mlir::FailureOr<TranslatedModule> translateKernel(kernel::FuncOp kernel, llvm::StringRef chip, llvm::LLVMContext &context);

/// A lowered module as assembly.
mlir::FailureOr<std::string> emitAssembly(mlir::ModuleOp module, llvm::StringRef chip);

} // namespace primus::codegen::hip
