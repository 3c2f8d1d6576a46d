//===- PartialResults.h - Reductions that a second launch ends ---*- C++ -*-===//
//
// Where several instances share a reduction, each stores what it has to a temporary of the fusion, and a second kernel combines these and
// computes what follows from the totals. Partial results are [blocks, columns], or [blocks] of a scalar.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/RowPass.h"

namespace primus::kernels {

/// One reduction's partial results.
struct PartialResult {
  graph::ReduceOp reduction;
  /// Number and type of the temporary.
  unsigned temporary;
  mlir::MemRefType type;

  /// The temporary, seen under another shape.
  Value getView(TileBuilder &builder, llvm::ArrayRef<int64_t> shape) const {
    return builder.temporary(temporary, mlir::MemRefType::get(shape, type.getElementType()));
  }
};

/// How a row of totals is cut into tiles of `width`, one an instance.
struct TotalTiles {
  int64_t columns, width;
  static TotalTiles of(int64_t columns, llvm::ArrayRef<mlir::Operation *> ops, const kernel::TargetTraits &traits);
  int64_t getCount() const { return llvm::divideCeil(columns, width); }
  bool isInbounds() const { return columns % width == 0; }
};

/// The totals from `column` on, one tile a reduction, block by block.
llvm::SmallVector<Value> combineColumns(TileBuilder &builder, llvm::ArrayRef<PartialResult> partials, Value column, const TotalTiles &tiles,
                                        const kernel::TargetTraits &traits);

/// The totals of scalars.
llvm::SmallVector<Value> combineScalars(TileBuilder &builder, llvm::ArrayRef<PartialResult> partials, const kernel::TargetTraits &traits);

/// Computes `outputs` (number among the fusion's results, value in its body) from totals at `position`, a tile or a scalar of `elements`, and
/// stores them.
void storeFromTotals(TileBuilder &builder, RowEvaluator &evaluator, llvm::ArrayRef<graph::ReduceOp> reductions, mlir::ValueRange totals,
                     llvm::ArrayRef<std::pair<unsigned, Value>> outputs, const Position &position, int64_t elements);

/// Adds the temporary of a reduction in so many parts to the fusion's.
PartialResult addPartialResult(LoweredFusion &lowered, graph::ReduceOp reduce, int64_t parts);

/// Whether `output` can be computed from results of `reductions` that have as many elements, by those of the candidate's `ops` that work on
/// single elements. If not, `reason` says why.
bool followsFromTotals(Value output, llvm::ArrayRef<graph::ReduceOp> reductions, llvm::ArrayRef<mlir::Operation *> ops, std::string &reason);

/// Adds the kernels that combine partial results of any number of columns and store `outputs`, each of which follows from the totals.
void combinePartialResults(graph::FusionOp fusion, mlir::OpBuilder &builder, llvm::StringRef name, const kernel::TargetTraits &traits,
                           llvm::ArrayRef<PartialResult> partials, llvm::ArrayRef<std::pair<unsigned, Value>> outputs, LoweredFusion &lowered);

} // namespace primus::kernels
