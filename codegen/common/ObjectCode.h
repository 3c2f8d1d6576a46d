//===- ObjectCode.h - LLVM modules to object files ---------------*- C++ -*-===//

#pragma once

#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <string>

namespace primus::codegen {

/// Options of a target machine in LLVM's terms.
struct MachineOptions {
  std::string triple, cpu, features;
};

/// LLVM IR and the machine that it is for.
struct TranslatedModule {
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> module;
};

/// A machine that emits position-independent code of the small code model.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createMachine(const MachineOptions &options);

/// Optimises code that is vectorised and unrolled already: no loop vectoriser, no unroller, no recognition of library calls.
void optimise(llvm::Module &module, llvm::TargetMachine &machine);

/// The module as an object file or as assembly. The module is consumed.
llvm::Expected<std::string> emitCode(llvm::Module &module, llvm::TargetMachine &machine, llvm::CodeGenFileType kind);

} // namespace primus::codegen
