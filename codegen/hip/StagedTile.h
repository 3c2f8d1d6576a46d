//===- StagedTile.h - Right operands of dots in LDS --------------*- C++ -*-===//
//
// A right operand [depth, columns] on its way from memory to matrix instructions. The lanes of all waves load it together,
// as it lies in memory, and write it to LDS, where each column is a line of chunks of 16 bytes. A chunk holds what one
// lane feeds to the matrix instructions of one step: the elements along the depth that the same lane holds of the left
// operand, whose registers are in the order of a result (LaneLayout.h):
//
//   2 bytes an element: chunk 2 g + h holds depths 16 g + 4 h + {0..3} and 16 g + 8 + 4 h + {0..3}
//   4 bytes an element: chunk 2 g + h holds depths  8 g + 4 h + {0..3}
//
// for lanes of half h of a wave. So the smallest thing that is written at once is four neighbours along the depth.
//
// Banks: chunks of a column are exchanged by an XOR with some bits of the column's number. The 8 lanes whose 16 bytes are
// read in one go (0-3 and 20-23, 4-7 and 16-19, ...) then find 8 different places modulo the 128 bytes of all banks.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/hip/LaneLayout.h"

namespace primus::codegen::hip {

struct StagedTile {
  /// Multiples of 32.
  int64_t depth, columns;
  int64_t elementBytes;
  /// Memory runs along the columns: groups of four rows are transposed between load and store.
  bool isTransposed;
  /// How the lanes hold the tile in between. Parts are runs along the dimension in which memory runs; in a transposed
  /// tile four successive ones are rows 0 to 3 of a group.
  LaneLayout source;

  static StagedTile get(llvm::ArrayRef<int64_t> shape, int64_t elementBytes, bool isTransposed,
                        const KernelShape &kernel);

  static constexpr int64_t chunkBytes = 16;
  /// Neighbours along the depth that are written at once.
  static constexpr int64_t unit = 4;

  int64_t getColumnBytes() const { return depth * elementBytes; }
  int64_t getBytes() const { return columns * getColumnBytes(); }
  /// Elements of a chunk, and along the depth of a step (two chunks).
  int64_t getChunkElements() const { return chunkBytes / elementBytes; }
  int64_t getStepDepth() const { return 2 * getChunkElements(); }

  /// A place in LDS is `bytes` + 16 `swizzled`. What the bits of depth and column contribute is combined by adding the
  /// former and XOR of the latter.
  struct Place {
    int64_t bytes = 0, swizzled = 0;
  };
  Place getPlace(int64_t atDepth, int64_t column) const;

private:
  /// Chunks are exchanged among so many.
  int64_t getExchanged() const { return getColumnBytes() / chunkBytes % 8 == 0 ? 8 : 4; }
};

} // namespace primus::codegen::hip
