//===- Reproducer.h - Files that repeat a failure of a pass ------*- C++ -*-===//

#pragma once

#include "mlir/Pass/PassManager.h"

namespace primus::cli {

/// A pass that fails or crashes leaves a file that repeats it: the IR before it, and its name and options. The file is
/// FOLDER/reproducer-<phase>-<pass>.mlir; the error names it and the command to run.
void enableReproducers(mlir::PassManager &passes, llvm::StringRef folder, llvm::StringRef phase);

} // namespace primus::cli
