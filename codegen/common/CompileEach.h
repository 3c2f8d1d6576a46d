//===- CompileEach.h - Every kernel of a module, on all threads --*- C++ -*-===//

#pragma once

#include "codegen/common/ObjectCode.h"
#include "ir/kernel/KernelDialect.h"

#include "llvm/IR/LLVMContext.h"

#include <functional>
#include <string>
#include <vector>

namespace primus::codegen {

struct CompileOptions {
  /// Folder of compiled kernels from earlier runs; empty for none.
  std::string cacheDir;
  /// Receives what a kernel becomes, with the file extension that tells which form it is: mlir (the tile program), ll (optimised
  /// LLVM IR), s, and o (CPU) or hsaco (GPU). Called from one thread at a time, in no fixed order. A kernel that is in the cache is dumped as
  /// well.
  std::function<void(llvm::StringRef kernel, llvm::StringRef extension, llvm::StringRef contents)> dump;
  /// Called after each kernel, from one thread at a time, with how many are done.
  std::function<void(size_t done, size_t count)> progress;
};

/// How a target makes code of one kernel.
struct KernelCompiler {
  /// All that decides the code beside the kernel: architecture, features.
  std::string target;
  /// What the finished code is called in a dump.
  llvm::StringRef extension;
  /// A kernel as optimised LLVM IR. Errors are located at the op that cannot be compiled.
  std::function<mlir::FailureOr<TranslatedModule>(kernel::FuncOp, llvm::LLVMContext &)> translate;
  /// From an object file to the finished code.
  std::function<llvm::Expected<std::string>(std::string object)> finish;
};

/// Compiles every kernel.func of the module, in order. Equal inputs give equal bytes, with or without the cache. Uses the threads of the
/// module's context, whose dialects must be loaded.
mlir::FailureOr<std::vector<std::string>> compileEach(mlir::ModuleOp module, const KernelCompiler &compiler,
                                                      const CompileOptions &options);

} // namespace primus::codegen
