//===- Grouping.h - Which ops become one kernel ------------------*- C++ -*-===//
//
// Ops of a function have one of three roles. Views (reshapes, rows of the leading dimension) cost nothing and stay outside of kernels. Inline ops
// (constants, indices, broadcasts, widening conversions) are computed anew in each kernel that uses them. All others are nodes: each
// belongs to one group, and each group becomes a graph.fusion. An inline op whose result a kernel must read from memory is a node, too.
// A collective is a node whose group never grows and stays as it is.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/KernelFamily.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SetVector.h"

namespace primus::fusion {

using mlir::Operation;
using mlir::Value;

/// Reshapes and rows of the leading dimension: the same bytes.
bool isView(Operation *op);

/// Bytes of a tensor.
int64_t getBytes(Value value);

/// Ops that become one fusion, in program order.
struct Group {
  /// Ops whose results the group owns.
  llvm::SmallVector<Operation *> nodes;
  /// Nodes of other groups that are computed here once more, which is cheaper than reading their results.
  llvm::SmallVector<Operation *> copies;
};

/// The group is a collective.
bool isCollective(const Group &group);

/// A group with all that follows from its nodes.
struct Kernel {
  /// Nodes, copies and inline ops, in program order.
  llvm::SmallVector<Operation *> ops;
  /// What is read: arguments, results of other groups, and views of them.
  llvm::SetVector<Value> inputs;
  llvm::SmallVector<Value> outputs;
};

/// A fusion that would save traffic but is not legal.
struct MissedFusion {
  Operation *producer, *consumer;
  int64_t bytes;
  std::string reason;
};

class Grouping {
public:
  explicit Grouping(mlir::func::FuncOp function);

  /// Forms groups greedily, by bytes saved. A located error if no kernel family takes some op.
  mlir::LogicalResult run();

  /// Groups in an order in which each comes after those that it reads from.
  llvm::SmallVector<Group> getOrderedGroups() const;
  Kernel getKernel(const Group &group) const;
  /// The first family that accepts the kernel, or null; `reason` is then why the last one does not.
  const kernels::KernelFamily *findFamily(const Kernel &kernel, std::string &reason) const;
  llvm::ArrayRef<MissedFusion> getMissed() const { return missed; }

private:
  bool isNode(Operation *op) const { return nodes.contains(op); }
  void findNodes();
  /// Makes a node of the inline op from which `value` is a view.
  void demote(Value value);
  bool demoteOperands(Operation *op);
  mlir::LogicalResult startGroups();

  struct Merge {
    unsigned a, b;
    int64_t bytes;
  };
  llvm::SmallVector<Merge> findMerges() const;
  /// What the group's kernel reads and writes.
  int64_t getMovedBytes(const Group &group) const;
  /// Merges two groups, or says why not; the reason is empty where no kernel family takes both (see explainRefusal).
  bool tryMerge(const Merge &merge, std::string &reason);
  /// What the two groups' own kernel families have against the other.
  std::string explainRefusal(const Merge &merge);
  bool makesCycle(unsigned a, unsigned b) const;
  bool reaches(unsigned from, unsigned to) const;
  Group unite(const Group &a, const Group &b) const;
  void recompute();
  bool recompute(Value value);

  unsigned position(Operation *op) const { return order.lookup(op); }
  void sortByPosition(llvm::SmallVectorImpl<Operation *> &ops) const;
  /// Nodes (and the terminator) that read a node's result, through views and inline ops.
  void addConsumers(Value value, llvm::SetVector<Operation *> &consumers) const;

  mlir::func::FuncOp function;
  const kernel::TargetTraits traits;
  llvm::DenseMap<Operation *, unsigned> order;
  llvm::SetVector<Operation *> nodes;
  llvm::DenseMap<Operation *, llvm::SetVector<Operation *>> consumers;
  /// Merged groups are empty.
  llvm::SmallVector<Group> groups;
  llvm::DenseMap<Operation *, unsigned> groupOf;
  llvm::SmallVector<MissedFusion> missed;
};

} // namespace primus::fusion
