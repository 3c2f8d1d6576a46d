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

/// The number that an op divides by, if it does that.
static std::optional<double> findDivisor(Operation *op) {
  auto quotient = dyn_cast_if_present<graph::DivOp>(op);
  auto divisor = quotient ? quotient.getRhs().getDefiningOp<graph::ConstantOp>() : graph::ConstantOp();
  auto data = divisor ? dyn_cast<DenseElementsAttr>(divisor.getValue()) : DenseElementsAttr();
  if (!data || !data.isSplat() || !isa<FloatType>(data.getElementType()))
    return std::nullopt;
  return data.getSplatValue<APFloat>().convertToDouble();
}

/// On one rank, a reshape is also how a value gets another layout without being moved: a whole one that was divided by
/// the number of ranks is a sum over them, and what each rank has for itself are parts of a larger value.
static LogicalResult verifyLocalReshape(graph::ReshapeOp reshape, graph::MeshAttr mesh) {
  Layout from(reshape.getOperand().getType()), to(reshape.getType());
  for (StringAttr axis : from.partial)
    if (!llvm::is_contained(to.partial, axis) && !to.splits(axis))
      return reshape.emitOpError() << "drops the sum over " << axis << " that its operand still needs";
  Axes added = to.partial;
  llvm::erase_if(added, [&](StringAttr axis) { return llvm::is_contained(from.partial, axis); });
  if (!added.empty() && findDivisor(reshape.getOperand().getDefiningOp()) != double(getGroupSize(mesh, added)))
    return reshape.emitOpError() << "makes a sum over " << placement::describe(added)
                                 << " of a value that was not divided by the number of their ranks";
  return success();
}

/// True for attention to one block of keys after the other, which go around the ranks of a group.
static bool isRingStep(Operation *op) {
  if (!isa<graph::AttentionOp, graph::AttentionGradOp>(op))
    return false;
  auto stop = [](graph::PermuteOp) { return WalkResult::interrupt(); };
  return op->getParentOfType<func::FuncOp>().walk(stop).wasInterrupted();
}

LogicalResult RuleVerifier::verify() {
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op); reshape && isLocal)
    return verifyLocalReshape(reshape, mesh);
  // What a part of the vocabulary or of the keys gives is neither whole nor a sum: rules know of no such values. Nor do
  // they know that division by a number is linear.
  if (isLocal && (isa<graph::CrossEntropyPartOp>(op) || isRingStep(op) || findDivisor(op)))
    return success();
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
