//===- FunctionSharder.h - Layouts of one function's values ------*- C++ -*-===//
//
// One walk forward, no fixed point: each op's operands have layouts when it is reached, its sharding rule and the pins
// say which axes split it, and operands that disagree get a graph.reshard.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/placement/FactorAssignment.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

namespace primus::placement {

/// Layouts by the names of values (their NameLoc), each with the shape that it is for.
using NamedLayouts = llvm::StringMap<std::pair<Layout, llvm::SmallVector<int64_t>>>;

/// What is known of a function's values before the walk.
struct FunctionPins {
  llvm::SmallVector<OperandClaim> arguments;
  /// Per result; a result without pin is as the walk leaves it.
  llvm::SmallVector<std::optional<ResultPin>> results;
  /// Results that are sums, of gradients or squares: their pins also hold for what is added up.
  llvm::SmallVector<unsigned> sums;
  /// Of activations.
  NamedLayouts activations;
  /// Of the forward function's values, for a backward function: the gradient of `x` is called `x.grad`, and takes x's
  /// layout where it has been summed.
  const NamedLayouts *primals = nullptr;
};

/// Gives a value its layout; the data of a constant stays.
void setLayout(mlir::Value value, const Layout &layout);
/// True for a constant whose elements are all 0.0: the one that is the same in each layout, pending sums included.
bool isZero(mlir::Operation *op);
/// A reshard of `value` just before the builder's insertion point; `reason` says what for (attribute graph.reason).
mlir::Value buildReshard(mlir::OpBuilder &builder, mlir::Value value, const Layout &layout, llvm::StringRef reason);

class FunctionSharder {
public:
  FunctionSharder(mlir::func::FuncOp function, graph::MeshAttr mesh, FunctionPins pins)
      : function(function), mesh(mesh), pins(std::move(pins)) {}

  /// Gives all values of the function, and the function itself, their layouts.
  mlir::LogicalResult run();
  /// After run(): the layouts of named values that have a shape of their own.
  NamedLayouts getNamedLayouts();

private:
  void pinResults();
  /// Finds what is collected for results that are the largest of what ranks have.
  void findMaxima();
  /// Gives an op its layouts if it collects such values: none is moved for them.
  bool visitMaximum(mlir::Operation *op);
  mlir::LogicalResult visit(mlir::Operation *op);
  mlir::LogicalResult finish(mlir::Operation *terminator);
  OperandClaim getClaim(mlir::Value value) const;
  std::optional<Layout> findPrimal(mlir::Value value) const;
  std::string getReason(mlir::Value value, bool isPinned);
  mlir::LogicalResult reportConflict(mlir::Operation *op, const Conflict &conflict);
  /// `value` in another layout, for `user`.
  mlir::Value convert(mlir::Value value, const Layout &layout, mlir::Operation *user, llvm::StringRef reason);
  /// A constant or broadcast made anew in the layout that is wanted, or null if it cannot be.
  mlir::Value rebuild(mlir::Value value, const Layout &layout, mlir::Operation *user);
  /// Changes the layout of `value` behind its definition, for all its users.
  void convertResult(mlir::Value value, const Layout &layout, llvm::StringRef reason);

  mlir::func::FuncOp function;
  graph::MeshAttr mesh;
  FunctionPins pins;
  llvm::DenseMap<mlir::Value, ResultPin> pinned;
  llvm::DenseMap<mlir::Value, Layout> maxima;
  /// Arguments, and values made of nothing but parameters, with claims other than that of a usual value.
  llvm::DenseMap<mlir::Value, OperandClaim> claims;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<std::pair<Layout, mlir::Value>>> converted;
  /// What convertResult made of values.
  llvm::DenseMap<mlir::Value, Layout> settled;
};

} // namespace primus::placement
