//===- RowPass.h - One pass over a row or a block ----------------*- C++ -*-===//

#pragma once

#include "passes/kernels/RowEvaluator.h"

namespace primus::kernels {

/// What is computed in one pass: reductions over all columns, and outputs with an element per column.
struct RowPass {
  llvm::SmallVector<graph::ReduceOp> reductions;
  /// Number among the fusion's results, and value in its body.
  llvm::SmallVector<std::pair<unsigned, Value>> outputs;
};

/// The iteration space of a fusion.
struct Space {
  /// All values are one sequence of `columns` elements.
  bool flat;
  int64_t rows, columns;
};

/// A sequence of elements in blocks, one per instance. Blocks depend on the number of elements only.
struct Blocks {
  int64_t elements, size, count;
  /// Blocks are whole and consist of whole tiles, so that nothing is masked.
  bool even;
  static Blocks of(int64_t elements, int64_t width);
};

/// Columns of a tile for a kernel of that many ops: wide tiles hide the latency of loads and additions; many live values would not fit in registers.
int64_t chooseWidth(int64_t numOps, int64_t lanes);

/// Builds passes. Sums of narrow floats are formed in f32.
class PassBuilder {
public:
  PassBuilder(TileBuilder &builder, RowEvaluator &evaluator, const Space &space, int64_t lanes, int64_t width)
      : builder(builder), evaluator(evaluator), space(space), lanes(lanes), width(width) {}

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
  /// Reduces accumulators to scalars, and combines them with those of other tiles.
  void combine(const RowPass &pass, mlir::ValueRange accumulators, llvm::SmallVectorImpl<Value> &scalars);

  TileBuilder &builder;
  RowEvaluator &evaluator;
  const Space space;
  const int64_t lanes, width;
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
