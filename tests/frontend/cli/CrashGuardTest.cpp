//===- CrashGuardTest.cpp - Defects end with a message and an exit code ----===//

#include "frontend/cli/CrashGuard.h"

#include "llvm/Support/ErrorHandling.h"

#include <csignal>
#include <gtest/gtest.h>
#include <stdexcept>

using namespace primus::cli;

namespace {

TEST(CrashGuardTest, TurnsDefectsIntoExitCodes) {
  EXPECT_EQ(runGuarded([] { return 0; }), 0);
  EXPECT_EQ(runGuarded([] { return 2; }), 2);
  EXPECT_EQ(runGuarded([]() -> int { std::abort(); }), 1);
  EXPECT_EQ(runGuarded([] { return raise(SIGSEGV); }), 1);
  EXPECT_EQ(runGuarded([]() -> int { llvm::report_fatal_error("no such instruction"); }), 1);
  EXPECT_EQ(runGuarded([]() -> int { throw std::runtime_error("unexpected"); }), 1);
  EXPECT_EQ(runGuarded([]() -> int { throw std::bad_alloc(); }), 3);
  // And again: the guard is back in place.
  EXPECT_EQ(runGuarded([]() -> int { std::abort(); }), 1);
}

} // namespace
