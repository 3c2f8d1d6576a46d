//===- MockTokens.cpp - Tokens out of nothing -----------------------------===//

#include "runtime/data/RandomStreams.h"
#include "runtime/data/TokenSource.h"
#include "runtime/init/Philox.h"

using namespace primus::runtime;

namespace {

class MockTokens final : public TokenSource {
public:
  MockTokens(uint64_t seed, int64_t vocabulary) : seed(seed), vocabulary(static_cast<uint64_t>(vocabulary)) {}

  /// More than any run reads, few enough that positions stay exact as doubles.
  int64_t getNumTokens() const override { return int64_t(1) << 44; }

  void read(int64_t begin, std::span<int32_t> out) const override {
    for (size_t i = 0; i < out.size(); ++i) {
      PhiloxBlock block = philox(seed, mockTokenStream, static_cast<uint64_t>(begin) + i);
      // Of 64 random bits, so that the remainder is uniform beyond any measurement.
      out[i] = static_cast<int32_t>((uint64_t(block[1]) << 32 | block[0]) % vocabulary);
    }
  }

private:
  uint64_t seed;
  uint64_t vocabulary;
};

} // namespace

std::unique_ptr<TokenSource> primus::runtime::makeMock(uint64_t seed, int64_t vocabulary) {
  return std::make_unique<MockTokens>(seed, vocabulary);
}
