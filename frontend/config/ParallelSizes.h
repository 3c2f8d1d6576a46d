//===- ParallelSizes.h - How many ranks share what ---------------*- C++ -*-===//

#pragma once

#include "frontend/config/Flavour.h"

#include <optional>

namespace primus::config {

/// A parallel size as its keys say it.
struct ParallelSize {
  /// At least 1.
  Setting<int64_t> size;
  /// Where it was said (-1), or is the rule, that the ranks that are left come on top: `size` is multiplied by them.
  std::optional<Origin> rest = std::nullopt;
};

/// The sizes of an experiment. At most one has a `rest`.
struct ParallelSizes {
  ParallelSize tensor, pipeline, context, expert;
  /// Data ranks: `replicate` groups of `shard` ranks, which share state as parallelism.zero_stage says.
  ParallelSize replicate, shard;
};

/// Sets the sizes of `parallelism` and the world size: that of --ranks, or else the smallest that the sizes need. An error
/// where they do not multiply to it. Gives the sizes without a `rest`.
ParallelSizes setParallelSizes(Mapping &mapping, ParallelSizes sizes);

/// For flavours that do not pad the vocabulary: sets the rows of its tables, which are as many more as it takes for tensor
/// parallel ranks to share them evenly. `tokens`: where the vocabulary came from.
void padVocabulary(Mapping &mapping, const Origin &tokens);

} // namespace primus::config
