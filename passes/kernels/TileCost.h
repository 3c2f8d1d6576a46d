//===- TileCost.h - What a product costs on a GPU ----------------*- C++ -*-===//
//
// Chooses the tile of a product and the waves that share it, by predicting the time of each choice from what limits it:
// the matrix units, LDS, what a compute unit gets from the caches, latencies that too few waves leave exposed, the
// workgroups that the last round lacks, and the chip's memory. Nothing is measured; the choice depends on the product
// and the target's facts alone. The contraction is never split, so that results do not depend on the choice's grid.
// Waves multiply blocks of 32 rows and columns: instructions for blocks of 16 do as much per cycle, and products so thin
// that half of a block of 32 is wasted wait for memory, not for the matrix units.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/kernel/TargetTraits.h"

#include "mlir/IR/Types.h"

#include <optional>

namespace primus::kernels {

struct MatmulSize {
  int64_t batch, m, n, k;
  mlir::Type element;
  /// Bytes that are written and, beside the operands, read per element of the result.
  int64_t epilogueBytes;
  /// What follows the product takes many registers: functions that are computed in many steps.
  bool hasLongEpilogue = false;
  /// Stages have so many bytes of a line, and sums of their own beside those of all; 0: neither.
  int64_t bytesOfSums = 0;
  /// Columns of a tile divide this; 0: any number.
  int64_t mostColumns = 0;
  /// Columns of a tile; 0: any number.
  int64_t exactColumns = 0;
};

struct MatmulTile {
  int64_t rows, columns;
  /// Along rows and along columns.
  std::array<int64_t, 2> waves;
};

struct TilePrediction {
  double seconds;
  /// What takes the most time: matrix, lds, cache, latency or memory.
  llvm::StringLiteral bound;
};

/// Nothing for a tile that does not fit into LDS or registers, or whose waves have no power of two, from 32 on, of its
/// rows and columns.
std::optional<TilePrediction> predictMatmul(const MatmulSize &size, const MatmulTile &tile,
                                            const kernel::TargetTraits &traits);

/// The tile of least predicted time, or the one that the target's table states for the product.
MatmulTile chooseMatmulTile(const MatmulSize &size, const kernel::TargetTraits &traits);

} // namespace primus::kernels
