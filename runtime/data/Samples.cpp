//===- Samples.cpp - Sequences to train and evaluate on -------------------===//

#include "runtime/data/Samples.h"

#include "runtime/data/RandomStreams.h"
#include "runtime/init/Philox.h"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

using namespace primus::runtime;

/// Image of `index` under a random permutation of [0, count): a Feistel network over the next power of four, applied until
/// it lands inside.
static uint64_t permute(uint64_t index, uint64_t count, uint64_t seed, uint64_t stream) {
  int half = std::max(1, static_cast<int>(std::bit_width(count - 1) + 1) / 2);
  uint64_t mask = (uint64_t(1) << half) - 1;
  do {
    uint64_t left = index >> half, right = index & mask;
    // Counter 0 belongs to the epoch's cut, see getStart.
    for (uint64_t round = 1; round <= 4; ++round) {
      uint64_t mixed = left ^ (philox(seed, stream, round << 48 | right)[0] & mask);
      left = right;
      right = mixed;
    }
    index = left << half | right;
  } while (index >= count);
  return index;
}

Samples::Samples(std::shared_ptr<const TokenSource> source, int64_t begin, int64_t end, int64_t sequenceLength,
                 int64_t vocabulary, Order order, uint64_t seed)
    : source(std::move(source)), begin(begin), end(end), sequenceLength(sequenceLength), vocabulary(vocabulary),
      order(order), seed(seed), numSequences((end - begin - 1) / sequenceLength),
      window(static_cast<size_t>(sequenceLength) + 1) {}

int64_t Samples::getStart(int64_t sample) const {
  int64_t epoch = sample / numSequences, index = sample % numSequences;
  if (order == Order::Sequential)
    return begin + index * sequenceLength;
  uint64_t stream = sampleOrderStream + static_cast<uint64_t>(epoch);
  // The tokens that are left over go before the first sequence and after the last, in another way each epoch.
  int64_t leftOver = end - begin - 1 - numSequences * sequenceLength;
  int64_t cut = philox(seed, stream, 0)[0] % (leftOver + 1);
  auto place = static_cast<int64_t>(
      permute(static_cast<uint64_t>(index), static_cast<uint64_t>(numSequences), seed, stream));
  return begin + cut + place * sequenceLength;
}

Error Samples::read(int64_t sample, std::span<int32_t> tokens, std::span<int32_t> labels) {
  int64_t start = getStart(sample);
  source->read(start, window);
  for (size_t i = 0; i < window.size(); ++i)
    if (window[i] < 0 || window[i] >= vocabulary)
      return Error::failure(fmt::format("the token at position {} of the data is {}, outside the vocabulary of {}",
                                        start + static_cast<int64_t>(i), window[i], vocabulary));
  std::copy(window.begin(), window.end() - 1, tokens.begin());
  std::copy(window.begin() + 1, window.end(), labels.begin());
  return Error::success();
}
