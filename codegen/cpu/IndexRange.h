//===- IndexRange.h - What is known of a tile's position ---------*- C++ -*-===//

#pragma once

#include "ir/kernel/KernelDialect.h"

#include "llvm/ADT/DenseMap.h"

namespace primus::codegen {

/// The values that an index can take: min <= value <= max, value a multiple of `divisor` (0: the value is 0).
struct IndexRange {
  int64_t min, max;
  int64_t divisor = 1;

  static IndexRange unknown();
  static IndexRange constant(int64_t value);
};

/// Ranges of the indices of one tile program. They decide statically which loads and stores need a mask. Unlike MLIR's integer
/// range analysis this one knows that a loop's variable stops a whole step before an upper bound that the step divides.
class IndexRanges {
public:
  IndexRange get(mlir::Value value);

private:
  IndexRange compute(mlir::Value value);
  IndexRange computeInduction(mlir::scf::ForOp loop);

  llvm::DenseMap<mlir::Value, IndexRange> known;
};

} // namespace primus::codegen
