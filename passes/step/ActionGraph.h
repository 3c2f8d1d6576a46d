//===- ActionGraph.h - What must stay in order --------------------*- C++ -*-===//

#pragma once

#include "passes/step/Accesses.h"

namespace primus::step {

/// Whether an op is an action: everything but buffers and views.
bool isAction(mlir::Operation *op);
/// Whether an op is exchanged with other stages of a pipeline, whose programs differ: all of them have to keep to one order.
bool isBetweenStages(mlir::Operation *op);

/// An action of a block.
struct Action {
  mlir::Operation *op;
  /// Null for actions that compute, copy or loop. A `block` only copies.
  CollectiveOp collective;
  /// Actions that must come before and after, as indices.
  llvm::SmallVector<unsigned> before, after;
  /// Which run of calls for one layer it belongs to, small ones being counted to the next layer; never less than that of an action before it. A
  /// collective whose target is larger than its source belongs to its first reader, any other one to its last writer.
  unsigned group = 0;
  /// It is a collective that makes something smaller or sums it up, or what its group does with that: no later group is held up by it.
  bool trails = false;
  /// A collective comes right after it, or after what comes after it.
  bool feedsCollective = false, leadsToCollective = false;
  /// Time on its stream, in one unit for computing and communicating.
  double cost = 0;
  /// The cost of the longest chain from it to the block's end, itself included.
  double tail = 0;
};

/// Some successive actions of a block in their order, with what each needs. There must be no waits and no messages among them.
///
/// Costs: how fast the links are is not known to the compiler. It plans for communication that takes as long as all of their computing,
/// which is where overlap matters most; on faster links a wait is over when it starts.
class ActionGraph {
public:
  /// Of the `ops` of a block, those that are no actions left out.
  ActionGraph(llvm::ArrayRef<mlir::Operation *> ops, AccessAnalysis &analysis);

  llvm::SmallVector<Action> actions;

private:
  void connect(AccessAnalysis &analysis);
  void setCosts();
  void setGroups();
};

} // namespace primus::step
