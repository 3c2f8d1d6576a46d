//===- TrainedParameters.h - Who updates which parameter ---------*- C++ -*-===//

#pragma once

#include "passes/Program.h"
#include "passes/train/StepFunctions.h"

namespace primus {

/// A layer's call and the parameters that it reduces and updates.
struct OwnedParameters {
  LayerCall layer;
  /// In the order of the backward function's results; `parameters` describes `variables`.
  llvm::SmallVector<TrainedParameter> parameters;
  llvm::SmallVector<graph::VariableOp> variables;
};

/// A result of a backward function that is the gradient of a parameter, or its accumulator with the gradient added.
struct ParameterGradient {
  unsigned result;
  /// Argument of the forward function.
  unsigned parameter;
};

/// The gradients of parameters among a backward function's results.
llvm::SmallVector<ParameterGradient> getParameterGradients(mlir::func::FuncOp forward, mlir::func::FuncOp backward);

/// The function that a layer's forward function names as the one of its gradients, or null.
mlir::func::FuncOp getBackward(mlir::func::FuncOp forward, mlir::SymbolTableCollection &symbols);

/// Finds which layer reduces and updates each parameter: the first that has a gradient for it. A parameter that several
/// layers use thus counts once.
mlir::FailureOr<llvm::SmallVector<OwnedParameters>> collectParameters(const ForwardProgram &program,
                                                                      mlir::SymbolTableCollection &symbols);

/// Names of a parameter's state.
std::string getFirstMomentName(graph::VariableOp parameter);
std::string getSecondMomentName(graph::VariableOp parameter);
std::string getGradientName(graph::VariableOp parameter);

/// Declares the moments (for training) and the accumulator of each parameter, beside it, with its logical dimensions.
void addStateVariables(llvm::ArrayRef<OwnedParameters> owners, const Plan &plan);

} // namespace primus
