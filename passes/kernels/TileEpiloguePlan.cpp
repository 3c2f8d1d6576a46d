//===- TileEpiloguePlan.cpp - What an epilogue can compute ----------------===//

#include "passes/kernels/TileEpilogue.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

/// The value outside of any fusion that `value` is the same bytes as.
static Value getSource(Value value) {
  while (true) {
    if (auto reshape = value.getDefiningOp<graph::ReshapeOp>()) {
      value = reshape.getOperand();
      continue;
    }
    auto argument = dyn_cast<BlockArgument>(value);
    auto fusion = argument ? dyn_cast_or_null<graph::FusionOp>(argument.getOwner()->getParentOp()) : graph::FusionOp();
    if (!fusion)
      return value;
    value = fusion.getInputs()[argument.getArgNumber()];
  }
}

bool kernels::isReadAs(Value value, Value base) {
  return numElements(value) == numElements(base) && getSource(value) == getSource(base);
}

namespace {

class Planner {
public:
  Planner(const Candidate &candidate, Operation *core, ArrayRef<Value> bases, bool hasHeads, std::string &reason)
      : candidate(candidate), core(core), bases(bases), hasHeads(hasHeads), reason(reason), ops(candidate.ops.begin(), candidate.ops.end()) {}

  bool run();
  TileEpiloguePlan plan;

private:
  bool fail(const Twine &why) {
    reason = why.str();
    return false;
  }
  bool isInside(Value value) const { return value.getDefiningOp() && ops.contains(value.getDefiningOp()); }
  bool followsFromReductions(Value value, SmallVectorImpl<graph::ReduceOp> &found, DenseSet<Value> &seen) const;
  /// The base of which `value` has the elements, or null.
  Value findBase(Value value);
  bool checkElements(Value value, int64_t elements, Value &base, DenseSet<Value> &seen);
  bool checkBlocks(Value value, int64_t elements, Value &base, DenseSet<Value> &seen);
  bool checkScalar(Value value);
  /// The base, if the maximum is over blocks of a head's columns, which the instance has; or null.
  Value findBaseOfBlocks(graph::ReduceOp reduce);
  bool addMeasure(graph::ReduceOp reduce);

  const Candidate &candidate;
  Operation *core;
  ArrayRef<Value> bases;
  bool hasHeads;
  std::string &reason;
  SmallPtrSet<Operation *, 16> ops;
};

} // namespace

bool Planner::followsFromReductions(Value value, SmallVectorImpl<graph::ReduceOp> &found, DenseSet<Value> &seen) const {
  if (!isInside(value) || value.getDefiningOp() == core || !seen.insert(value).second)
    return !found.empty();
  if (auto reduce = value.getDefiningOp<graph::ReduceOp>()) {
    found.push_back(reduce);
    return true;
  }
  for (Value operand : value.getDefiningOp()->getOperands())
    followsFromReductions(operand, found, seen);
  return !found.empty();
}

bool Planner::checkScalar(Value value) {
  if (!isInside(value))
    return true;
  Operation *op = value.getDefiningOp();
  if (getSplat(op))
    return true;
  bool isScalarOp = op != core && (isElementwise(op) || isa<graph::ReshapeOp, graph::BroadcastOp>(op)) && numElements(op->getOperand(0)) == 1;
  if (!isScalarOp)
    return fail("a scalar is only known when all of a tensor is");
  return llvm::all_of(op->getOperands(), [&](Value operand) { return checkScalar(operand); });
}

bool Planner::checkElements(Value value, int64_t elements, Value &base, DenseSet<Value> &seen) {
  if (!seen.insert(value).second)
    return true;
  if (numElements(value) != elements)
    return fail("a value has other elements than the tensor from which it follows");
  Operation *op = value.getDefiningOp();
  const Value *found = llvm::find_if(bases, [&](Value candidate) {
    return value == candidate || (candidate.getDefiningOp() != core && !isInside(value) && isReadAs(value, candidate));
  });
  if (found != bases.end()) {
    if (base && base != *found)
      return fail("it follows from two tensors that are computed apart");
    base = *found;
    return true;
  }
  if (!isInside(value) || getSplat(op))
    return true;
  if (op == core)
    return fail("it follows from what is not computed by the same tiles");
  if (auto broadcast = dyn_cast<graph::BroadcastOp>(op); broadcast && numElements(broadcast.getOperand()) != elements) {
    Value operand = broadcast.getOperand();
    if (numElements(operand) == 1)
      return checkScalar(operand);
    ArrayRef<int64_t> dims = broadcast.getDims(), shape = shapeOf(value);
    bool isOfBlock = numElements(operand) * shape.back() == elements &&
                    (dims.empty() || dims.back() != static_cast<int64_t>(shape.size()) - 1 || shapeOf(operand).back() == 1);
    return isOfBlock ? checkBlocks(operand, elements, base, seen) : fail("rows or columns are broadcast");
  }
  if (!isElementwise(op) && !isa<graph::ReshapeOp, graph::BroadcastOp>(op))
    return fail(op->getName().getStringRef() + " is not elementwise");
  return llvm::all_of(op->getOperands(), [&](Value operand) { return checkElements(operand, elements, base, seen); });
}

bool Planner::checkBlocks(Value value, int64_t elements, Value &base, DenseSet<Value> &seen) {
  if (!seen.insert(value).second)
    return true;
  Operation *op = value.getDefiningOp();
  if (isInside(value) && getSplat(op))
    return true;
  if (auto reduce = isInside(value) ? dyn_cast<graph::ReduceOp>(op) : graph::ReduceOp()) {
    Value found = findBaseOfBlocks(reduce);
    if (!found || numElements(found) != elements || (base && base != found))
      return fail("a maximum is not over columns of a head");
    base = found;
    return true;
  }
  if (!isInside(value) || op == core)
    return fail("blocks have a value that is not computed from their columns");
  if (auto broadcast = dyn_cast<graph::BroadcastOp>(op); broadcast && numElements(broadcast.getOperand()) == 1)
    return checkScalar(broadcast.getOperand());
  bool keepsElements = isElementwise(op) || (isa<graph::ReshapeOp, graph::BroadcastOp>(op) && numElements(op->getOperand(0)) == numElements(value));
  if (!keepsElements)
    return fail(op->getName().getStringRef() + " is not elementwise");
  return llvm::all_of(op->getOperands(), [&](Value operand) { return checkBlocks(operand, elements, base, seen); });
}

Value Planner::findBaseOfBlocks(graph::ReduceOp reduce) {
  ArrayRef<int64_t> shape = shapeOf(reduce.getOperand());
  if (!hasHeads || reduce.getKind() != graph::ReduceKind::Max || shape.size() < 2 || shape.back() == 1 ||
      !llvm::equal(reduce.getDims(), ArrayRef<int64_t>(shape.size() - 1)))
    return {};
  Value base = findBase(reduce.getOperand());
  // Of few blocks each can have its values in registers.
  constexpr int64_t mostBlocks = 8;
  int64_t headSize = base ? shapeOf(base).back() : 0;
  return base && headSize % shape.back() == 0 && headSize / shape.back() <= mostBlocks ? base : Value();
}

Value Planner::findBase(Value value) {
  Value base;
  DenseSet<Value> seen;
  if (!checkElements(value, numElements(value), base, seen))
    return {};
  if (!base)
    fail("it does not follow from what is computed here");
  return base;
}

bool Planner::addMeasure(graph::ReduceOp reduce) {
  if (llvm::any_of(plan.measures, [&](const Measure &known) { return known.reduce == reduce; }))
    return true;
  // Largest values of largest values are those of all.
  Value measured = reduce.getOperand(), result = reduce.getResult();
  bool isNested = false;
  if (reduce.getKind() != graph::ReduceKind::Max)
    return fail("a sum over several instances");
  while (isInside(measured)) {
    if (auto reshape = measured.getDefiningOp<graph::ReshapeOp>()) {
      measured = reshape.getOperand();
      continue;
    }
    auto inner = measured.getDefiningOp<graph::ReduceOp>();
    if (!inner || inner.getKind() != graph::ReduceKind::Max)
      break;
    measured = inner.getOperand();
    isNested = true;
  }
  Value base = findBase(measured);
  if (!base)
    return false;
  ArrayRef<int64_t> whole = shapeOf(base), shape = shapeOf(reduce.getOperand());
  int64_t columns = whole[whole.size() - 2] * whole.back(), rank = shape.size();
  Extent extent = Extent::All;
  if (numElements(result) != 1) {
    bool hasRows = !isNested && shape.back() == columns;
    if (hasRows && llvm::equal(reduce.getDims(), ArrayRef<int64_t>(rank - 1)))
      extent = Extent::Row;
    else if (hasRows && llvm::equal(reduce.getDims(), llvm::seq<int64_t>(0, rank - 1)))
      extent = Extent::Column;
    else
      return fail("a maximum is not over rows, columns or all of the tensor");
  }
  plan.measures.push_back({reduce, measured, base, extent});
  return true;
}

bool Planner::run() {
  for (Value operand : core->getOperands())
    if (isInside(operand))
      return fail("an operand would have to be computed before all of it");
  for (auto [index, output] : llvm::enumerate(candidate.outputs)) {
    bool isOther = output.getDefiningOp() == core && !llvm::is_contained(bases, output);
    if (isOther)
      continue;
    SmallVector<graph::ReduceOp> reductions;
    DenseSet<Value> seen;
    bool hasReductions = followsFromReductions(output, reductions, seen);
    if (!hasReductions || llvm::all_of(reductions, [&](graph::ReduceOp reduce) { return findBaseOfBlocks(reduce) != nullptr; })) {
      int64_t elements = hasReductions ? numElements(reductions.front().getOperand()) : numElements(output);
      Value base;
      DenseSet<Value> checked;
      if (numElements(output) == elements)
        base = findBase(output);
      else if (!checkBlocks(output, elements, base, checked))
        return false;
      if (!base)
        return false;
      plan.elements.push_back({static_cast<unsigned>(index), output, base});
      continue;
    }
    for (graph::ReduceOp reduce : reductions)
      if (!addMeasure(reduce))
        return false;
    if (!followsFromTotals(output, reductions, candidate.ops, reason))
      return false;
    plan.combined.push_back({static_cast<unsigned>(index), output});
  }
  // The maxima over blocks that are needed in the tiles.
  DenseSet<Value> needed;
  SmallVector<Value> worklist;
  for (const TileEpiloguePlan::Element &element : plan.elements)
    worklist.push_back(element.value);
  for (const Measure &measure : plan.measures)
    worklist.push_back(measure.measured);
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    if (isInside(value) && value.getDefiningOp() != core && needed.insert(value).second)
      llvm::append_range(worklist, value.getDefiningOp()->getOperands());
  }
  for (Operation *op : candidate.ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op); reduce && needed.contains(reduce.getResult()))
      plan.ofBlocks.push_back({reduce, findBaseOfBlocks(reduce)});
  return true;
}

std::optional<TileEpiloguePlan> TileEpiloguePlan::get(const Candidate &candidate, Operation *core, ArrayRef<Value> bases, bool hasHeads,
                                                      std::string &reason) {
  Planner planner(candidate, core, bases, hasHeads, reason);
  if (!planner.run())
    return std::nullopt;
  return std::move(planner.plan);
}

bool TileEpiloguePlan::uses(Value base) const {
  return llvm::any_of(elements, [&](const Element &element) { return element.base == base; }) ||
         llvm::any_of(measures, [&](const Measure &measure) { return measure.base == base; });
}
