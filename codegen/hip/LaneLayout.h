//===- LaneLayout.h - Which lane holds which elements of a tile --*- C++ -*-===//
//
// A tile is spread over the 64 lanes of one wave: lane l holds, in register r, the element at
//
//   registers[r] + sum of lanes[b] over the bits b that are set in l
//
// A lane bit that adds nothing means that lanes which differ in it hold copies. This is the only description of
// layouts; loads, stores, reductions, broadcasts and dots follow from it.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinTypes.h"

#include <array>
#include <optional>

namespace primus::codegen {

/// Row and column; the elements of a rank-1 tile are columns of row 0.
using TilePosition = std::array<int64_t, 2>;

inline constexpr int64_t kWaveBits = 6, kWaveLanes = 64;

struct LaneLayout {
  std::array<TilePosition, kWaveBits> lanes{};
  llvm::SmallVector<TilePosition> registers;

  /// The layout of a tile of that shape, wherever no dot asks for another:
  /// - [n]: lanes side by side, each with up to four neighbours, so that memory is accessed in 4 to 16 bytes a lane.
  /// - [32 a, 32 b]: as MFMA 32x32 leaves its result. Bits 0 to 4 of the lane are the column, bit 5 adds 4 to the row,
  ///   and register r of a 32x32 block is row 8 (r / 4) + r % 4. (Source: AMD Matrix Instruction Calculator, `-a cdna3
  ///   -i v_mfma_f32_32x32x8_bf16 --detail-instruction`: D i = 8 floor(GPR / 4) + 4 floor(lane / 32) + GPR % 4, D j =
  ///   lane % 32.)
  /// - [32 a, 1] and [1, 32 b]: a column or row of that, in copies, so that statistics and biases combine with it in
  ///   place.
  /// None for any other shape.
  static std::optional<LaneLayout> get(mlir::RankedTensorType type);

  /// The left operand of successive MFMA 32x32, 32 rows of `depth` columns (the contracted dimension): bits 0 to 4 of
  /// the lane are the row, and bit 5 chooses the half of the depth. (Same source, A i = lane % 32, A k = 4 floor(lane /
  /// 32) + j. The order along k is free as long as both operands agree, so a lane holds as many neighbours as it loads
  /// at once.)
  static LaneLayout getMfmaLeft(int64_t depth);
  /// The right operand, `depth` rows of 32 columns: the same with rows and columns exchanged.
  static LaneLayout getMfmaRight(int64_t depth);

  /// This layout with dimension `dim` collapsed to its first element, and without the registers that this makes equal.
  LaneLayout project(unsigned dim) const;
  bool operator==(const LaneLayout &) const = default;
};

/// Coordinate (0: row, 1: column) of a tile's dimension.
inline unsigned getCoordinate(int64_t rank, int64_t dim) { return 2 - rank + dim; }

} // namespace primus::codegen
