//===- Signatures.h - Layouts at the border of layer functions ---*- C++ -*-===//

#pragma once

#include "passes/placement/FunctionSharder.h"
#include "passes/placement/VariableLayouts.h"

namespace primus::placement {

/// Derives from the calling convention (passes/LayerFunction.h) what is known of a layer function's values before its
/// walk: activations are as their logical dimensions say, parameters as layers take them, gradients as what they are
/// gradients of, state as it rests, residuals as they come.
class Signatures {
public:
  Signatures(mlir::ModuleOp module, const LogicalDims &dims, const VariableLayouts &variables, const Plan &plan);

  /// What is known of `callee` at its first call, whose operands have layouts; `call` is null for a function that none
  /// calls.
  mlir::FailureOr<FunctionPins> get(mlir::func::FuncOp callee, graph::CallOp call);
  /// Keeps the layouts of a function's values for those that follow it.
  void record(mlir::func::FuncOp function, NamedLayouts layouts) { named[function] = std::move(layouts); }

private:
  mlir::FailureOr<OperandClaim> getArgument(mlir::func::FuncOp callee, unsigned index, graph::CallOp call);
  mlir::FailureOr<std::optional<ResultPin>> getResult(mlir::func::FuncOp callee, unsigned index, graph::CallOp call,
                                                      FunctionPins &pins);
  mlir::LogicalResult addActivations(mlir::func::FuncOp callee, FunctionPins &pins);
  /// The layout of `graph.dims`, if that attribute exists.
  mlir::FailureOr<std::optional<Layout>> getLayout(mlir::Attribute dims, mlir::Type type, mlir::Operation *op,
                                                   const llvm::Twine &what);
  /// Argument (result) `index` of a forward function.
  mlir::FailureOr<std::optional<Layout>> getForwardArgument(mlir::func::FuncOp forward, unsigned index);
  mlir::FailureOr<std::optional<Layout>> getForwardResult(mlir::func::FuncOp forward, unsigned index);
  /// The function that `function` is or follows in the backward pass.
  mlir::func::FuncOp getForward(mlir::func::FuncOp function) const;

  const LogicalDims &dims;
  const VariableLayouts &variables;
  const Plan &plan;
  mlir::SymbolTableCollection symbols;
  llvm::DenseMap<mlir::Operation *, mlir::func::FuncOp> forwards;
  llvm::DenseMap<mlir::Operation *, NamedLayouts> named;
};

} // namespace primus::placement
