//===- CrashGuard.cpp - Defects end with a message and an exit code --------===//

#include "frontend/cli/CrashGuard.h"

#include "frontend/cli/CommandLine.h"

#include "llvm/Support/CrashRecoveryContext.h"

#include <csignal>
#include <fmt/format.h>
#include <new>

using namespace primus;
using namespace primus::cli;

static int runCatching(llvm::function_ref<int()> body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    fmt::print(stderr, "error: out of memory\n");
    return kFailure;
  } catch (const std::exception &exception) {
    fmt::print(stderr, "error: {}; this is a defect of the compiler\n", exception.what());
    return kDefect;
  }
}

int cli::runGuarded(llvm::function_ref<int()> body) {
  int code = kDefect;
  llvm::CrashRecoveryContext::Enable();
  llvm::CrashRecoveryContext recovery;
  bool isWhole = recovery.RunSafely([&] { code = runCatching(body); });
  llvm::CrashRecoveryContext::Disable();
  if (isWhole)
    return code;
  // LLVM gives the shell's code of a process that a signal ended.
  fmt::print(stderr, "error: the compiler crashed ({}); this is a defect of the compiler\n", strsignal(recovery.RetCode - 128));
  return kDefect;
}
