//===- ProgramSharder.h - Layouts of a program's values ----------*- C++ -*-===//

#pragma once

#include "passes/placement/Signatures.h"

namespace primus::placement {

/// Walks programs. A layer function is visited at its first call; later calls get their operands in its layouts.
class ProgramSharder {
public:
  ProgramSharder(mlir::ModuleOp module, graph::MeshAttr mesh, const Plan &plan, const LogicalDims &dims,
                 VariableLayouts &variables)
      : mesh(mesh), dims(dims), variables(variables), signatures(module, dims, variables, plan) {}

  mlir::LogicalResult visitProgram(mlir::func::FuncOp program);
  /// Visits a layer function; `call` is its first call, or null if there is none.
  mlir::LogicalResult visitLayer(mlir::func::FuncOp function, graph::CallOp call);
  bool isVisited(mlir::func::FuncOp function) const { return visited.contains(function); }
  /// After all programs: what is stored to accumulators before their layouts are known.
  void finishStores();

private:
  mlir::LogicalResult visitBlock(mlir::Block &block);
  mlir::LogicalResult visit(mlir::Operation *op);
  mlir::LogicalResult visitCall(graph::CallOp call);
  mlir::LogicalResult visitSchedule(graph::ScheduleOp schedule);
  void visitLoad(graph::LoadOp load);
  void visitStore(graph::StoreOp store);
  mlir::LogicalResult visitReturn(mlir::func::FuncOp program, mlir::Operation *terminator);
  /// The layout by an argument's (result's) logical dimensions.
  mlir::FailureOr<Layout> getLayout(mlir::func::FuncOp program, mlir::Attribute dims, mlir::Type type,
                                    const llvm::Twine &name);
  /// `value` in another layout, made behind its definition, once for all its users.
  mlir::Value convert(mlir::Value value, const Layout &layout, const llvm::Twine &reason);

  graph::MeshAttr mesh;
  const LogicalDims &dims;
  VariableLayouts &variables;
  Signatures signatures;
  mlir::SymbolTableCollection symbols;
  llvm::DenseSet<mlir::Operation *> visited;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<std::pair<Layout, mlir::Value>>> converted;
  llvm::SmallVector<graph::StoreOp> pendingStores;
};

} // namespace primus::placement
