//===- Program.h - The programs that call layers -----------------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"

namespace primus {

inline constexpr llvm::StringLiteral kForwardProgram = "forward";
inline constexpr llvm::StringLiteral kTrainStepProgram = "train_step";
inline constexpr llvm::StringLiteral kGradientsProgram = "gradients";

/// On a variable of role optimizer that is no parameter's, and on arguments and results of layers: what each rank has of it.
inline constexpr llvm::StringLiteral kSharingAttr = "graph.sharing";
/// The same as all others.
inline constexpr llvm::StringLiteral kSharedWhole = "whole";
/// A value of its own; the variable's is the largest of them, element by element.
inline constexpr llvm::StringLiteral kSharedAsMaximum = "maximum";

/// One layer of the forward program.
struct LayerCall {
  graph::CallOp call;
  mlir::func::FuncOp forward;
};

/// The program @forward: loads, calls of the parts `unshard` and `forward`, and the two results `loss_sum` and
/// `valid_tokens`.
struct ForwardProgram {
  mlir::func::FuncOp function;
  /// Calls of forward functions, in order.
  llvm::SmallVector<LayerCall> layers;
  /// The one that computes the loss, and which of its results are the sum of the losses and the number of valid tokens.
  graph::CallOp loss;
  mlir::func::FuncOp lossForward;
  unsigned lossResult = 0, validResult = 0;

  /// Reads the program of a module, with located errors.
  static mlir::FailureOr<ForwardProgram> get(mlir::ModuleOp module);
};

/// The variable behind a parameter or constant of a layer's call: loaded as it is, or through a part `unshard`, each of
/// whose results is one of its arguments in another precision or layout. Null for other values.
graph::VariableOp findVariable(mlir::Value operand, mlir::SymbolTableCollection &symbols);

} // namespace primus
