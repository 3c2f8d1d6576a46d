//===- CompileKernels.h - Tile programs to code objects ----------*- C++ -*-===//

#pragma once

#include "codegen/common/CompileEach.h"
#include "codegen/hip/Metadata.h"

namespace primus::codegen::hip {

/// A linked code object with one kernel, of the tile program's name.
struct CompiledKernel {
  std::string codeObject;
  KernelResources resources;
};

/// Compiles every kernel.func of the module, in order, for `chip` (gfx942 or gfx950). A kernel takes one 64-bit pointer per argument and
/// nothing else, and runs one program instance per workgroup, all workgroups along x. Needs no ROCm. Equal inputs give equal
/// bytes, with or without the cache.
///
/// Uses the threads of the module's context. Must not be called by a pass that runs beside others, because it may load
/// dialects. Errors are located at the op that cannot be compiled.
mlir::FailureOr<std::vector<CompiledKernel>> compileKernels(mlir::ModuleOp module, llvm::StringRef chip,
                                                            const CompileOptions &options = {});

} // namespace primus::codegen::hip
