//===- BlockSpace.h - Elements that share scales ------------------*- C++ -*-===//
//
// The elements of a fusion of the family "blocks" are a matrix. Its values are in one of two orders: that of the matrix, or that of its
// transpose. In either, blocks of neighbours share a scale; or squares of the matrix do.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/KernelFamily.h"

#include "llvm/ADT/SmallPtrSet.h"

#include <set>

namespace primus::kernels {

using mlir::Value;

/// In which order a value has the matrix' elements: line by line, or column by column.
enum class Order { Plain, Turned };

/// How a value relates to the elements: one for each, for each block, for each square, or for all.
enum class BlockKind { Full, Block, Square, Scalar };

struct BlockSpace {
  int64_t lines = 0, columns = 0;
  /// Elements of a line that share a scale in the plain order, and elements of a column that do in the other one; 0: none do.
  int64_t inLine = 0, inColumn = 0;
  /// Squares (of `inColumn` lines and `inLine` columns) share one, and the plain order is the only one.
  bool hasSquares = false;
  /// Ops that follow from the transpose, and the transpose.
  llvm::SmallPtrSet<mlir::Operation *, 16> turned;

  /// Says of what elements a candidate computes, or, in `reason`, why the family does not.
  static std::optional<BlockSpace> find(const Candidate &candidate, std::string &reason);

  int64_t getBlock(Order order) const { return order == Order::Plain ? inLine : inColumn; }
  /// Lengths of what lies side by side in memory.
  int64_t getWidth(Order order) const { return order == Order::Plain ? columns : lines; }
  int64_t count(BlockKind kind, Order order) const;
  Order getOrder(Value value) const { return turned.contains(value.getDefiningOp()) ? Order::Turned : Order::Plain; }
  /// The kind of a value of that order by how many elements it has.
  BlockKind getKind(Value value) const;
  /// For a broadcast to `kind`, the kind of its operand; nothing if it repeats anything else than blocks, squares or a scalar.
  std::optional<BlockKind> getSourceKind(graph::BroadcastOp op, BlockKind kind, Order order) const;

private:
  class Checker;
  bool addTranspose(graph::TransposeOp op);
  bool addReduction(graph::ReduceOp op);
};

/// Whether a maximum is over squares of a matrix: [lines / a, a, columns / b, b] over its second and last dimensions, with sides
/// that the family takes and several squares.
bool isOverSquares(graph::ReduceOp op);

} // namespace primus::kernels
