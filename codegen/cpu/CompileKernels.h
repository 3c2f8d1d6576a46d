//===- CompileKernels.h - Tile programs to one shared object -----*- C++ -*-===//

#pragma once

#include "codegen/common/CompileEach.h"
#include "codegen/cpu/CpuTarget.h"

namespace primus::codegen {

/// Compiles every kernel.func of the module into one ELF shared object (returned as its bytes) that depends on no library. Each kernel is
/// a function of its own name: `void symbol(void *const *arguments, int64_t begin, int64_t end)` runs the program instances [begin, end) of its
/// linear grid, first dimension slowest. Equal inputs give equal bytes, with or without the cache.
///
/// Uses the threads of the module's context. Must not be called by a pass that runs beside others, because it may load
/// dialects. Errors are located at the op that cannot be compiled.
mlir::FailureOr<std::string> compileKernels(mlir::ModuleOp module, const CpuTarget &target, const CompileOptions &options = {});

} // namespace primus::codegen
