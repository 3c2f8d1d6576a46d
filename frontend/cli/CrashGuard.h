//===- CrashGuard.h - Defects end with a message and an exit code -*- C++ -*-===//

#pragma once

#include "llvm/ADT/STLFunctionalExtras.h"

namespace primus::cli {

/// Runs a command's body. A signal that a defect raises (an invalid access, an abort, LLVM's fatal errors) and an exception become a message and
/// the exit code of a defect, or, when memory ran out, of a failed run.
int runGuarded(llvm::function_ref<int()> body);

} // namespace primus::cli
