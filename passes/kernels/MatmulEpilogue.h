//===- MatmulEpilogue.h - What a product's kernel computes from its result -===//
//
// Values with an element for each of the result's, computed in the registers that hold its tile, and the largest of such values in rows, in
// columns or in all. Of these, each instance leaves what its tile has in a temporary, and further launches combine the tiles' and
// compute what follows. The largest of a row's block of columns, if the tile has just these, are there at once for what they scale.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/MatmulProblem.h"
#include "passes/kernels/PartialResults.h"

#include <array>

namespace primus::kernels {

/// How a value of the epilogue relates to the product's result [batch, m, n]: an element for each of its elements, its rows (of all batches),
/// its columns, blocks of its rows, or one.
enum class EpilogueKind { Full, Row, Column, Block, Scalar };

/// What an epilogue computes.
struct EpiloguePlan {
  /// Number among the fusion's results, and value in its body.
  using Output = std::pair<unsigned, Value>;
  /// Of kind Full, and of kind Block.
  llvm::SmallVector<Output> outputs, blockOutputs;
  /// Columns of a block, which those of the tile have to be; 0: there are none.
  int64_t block = 0;
  /// Reductions of values of kind Full, and what follows from them.
  struct Totals {
    EpilogueKind kind;
    llvm::SmallVector<graph::ReduceOp> reductions;
    /// What each of them reduces, perhaps by way of another reduction.
    llvm::SmallVector<Value> operands;
    llvm::SmallVector<Output> outputs;
  };
  std::array<Totals, 3> totals{Totals{EpilogueKind::Row}, Totals{EpilogueKind::Column}, Totals{EpilogueKind::Scalar}};

  /// Nothing where the candidate needs more than an epilogue can do; `reason` says what.
  static std::optional<EpiloguePlan> of(const Candidate &candidate, const MatmulProblem &problem, std::string &reason);
};

/// The kind in which a broadcast's operand is needed for its result in `kind`, or std::nullopt.
std::optional<EpilogueKind> getSourceKind(graph::BroadcastOp op, EpilogueKind kind, const MatmulProblem &problem);

/// What `value` is the magnitude of, or null.
Value getSigned(Value value);

/// A block of the result: its numbers in the grid [batch, panels, rows of blocks], and its first row and column.
struct BlockPlace {
  Value batch, panel, block, row, column;
};

/// Builds the epilogue of one block.
class Epilogue {
public:
  Epilogue(TileBuilder &builder, const MatmulProblem &problem, const EpiloguePlan &plan, int64_t rows, int64_t columns)
      : builder(builder), problem(problem), plan(plan), rows(rows), columns(columns) {}

  /// States the block at hand, and the product's value there.
  void setBlock(const BlockPlace &place, Value product) {
    at = place;
    memo[{problem.result, unsigned(EpilogueKind::Full)}] = product;
  }
  /// Stores outputs and, in temporaries that are added to `lowered`, the block's part of reductions.
  void store(LoweredFusion &lowered);
  /// Adds the launches that combine the blocks' parts, after that of the blocks.
  void addTotals(graph::FusionOp fusion, mlir::OpBuilder &moduleBuilder, llvm::StringRef name, const kernel::TargetTraits &traits,
                 LoweredFusion &lowered);
  /// Whether an input is read at the result's own elements only.
  bool isReadInPlace(unsigned input) const { return kinds.lookup(input) == (1u << unsigned(EpilogueKind::Full)); }

private:
  Value evaluate(Value value, EpilogueKind kind);
  Value load(mlir::BlockArgument argument, EpilogueKind kind);
  llvm::SmallVector<int64_t> getShape(EpilogueKind kind) const;
  /// A reduction's operand as it is reduced: magnitudes as their bits.
  Value evaluateReduced(Value operand);
  /// `tile`, of which what lies beyond the result changes nothing in a reduction that has a value of `kind`.
  Value neutraliseOutside(Value tile, kernel::ReduceKind reduce, EpilogueKind kind);
  /// Stores the block's part of a reduction, [rows, 1] or [1, columns], in a new temporary.
  PartialResult storePart(Value tile, graph::ReduceOp reduction, EpilogueKind kind, LoweredFusion &lowered);
  bool hasWholeRows() const { return problem.m % rows == 0; }
  bool hasWholeColumns() const { return problem.n % columns == 0; }

  TileBuilder &builder;
  const MatmulProblem &problem;
  const EpiloguePlan &plan;
  int64_t rows, columns;
  BlockPlace at;
  llvm::DenseMap<std::pair<Value, unsigned>, Value> memo;
  /// Per input: a bit per kind in which it is read.
  llvm::DenseMap<unsigned, unsigned> kinds;
  /// Of each of the plan's totals.
  std::array<llvm::SmallVector<PartialResult>, 3> partials;
};

} // namespace primus::kernels
