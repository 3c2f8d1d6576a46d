//===- VariableLayouts.h - Layouts of a module's variables -------*- C++ -*-===//
//
// Parameters and optimizer state are split by their logical dimensions and, with ZeRO, over the axes that share state.
// Layers see parameters without that second split: they are gathered first. Gradient accumulators are pending sums;
// over which axes is known only when the first layer that adds to them has been visited.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/placement/LogicalDims.h"

#include "llvm/ADT/DenseMap.h"

namespace primus::placement {

class VariableLayouts {
public:
  VariableLayouts(mlir::ModuleOp module, const LogicalDims &dims, const Plan &plan)
      : module(module), dims(dims), plan(plan) {}

  /// Chooses the layouts of all variables and writes them into their types, but for accumulators' pending sums.
  mlir::LogicalResult run();

  /// As the variable rests between steps.
  const Layout &getResting(graph::VariableOp variable) const { return entries.find(variable)->second.resting; }
  /// As layers take a parameter.
  const Layout &getGathered(graph::VariableOp variable) const { return entries.find(variable)->second.gathered; }
  /// The parameter that an accumulator belongs to.
  graph::VariableOp getParameter(graph::VariableOp accumulator) const;

  /// True for an accumulator whose pending sums are not known yet.
  bool isOpen(graph::VariableOp variable) const { return entries.find(variable)->second.open; }
  /// Gives an open accumulator its layout, and the values that wait for it.
  void settle(graph::VariableOp variable, const Layout &layout);
  /// `value` gets the variable's layout as soon as that is known.
  void await(graph::VariableOp variable, mlir::Value value) { entries[variable].waiting.push_back(value); }
  /// Gives accumulators that nothing is added to a layout without pending sums.
  void settleAll();

private:
  struct Entry {
    Layout resting, gathered;
    bool open = false;
    llvm::SmallVector<mlir::Value> waiting;
  };

  /// Says which ranks have equal copies of a parameter that they were to share.
  void remarkReplicas(graph::VariableOp variable, mlir::func::FuncOp forward) const;

  mlir::ModuleOp module;
  const LogicalDims &dims;
  const Plan &plan;
  llvm::DenseMap<mlir::Operation *, Entry> entries;
};

} // namespace primus::placement
