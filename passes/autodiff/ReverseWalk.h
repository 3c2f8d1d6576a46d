//===- ReverseWalk.h - Reverse-mode differentiation --------------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace primus {

/// Replaces the ops of a function that have no derivative of their own by their definitions, again and again. Ops that
/// have neither stay.
void decomposeForGradient(mlir::func::FuncOp function);

/// Builds the gradients of straight-line code by walking it backwards.
///
/// Contributions to one value's gradient are summed: in f32 if any of them is f32, else in the value's type.
class ReverseWalk {
public:
  /// Gradients are built at the end of `block`; only those on a path to one of `sources` are.
  ReverseWalk(mlir::Block *block, mlir::ValueRange sources);

  /// Adds a contribution to the gradient of `value`: of its shape, in its element type or f32.
  void contribute(mlir::Value value, mlir::Value gradient);

  /// Visits `ops`, which are in order of execution, backwards.
  mlir::LogicalResult visit(llvm::ArrayRef<mlir::Operation *> ops);

  /// The sum of the contributions to `value`'s gradient in the given element type, or null if there is none.
  mlir::Value getGradient(mlir::Value value, mlir::Type element);

private:
  /// Contributions that were not summed yet. Those in f32 are summed as they come, so that few are alive.
  struct Contributions {
    mlir::Value wide;
    llvm::SmallVector<mlir::Value, 2> narrow;
  };

  mlir::LogicalResult visit(mlir::Operation *op);
  bool isActive(mlir::Operation *op) const;
  mlir::Value add(mlir::Location loc, mlir::Value lhs, mlir::Value rhs);

  mlir::OpBuilder builder;
  llvm::DenseSet<mlir::Value> sources;
  llvm::DenseSet<mlir::Value> active;
  llvm::DenseMap<mlir::Value, Contributions> gradients;
};

} // namespace primus
