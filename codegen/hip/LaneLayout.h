//===- LaneLayout.h - Which lane holds which elements of a tile --*- C++ -*-===//
//
// A tile is spread over the lanes of all waves of a workgroup. Number their lanes through, wave by wave: lane t holds,
// in register r, the element at
//
//   registers[r] + sum of threads[b] over the bits b that are set in t
//
// A bit that adds nothing means that lanes which differ in it hold copies. Positions beyond the tile's shape are padding
// of no meaning. This is the only description of layouts; loads, stores, reductions, broadcasts, conversions and dots
// follow from it.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/kernel/KernelDialect.h"

#include "mlir/IR/BuiltinTypes.h"

#include <array>

namespace primus::codegen {

/// Row and column; the elements of a rank-1 tile are columns of row 0.
using TilePosition = std::array<int64_t, 2>;

inline constexpr int64_t kWaveBits = 6, kWaveLanes = 64;

/// What layouts depend on beside a tile's shape.
struct KernelShape {
  /// Waves along rows and along columns. The wave's number counts them row by row.
  std::array<int64_t, 2> waves{1, 1};
  /// Tiles of whole 32x32 blocks lie as MFMA leaves its results.
  bool hasDots = false;
  /// Most elements that neighbour each other in a lane: as many as one access of 16 bytes moves.
  int64_t neighbours = 4;

  static KernelShape of(kernel::FuncOp kernel);
  int64_t getThreads() const { return kWaveLanes * waves[0] * waves[1]; }
  unsigned getThreadBits() const;
};

struct LaneLayout {
  /// One entry per bit: six of the lane, then those of the wave's number.
  llvm::SmallVector<TilePosition> threads;
  llvm::SmallVector<TilePosition> registers;
  /// Registers are held in vectors of that many.
  int64_t partSize = 1;

  /// The layout of every tile of that shape (rank 1 or 2) in a kernel:
  /// - [32 a, 32 b] beside dots: as MFMA 32x32 leaves the transpose of its result, which is what it computes from
  ///   exchanged operands. Bits 0 to 4 of the lane are the row, bit 5 adds 4 to the column, and register r of a block is
  ///   column 8 (r / 4) + r % 4. (Source: AMD Matrix Instruction Calculator, `-a cdna3 -i v_mfma_f32_32x32x8_bf16
  ///   --detail-instruction`: D i = 8 floor(GPR / 4) + 4 floor(lane / 32) + GPR % 4, D j = lane % 32.) A part is a
  ///   block. Waves hold contiguous shares of the blocks; where these cannot be divided among them, copies.
  /// - [32 a, 1] and [1, 32 b] beside dots: a column or row of that, so that statistics and biases combine with it in
  ///   place.
  /// - anything else: neighbours along the columns (along the rows of a single column) in a lane, then lanes along
  ///   the columns and then the rows, then waves, then further registers. A part is a run of neighbours.
  static LaneLayout get(llvm::ArrayRef<int64_t> shape, const KernelShape &kernel);
  static LaneLayout get(mlir::RankedTensorType type, const KernelShape &kernel) { return get(type.getShape(), kernel); }

  /// This layout with a coordinate collapsed to its first element, and without the registers that this makes equal.
  LaneLayout project(unsigned coordinate) const;
  /// Rows and columns of the box that the layout covers.
  TilePosition getExtent() const;
  TilePosition getPosition(int64_t thread, int64_t number) const;
  int64_t getParts() const { return static_cast<int64_t>(registers.size()) / partSize; }
  /// Bits of a thread's number that add nothing.
  int64_t getCopyBits() const;
  bool operator==(const LaneLayout &) const = default;
};

/// Coordinate (0: row, 1: column) of a tile's dimension.
inline unsigned getCoordinate(int64_t rank, int64_t dim) { return 2 - rank + dim; }

} // namespace primus::codegen
