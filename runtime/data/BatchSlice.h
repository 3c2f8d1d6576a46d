//===- BatchSlice.h - The part of a batch that a rank reads ---------------===//

#ifndef PRIMUS_RUNTIME_DATA_BATCHSLICE_H
#define PRIMUS_RUNTIME_DATA_BATCHSLICE_H

#include "runtime/data/Samples.h"
#include "runtime/support/TensorRegion.h"

namespace primus::runtime {

/// A rank's part of batches of tokens and labels [..., sequence]: whole sequences, counted row-major, or positions of
/// them. Which sample a sequence is depends on its number only, whatever the layout.
class BatchSlice {
public:
  BatchSlice() = default;
  /// `shape` is the whole batch's. `sequenceRanks` is the number of ranks that share a sequence: its tokens are stored in
  /// the order that getContextPosition (runtime/init) says, of which the region is a part.
  BatchSlice(std::vector<int64_t> shape, TensorRegion region, int64_t sequenceRanks);

  /// Reads the samples from number `first` on, those from `end` on without labels: nothing is predicted there. Allocates
  /// nothing.
  Error read(Samples &samples, int64_t first, int64_t end = INT64_MAX);

  /// Sequences of the whole batch.
  int64_t getNumSequences() const { return numSequences; }
  /// Tokens of the whole batch.
  int64_t getNumTokens() const { return numSequences * length; }

  std::span<const int32_t> getTokens() const { return tokens; }
  std::span<const int32_t> getLabels() const { return labels; }

private:
  int64_t numSequences = 0;
  int64_t length = 0;
  std::vector<int64_t> rows;      ///< the numbers of the sequences that this rank has a part of
  std::vector<int64_t> positions; ///< of its tokens in each; empty: all of them in order
  std::vector<int32_t> tokens, labels;
  std::vector<int32_t> wholeTokens, wholeLabels; ///< of one sequence
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DATA_BATCHSLICE_H
