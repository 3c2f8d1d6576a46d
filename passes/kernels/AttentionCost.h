//===- AttentionCost.h - What attention costs on a GPU -----------*- C++ -*-===//
//
// Chooses the block of scores of attention (forward) and the waves that share it, by predicting the time of each choice
// from what limits it: the matrix units, the vector units that turn scores into weights, LDS, what a compute unit gets
// from the caches, latencies that too few waves leave exposed, the workgroups that the last round lacks, and the chip's
// memory. Nothing is measured; the choice depends on the problem and the target's facts alone.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/TileCost.h"

namespace primus::kernels {

struct AttentionSize {
  int64_t batch, heads, tokens, keys, headSize;
  mlir::Type element;
  /// The share of the scores that the mask lets through, from 0 to 1.
  double visible = 1;
  /// A mask by positions takes registers.
  bool hasPositions = false;
};

/// Each wave has 32 rows.
struct AttentionTile {
  int64_t columns, waves;

  static constexpr int64_t waveRows = 32;
  int64_t getRows() const { return waves * waveRows; }
};

/// Nothing for a tile that does not fit into LDS or registers.
std::optional<TilePrediction> predictAttention(const AttentionSize &size, const AttentionTile &tile,
                                               const kernel::TargetTraits &traits);

/// The tile of least predicted time; the narrowest with most waves if all are too large.
AttentionTile chooseAttentionTile(const AttentionSize &size, const kernel::TargetTraits &traits);

} // namespace primus::kernels
