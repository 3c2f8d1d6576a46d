//===- Samples.h - Sequences to train and evaluate on ---------------------===//

#ifndef PRIMUS_RUNTIME_DATA_SAMPLES_H
#define PRIMUS_RUNTIME_DATA_SAMPLES_H

#include "runtime/data/TokenSource.h"

#include <memory>
#include <optional>
#include <vector>

namespace primus::runtime {

/// A part of a token source, cut into sequences. Sample number i is a function of (seed, i) only, whatever the layout.
class Samples {
public:
  enum class Order {
    Shuffled,   ///< every epoch visits each sequence once, in another order and with other cuts
    Sequential, ///< from the start, again and again
  };

  /// Tokens [begin, end) of a source. The range must hold one sequence and the token after it.
  Samples(std::shared_ptr<const TokenSource> source, int64_t begin, int64_t end, int64_t sequenceLength,
          int64_t vocabulary, Order order, uint64_t seed);

  /// Writes the tokens of a sample, and for each the token after it. Fails on a token outside the vocabulary. Allocates
  /// nothing.
  Error read(int64_t sample, std::span<int32_t> tokens, std::span<int32_t> labels);

  /// The position in the source at which a sample starts.
  int64_t getStart(int64_t sample) const;

  /// Different sequences before one comes again.
  int64_t getNumSequences() const { return numSequences; }
  int64_t getBegin() const { return begin; }
  int64_t getEnd() const { return end; }
  const TokenSource &getSource() const { return *source; }

private:
  std::shared_ptr<const TokenSource> source;
  int64_t begin;
  int64_t end;
  int64_t sequenceLength;
  int64_t vocabulary;
  Order order;
  uint64_t seed;
  int64_t numSequences;
  std::vector<int32_t> window;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DATA_SAMPLES_H
