//===- CrashGuard.h - Defects leave a trace and an exit code ------*- C++ -*-===//

#pragma once

#include "mlir/Pass/PassManager.h"

#include <string>

namespace primus::cli {

/// Runs a command's body. A signal that a defect raises (an invalid access, an abort, LLVM's fatal errors) and an exception become a message and
/// the exit code of a defect, or, when memory ran out, of a failed run.
int runGuarded(llvm::function_ref<int()> body);

/// A pass that fails or crashes leaves a file that repeats it: the IR before it, and its name and options. The file is
/// FOLDER/reproducer-<phase>-<pass>.mlir; the error names it and the command to run.
void enableReproducers(mlir::PassManager &passes, llvm::StringRef folder, llvm::StringRef phase);

} // namespace primus::cli
