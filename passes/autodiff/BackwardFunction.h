//===- BackwardFunction.h - The function of a layer's gradients --*- C++ -*-===//

#pragma once

#include "passes/LayerFunction.h"
#include "passes/Residuals.h"
#include "passes/autodiff/ReverseWalk.h"

#include "mlir/IR/IRMapping.h"

namespace primus {

/// Builds the function of one layer's gradients: one of the build functions, then changes of the residuals, then
/// finish(). `accumulates`: gradients of parameters are added to accumulators, else they are results of their own.
class BackwardBuilder {
public:
  BackwardBuilder(mlir::func::FuncOp forward, llvm::StringRef name, llvm::StringRef part, bool accumulates);

  /// A layer between others: cotangents of its results come in.
  mlir::LogicalResult buildBackward();
  /// The layer of the loss, its results `loss` and `valid` included, as scalars: they may be one sum per group, whose
  /// means then count alike where the mean is one of means.
  mlir::LogicalResult buildForwardBackward(unsigned loss, unsigned valid, bool perMicrobatchMean);

  /// The copy of the forward computation that the function starts with, to hand over residuals in its place.
  ForwardCopy &getCopy() { return copy; }
  /// Drops what no gradient uses, marks the accumulators' results and links the function to the forward function; a
  /// layer without gradients gets no function.
  void finish();

private:
  void addArgument(mlir::Type type, llvm::StringRef name, ArgKind kind, unsigned of, mlir::Location loc);
  void addResult(mlir::Value value, llvm::ArrayRef<mlir::NamedAttribute> attributes);
  void copyForward();
  /// Arguments for the accumulators and results for all gradients, after seeding.
  mlir::LogicalResult addGradients(ReverseWalk &walk);

  mlir::func::FuncOp forward, backward;
  bool accumulates;
  mlir::Block *body;
  mlir::OpBuilder builder;
  ForwardCopy copy;
  mlir::IRMapping mapping;
  /// Copies of the forward function's results.
  llvm::SmallVector<mlir::Value> forwardResults;
  llvm::SmallVector<mlir::Value> results;
  llvm::SmallVector<mlir::Attribute> resultAttrs;
  /// Accumulators by result.
  llvm::SmallVector<std::pair<unsigned, mlir::BlockArgument>> accumulators;
};

} // namespace primus
