//===- RowPass.h - One pass over a row or a block ----------------*- C++ -*-===//

#pragma once

#include "passes/kernels/RowEvaluator.h"

namespace primus::kernels {

/// What is computed in one pass: reductions over all columns, and outputs with an element per column.
struct RowPass {
  llvm::SmallVector<graph::ReduceOp> reductions;
  /// Number among the fusion's results, and value in its body.
  llvm::SmallVector<std::pair<unsigned, Value>> outputs;
  /// Outputs are computed by blocks of the row, of which they may have one element each.
  bool isOfBlocks = false;
};

/// The iteration space of a fusion.
struct Space {
  /// All values are one sequence of `columns` elements.
  bool flat;
  int64_t rows, columns;
  /// Size of the blocks of a row of which reductions are taken; 0 if there are none.
  int64_t block = 0;
};

/// How a row is cut into tiles.
struct RowTiling {
  /// Of a row that is several tiles: wide tiles hide the latency of loads and additions; many live values would not fit in registers.
  int64_t width;
  /// The longest row that is one tile, whose values the next pass still has.
  int64_t longest;
  /// Waves of a GPU that share a row.
  int64_t waves;
  int64_t lanes;
  bool isGpu;

  /// For rows of that many columns in a kernel of those ops.
  static RowTiling of(int64_t columns, llvm::ArrayRef<mlir::Operation *> ops, const kernel::TargetTraits &traits);
  Cut cut(int64_t columns, int64_t most) const {
    return isGpu ? Cut::exact(columns, most) : Cut::of(columns, most, lanes);
  }
  /// The tiles of a whole row.
  Cut cutRow(int64_t columns) const { return cut(columns, columns <= longest ? longest : width); }
  /// Tiles of whole blocks.
  Cut cutBlocks(int64_t columns, int64_t block) const { return Cut::exact(columns, std::max(width / block, int64_t(1)) * block); }
  /// Whether a tile of a row leaves waves without elements of their own, which then hold copies.
  bool leavesWaves(int64_t columns) const;
};

/// A sequence of elements in blocks, one per instance. Blocks depend on the number of elements only.
struct Blocks {
  int64_t elements, size, count;
  /// Blocks are whole and consist of whole tiles, so that nothing is masked.
  bool even;
  /// Reductions are in few blocks, since another kernel combines what each of them has.
  static Blocks of(int64_t elements, const RowTiling &tiling, bool reduces);
};

/// Builds passes. Sums of narrow floats are formed in f32.
class PassBuilder {
public:
  PassBuilder(TileBuilder &builder, RowEvaluator &evaluator, const Space &space, const RowTiling &tiling)
      : builder(builder), evaluator(evaluator), space(space), tiling(tiling) {}

  /// All columns of `row`; returns a scalar per reduction.
  llvm::SmallVector<Value> buildRow(const RowPass &pass, Value row);
  /// This instance's block of a flat space.
  llvm::SmallVector<Value> buildBlock(const RowPass &pass, const Blocks &blocks);

private:
  /// Tiles from `cut`, whose first column is at `first`.
  llvm::SmallVector<Value> buildCut(const RowPass &pass, Value row, const Cut &cut);
  /// One tile: returns the reductions' next accumulators.
  llvm::SmallVector<Value> buildTile(const RowPass &pass, const Position &position, mlir::ValueRange accumulators);
  llvm::SmallVector<Value> getNeutral(const RowPass &pass, int64_t width);
  /// Where an output is computed in the tile at `position`.
  Position getOutputPosition(Value value, Position position) const;
  /// Reduces accumulators to scalars, and combines them with those of other tiles.
  void combine(const RowPass &pass, mlir::ValueRange accumulators, llvm::SmallVectorImpl<Value> &scalars);

  TileBuilder &builder;
  RowEvaluator &evaluator;
  const Space space;
  const RowTiling tiling;
};

/// The type in which values of a type are summed.
Type getAccumulatorType(Type type);

inline kernel::ReduceKind getKind(graph::ReduceOp op) {
  return op.getKind() == graph::ReduceKind::Sum ? kernel::ReduceKind::Sum : kernel::ReduceKind::Max;
}

/// Ops of a fusion's body, without the terminator.
llvm::SmallVector<mlir::Operation *> getBodyOps(graph::FusionOp fusion);
/// What the fusion's body yields.
llvm::SmallVector<Value> getBodyOutputs(graph::FusionOp fusion);

/// Adds the pair if buffers of both would be accessed alike.
void addInplace(LoweredFusion &lowered, graph::FusionOp fusion, unsigned output, unsigned input);

} // namespace primus::kernels
