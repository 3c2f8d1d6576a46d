//===- PassDump.h - What each pass changed ------------------------*- C++ -*-===//

#pragma once

#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/Support/Regex.h"

#include <memory>
#include <string>

namespace primus::cli {

/// Where --dump-passes writes, for the passes of all phases.
struct PassDumpTarget {
  /// Files are FOLDER/NNN-<phase>-<pass>[-<function>].{mlir,diff}.
  std::string folder;
  /// Of the passes' names on the command line.
  llvm::Regex passes;
  unsigned count = 0;
  bool failed = false;
};

/// Instrumentation of one phase's passes: each that matches and changes the IR leaves what it changed, functions and other symbols as they are
/// afterwards, and a unified diff against before.
std::unique_ptr<mlir::PassInstrumentation> createPassDump(PassDumpTarget &target, llvm::StringRef phase);

} // namespace primus::cli
