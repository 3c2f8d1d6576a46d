//===- MatmulEpilogue.h - What a product's kernel computes from its result -===//

#pragma once

#include "passes/kernels/MatmulProblem.h"
#include "passes/kernels/TileBuilder.h"

namespace primus::kernels {

/// How a value of the epilogue relates to the product's result [batch, m, n].
enum class EpilogueKind { Full, Row, Column, Scalar };

/// Whether an epilogue can compute the outputs of a candidate; if not, `reason` says why.
bool isEpilogue(const Candidate &candidate, const MatmulProblem &problem, std::string &reason);

/// Computes epilogue values for one block.
class Epilogue {
public:
  Epilogue(TileBuilder &builder, const MatmulProblem &problem, int64_t rows, int64_t columns)
      : builder(builder), problem(problem), rows(rows), columns(columns) {}

  /// States the block at hand and the product's value there.
  void setBlock(Value batch, Value row, Value column, Value product) {
    this->batch = batch;
    this->row = row;
    this->column = column;
    memo[{problem.result, unsigned(EpilogueKind::Full)}] = product;
  }
  /// Stores outputs, which have an element for each of the result's.
  void store(llvm::ArrayRef<Value> outputs);
  /// Whether an input is read at the result's own elements only.
  bool isReadInPlace(unsigned input) const { return kinds.lookup(input) == (1u << unsigned(EpilogueKind::Full)); }

private:
  Value evaluate(Value value, EpilogueKind kind);
  Value load(mlir::BlockArgument argument, EpilogueKind kind);
  llvm::SmallVector<int64_t> getShape(EpilogueKind kind) const;

  TileBuilder &builder;
  const MatmulProblem &problem;
  int64_t rows, columns;
  Value batch, row, column;
  llvm::DenseMap<std::pair<Value, unsigned>, Value> memo;
  /// Per input: a bit per kind in which it is read.
  llvm::DenseMap<unsigned, unsigned> kinds;
};

} // namespace primus::kernels
