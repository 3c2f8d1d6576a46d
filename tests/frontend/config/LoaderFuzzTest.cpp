//===- LoaderFuzzTest.cpp - Random damage to configuration files ----------===//
//
// The corpus of the fuzzer in tests/fuzz, damaged at random. PRIMUS_FUZZ_SECONDS sets how long (default: 2).
//
//===----------------------------------------------------------------------===//

#include "tests/fuzz/ConfigFuzz.h"
#include "tests/fuzz/Mutator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace primus::test;

TEST(LoaderFuzz, DamagedFilesAreReadOrRefused) {
  std::vector<std::string> inputs;
  for (const auto &file : std::filesystem::directory_iterator(PRIMUS_SOURCE_DIR "/tests/fuzz/corpus/config")) {
    std::stringstream text;
    text << std::ifstream(file.path(), std::ios::binary).rdbuf();
    inputs.push_back(text.str());
    EXPECT_TRUE(fuzzConfig(inputs.back())) << file.path();
  }
  ASSERT_GE(inputs.size(), 4u);
  const char *configured = std::getenv("PRIMUS_FUZZ_SECONDS");
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(configured ? std::atof(configured) : 2);
  Mutator mutator(/*seed=*/9);
  size_t runs = 0, accepted = 0;
  while (std::chrono::steady_clock::now() < end) {
    std::string bytes = mutator.mutate(inputs[runs % inputs.size()]);
    bool ok = fuzzConfig(bytes);
    accepted += ok;
    if (ok && inputs.size() < 64 && bytes.size() < 2000)
      inputs.push_back(std::move(bytes));
    ++runs;
  }
  // Both outcomes occur, or the damage says nothing.
  EXPECT_GT(accepted, 0u);
  EXPECT_LT(accepted, runs);
  RecordProperty("runs", std::to_string(runs));
}
