//===- FuzzTest.cpp - Random damage ---------------------------------------===//
//
// PRIMUS_FUZZ_SECONDS sets how long each target runs (default: 2).
//
//===----------------------------------------------------------------------===//

#include "tests/fuzz/Fuzz.h"
#include "tests/fuzz/Mutator.h"

#include <chrono>
#include <cstdlib>
#include <gtest/gtest.h>

using namespace primus::test;

/// Runs a target over damaged seeds, going on from what is still accepted, for the configured time.
static void fuzz(bool (*target)(std::string_view), const std::string &seed) {
  const char *configured = std::getenv("PRIMUS_FUZZ_SECONDS");
  std::chrono::duration<double> seconds(configured ? std::atof(configured) : 2);
  auto end = std::chrono::steady_clock::now() + seconds;
  ASSERT_TRUE(target(seed)) << "the seed itself is refused";
  Mutator mutator(/*seed=*/20);
  std::vector<std::string> accepted = {seed};
  size_t runs = 0, refused = 0;
  while (std::chrono::steady_clock::now() < end) {
    std::string bytes = mutator.mutate(accepted[runs % accepted.size()]);
    bool ok = target(bytes);
    refused += !ok;
    if (ok && accepted.size() < 64 && bytes.size() < 2 * seed.size())
      accepted.push_back(std::move(bytes));
    ++runs;
  }
  // Both outcomes occur, or the damage says nothing.
  EXPECT_GT(refused, runs / 100);
  EXPECT_GT(accepted.size(), 2u);
  testing::Test::RecordProperty("runs", std::to_string(runs));
}

TEST(Fuzz, Executable) { fuzz(fuzzExecutable, makeExecutableSeed()); }

TEST(Fuzz, IndexFile) { fuzz(fuzzIndexFile, makeIndexFileSeed()); }

TEST(Fuzz, Safetensors) { fuzz(fuzzSafetensors, makeSafetensorsSeed()); }
