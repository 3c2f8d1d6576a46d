//===- Rules.cpp - Ops obey their sharding rules ---------------------------===//

#include "passes/placement/FactorAssignment.h"
#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

namespace {

/// Compares the layouts of one op with its sharding rule.
class RuleVerifier {
public:
  RuleVerifier(Operation *op, graph::MeshAttr mesh, bool isLocal)
      : op(op), mesh(mesh), isLocal(isLocal), rule(cast<graph::Shardable>(op).getShardingRule()),
        axes(rule.sizes.size()), known(rule.sizes.size()) {}

  LogicalResult verify();

private:
  LogicalResult readFactors(ValueRange values, ArrayRef<SmallVector<int64_t>> dims, StringRef what);
  /// Finds the pending sums that pass through the op, and those that must not.
  LogicalResult findPartial();
  /// What is pending of a result by its type is what its operands and the split of reduced factors leave.
  LogicalResult verifyResult(unsigned index);
  /// What may be the largest of what ranks have, each for itself: the largest values of their parts, and what such are put
  /// together to.
  LogicalResult verifyMaximum();

  Operation *op;
  graph::MeshAttr mesh;
  bool isLocal;
  graph::ShardingRule rule;
  SmallVector<Axes> axes;
  SmallVector<bool> known;
  /// Pending sums that pass through.
  Axes partial;
};

} // namespace

LogicalResult RuleVerifier::readFactors(ValueRange values, ArrayRef<SmallVector<int64_t>> dims, StringRef what) {
  for (auto [index, value, factors] : llvm::enumerate(values, dims)) {
    for (auto [dim, list, factor] : llvm::enumerate(Layout(value.getType()).dims, factors)) {
      if (factor == graph::ShardingRule::replicated) {
        if (!list.empty() && getGroupSize(mesh, list) > 1)
          return op->emitOpError() << what << " " << index << " is split along dimension " << dim << " over "
                                   << placement::describe(list) << ", which its sharding rule does not allow";
        continue;
      }
      if (known[factor] && axes[factor] != list)
        return op->emitOpError() << what << " " << index << " is split along dimension " << dim << " over "
                                 << placement::describe(list) << ", but another value with that factor over "
                                 << placement::describe(axes[factor]);
      if (!isLocal && rule.sizes[factor] % getGroupSize(mesh, list) != 0)
        return op->emitOpError() << what << " " << index << " is split along dimension " << dim << " over "
                                 << placement::describe(list) << ", which does not divide " << rule.sizes[factor];
      axes[factor] = list;
      known[factor] = true;
    }
  }
  return success();
}

LogicalResult RuleVerifier::findPartial() {
  bool found = false;
  for (auto [index, operand] : llvm::enumerate(op->getOperands())) {
    Axes pending = Layout(operand.getType()).partial;
    bool linear = llvm::is_contained(rule.linear, static_cast<int64_t>(index));
    if (linear && rule.jointlyLinear) {
      if (found && pending != partial)
        return op->emitOpError() << "operand " << index << " is partial over " << placement::describe(pending)
                                 << ", but the one before it over " << placement::describe(partial)
                                 << ": a sum has to be formed first";
      found = true;
      partial = pending;
      continue;
    }
    if (pending.empty())
      continue;
    if (!linear)
      return op->emitOpError() << "operand " << index << " is partial over " << placement::describe(pending)
                               << ", but the op is not linear in it: the sum has to be formed first";
    if (found)
      return op->emitOpError() << "operand " << index << " is partial over " << placement::describe(pending)
                               << ", but another operand is partial too: one of the sums has to be formed first";
    found = true;
    partial = pending;
  }
  return success();
}

LogicalResult RuleVerifier::verifyResult(unsigned index) {
  Axes pending = partial;
  for (auto [factor, list] : llvm::enumerate(axes))
    if (rule.reduced[factor] && !llvm::is_contained(rule.results[index], static_cast<int64_t>(factor)))
      llvm::append_range(pending, list);
  Axes actual = sortAxes(mesh, Layout(op->getResult(index).getType()).partial);
  pending = sortAxes(mesh, pending);
  if (pending == actual)
    return success();
  return op->emitOpError() << "result " << index << " is partial over "
                           << (actual.empty() ? "nothing" : placement::describe(actual)) << " by its type, but over "
                           << (pending.empty() ? "nothing" : placement::describe(pending)) << " by its operands";
}

LogicalResult RuleVerifier::verifyMaximum() {
  if (!isa<graph::AmaxOp, graph::MaximumOp, graph::ConcatOp, graph::ReshapeOp>(op))
    return op->emitOpError("cannot have the largest of what ranks have as an operand or result: it has to be found first");
  Layout result(op->getResult(0).getType());
  for (auto [index, operand] : llvm::enumerate(op->getOperands())) {
    Layout layout(operand.getType());
    bool isSplit = llvm::any_of(layout.dims, [](const Axes &axes) { return !axes.empty(); });
    bool fits = isa<graph::AmaxOp>(op) ? layout.partial.empty() : layout.maximum && layout.partial == result.partial && !isSplit;
    if (!fits)
      return op->emitOpError() << "operand " << index << " has the layout " << layout.describe() << " where the result's is "
                               << result.describe();
    for (const Axes &axes : layout.dims)
      for (StringAttr axis : axes)
        if (!llvm::is_contained(result.partial, axis))
          return op->emitOpError() << "operand " << index << " is split over " << axis.getValue()
                                   << ", over which the result is not the largest";
  }
  return success();
}

LogicalResult RuleVerifier::verify() {
  auto isMaximum = [](Value value) { return Layout(value.getType()).maximum; };
  bool isCollected = llvm::any_of(op->getOperands(), isMaximum) || (isa<graph::AmaxOp>(op) && isMaximum(op->getResult(0)));
  if (isCollected && !(isa<graph::ReshapeOp>(op) && isLocal))
    return verifyMaximum();
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op); reshape && isLocal)
    return verifyLocalReshape(reshape, mesh);
  // Division by a number is linear; the number's type says what the other operand's does.
  if (isLocal && findDivisor(op)) {
    rule.linear = {0, 1};
    rule.jointlyLinear = true;
  }
  if (failed(readFactors(op->getOperands(), rule.operands, "operand")) ||
      failed(readFactors(op->getResults(), rule.results, "result")) || failed(findPartial()))
    return failure();
  for (Axes &list : axes)
    for (StringAttr axis : list)
      if (llvm::is_contained(partial, axis))
        return op->emitOpError() << "is split over axis " << axis << ", over which an operand is partial";
  // A constant zero is the same as any pending sum of zeros.
  if (op->getNumOperands() == 0)
    return success();
  for (unsigned index = 0; index < op->getNumResults(); ++index)
    if (failed(verifyResult(index)))
      return failure();
  return success();
}

LogicalResult primus::verifyRules(ModuleOp module, graph::MeshAttr mesh, bool isLocal) {
  WalkResult result = module.walk([&](Operation *op) {
    return isa<graph::Shardable>(op) && failed(RuleVerifier(op, mesh, isLocal).verify()) ? WalkResult::interrupt()
                                                                                          : WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}
