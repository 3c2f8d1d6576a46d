//===- RowBlocks.h - Blocks of rows with a scale each ------------*- C++ -*-===//
//
// Quantisation by blocks of what is computed row by row: rows [rows, columns] are seen as [rows, columns / block, block], of which the last
// dimension is reduced, and what follows has an element for each block or again for each column. It is computed in the last pass over a row,
// by tiles [blocks, block].
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/RowPass.h"

namespace primus::kernels {

/// Whether a maximum is over blocks of rows with so many columns.
bool isOverBlocks(graph::ReduceOp op, int64_t columns);

/// The values that follow from maxima over blocks.
llvm::DenseSet<Value> findValuesOfBlocks(llvm::ArrayRef<mlir::Operation *> ops, int64_t columns);

/// Says whether values can be computed by tiles of blocks.
class RowBlockChecker {
public:
  /// `rows` checks what has one value a row.
  RowBlockChecker(const llvm::SmallPtrSetImpl<mlir::Operation *> &ops, const Space &space, RowChecker &rows, std::string &reason)
      : ops(ops), space(space), rows(rows), reason(reason) {}

  /// A value with an element for each block or for each column of all rows.
  bool check(Value value);

private:
  bool fail(const llvm::Twine &why) {
    reason = why.str();
    return false;
  }
  bool checkOperand(graph::BroadcastOp op);

  const llvm::SmallPtrSetImpl<mlir::Operation *> &ops;
  const Space &space;
  RowChecker &rows;
  std::string &reason;
  llvm::DenseSet<Value> known;
};

} // namespace primus::kernels
