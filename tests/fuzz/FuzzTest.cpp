//===- FuzzTest.cpp - Random damage ---------------------------------------===//
//
// PRIMUS_FUZZ_SECONDS sets how long each target runs (default: 2).
//
//===----------------------------------------------------------------------===//

#include "tests/fuzz/Fuzz.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

using namespace primus::test;

namespace {

/// Values at which arithmetic on sizes and offsets goes wrong.
constexpr uint64_t interesting[] = {0,          1,          63,         64,         127,         128,        255,
                                    1 << 12,    INT32_MAX,  1u << 31,   UINT32_MAX, 1ull << 46,  1ull << 47, 1ull << 62,
                                    INT64_MAX,  1ull << 63, UINT64_MAX, ~63ull,     ~0ull << 32};

class Mutator {
public:
  explicit Mutator(uint64_t seed) : random(seed) {}

  std::string mutate(std::string bytes) {
    for (uint64_t i = 0, count = 1 + random() % 4; i < count && !bytes.empty(); ++i)
      mutateOnce(bytes);
    return bytes;
  }

private:
  void mutateOnce(std::string &bytes) {
    size_t at = random() % bytes.size();
    switch (random() % 7) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      return;
    case 1:
      bytes[at] = static_cast<char>(random());
      return;
    case 2:
      bytes.resize(at);
      return;
    case 3:
      bytes.erase(at, 1 + random() % 8);
      return;
    case 4:
      bytes.insert(at, bytes.substr(random() % bytes.size(), 1 + random() % 32));
      return;
    case 5: {
      uint64_t value = interesting[random() % std::size(interesting)];
      size_t size = std::min(bytes.size() - at, size_t(1) << random() % 4);
      std::memcpy(bytes.data() + at, &value, size);
      return;
    }
    default: {
      // A number as protobuf writes it, instead of the one-byte number there.
      std::string varint;
      uint64_t value = interesting[random() % std::size(interesting)];
      for (; value >= 128; value >>= 7)
        varint += static_cast<char>(value | 128);
      varint += static_cast<char>(value);
      bytes.replace(at, 1, varint);
    }
    }
  }

  std::mt19937_64 random;
};

} // namespace

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
