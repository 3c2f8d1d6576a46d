//===- MatmulEpiloguePlan.cpp - What a product's epilogue can compute -----===//

#include "passes/kernels/Elementwise.h"
#include "passes/kernels/MatmulEpilogue.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

std::optional<EpilogueKind> kernels::getSourceKind(graph::BroadcastOp op, EpilogueKind kind, const MatmulProblem &problem) {
  Value operand = op.getOperand(), result = op.getResult();
  if (kind != EpilogueKind::Full) {
    if (numElements(operand) == numElements(result))
      return kind;
    return numElements(operand) == 1 ? std::optional(EpilogueKind::Scalar) : std::nullopt;
  }
  ArrayRef<int64_t> from = shapeOf(operand), to = shapeOf(result);
  SmallVector<bool> kept(to.size(), false);
  for (auto [operandDim, resultDim] : llvm::enumerate(op.getDims()))
    kept[resultDim] = from[operandDim] == to[resultDim];
  bool all = true, none = true;
  for (unsigned d = 0; d + 1 < to.size(); ++d)
    if (to[d] != 1) {
      all &= kept[d];
      none &= !kept[d];
    }
  if (!all && !none)
    return std::nullopt;
  // A view of the result's rows, or of their blocks.
  bool isOfRows = to.back() == problem.n;
  if (kept.back() && !all)
    return isOfRows ? std::optional(EpilogueKind::Column) : std::nullopt;
  if (kept.back())
    return EpilogueKind::Full;
  if (!all || none)
    return EpilogueKind::Scalar;
  return isOfRows ? EpilogueKind::Row : EpilogueKind::Block;
}

Value kernels::getSigned(Value value) {
  auto maximum = value.getDefiningOp<graph::MaximumOp>();
  if (!maximum)
    return {};
  for (auto [number, other] : {std::pair(maximum.getLhs(), maximum.getRhs()), std::pair(maximum.getRhs(), maximum.getLhs())})
    if (auto negated = other.getDefiningOp<graph::NegOp>(); negated && negated.getOperand() == number)
      return number;
  return {};
}

namespace {

class EpilogueChecker {
public:
  EpilogueChecker(const Candidate &candidate, const MatmulProblem &problem, std::string &reason);

  int64_t getBlock() const { return block; }
  /// Blocks are quantised from registers where that saves a pass: where nothing else reads what they are quantised from.
  bool checkBlocks(const EpiloguePlan &plan);

  /// Adds an output to the plan.
  bool add(EpiloguePlan &plan, EpiloguePlan::Output output);

private:
  bool check(Value value, EpilogueKind kind);
  /// A reduction's kind, and what it reduces, of kind Full.
  struct Reduced {
    EpilogueKind kind;
    Value operand;
  };
  std::optional<Reduced> match(graph::ReduceOp op);
  /// Reductions from which a value follows directly.
  void findReductions(Value value, llvm::SetVector<Operation *> &found, DenseSet<Value> &seen) const;
  bool addTotal(EpiloguePlan &plan, EpiloguePlan::Output output, ArrayRef<Operation *> reductions);
  bool fail(const Twine &why) {
    reason = why.str();
    return false;
  }
  /// Whether the value has as many elements as its kind says, in the result's order.
  bool fits(Value value, EpilogueKind kind) {
    switch (kind) {
    case EpilogueKind::Full:
      return !shapeOf(value).empty() && (shapeOf(value).back() == problem.n || (block != 0 && shapeOf(value).back() == block)) &&
             numElements(value) == getElements();
    case EpilogueKind::Block:
      return block != 0 && numElements(value) == getElements() / block;
    case EpilogueKind::Row:
      return numElements(value) == problem.batch * problem.m;
    case EpilogueKind::Column:
      return numElements(value) == problem.n;
    case EpilogueKind::Scalar:
      return numElements(value) == 1;
    }
    llvm_unreachable("all kinds are handled");
  }

  int64_t getElements() const { return problem.batch * problem.m * problem.n; }
  /// Whether an op gives the largest values of blocks of so many columns of rows that are longer.
  bool isOfBlocks(Operation *op, int64_t block) const;

  const MatmulProblem &problem;
  std::string &reason;
  SmallPtrSet<Operation *, 16> ops;
  /// Columns of a block of the epilogue; 0: there are none.
  int64_t block = 0;
  DenseSet<std::pair<Value, unsigned>> known;
};

} // namespace

EpilogueChecker::EpilogueChecker(const Candidate &candidate, const MatmulProblem &problem, std::string &reason)
    : problem(problem), reason(reason), ops(candidate.ops.begin(), candidate.ops.end()) {
  // As many columns as a tile of a GPU has, which may be chosen. A CPU's are those of a panel, which are fewer.
  if (!candidate.traits || !candidate.traits->isGpu())
    return;
  for (int64_t columns : {64, 128, 256})
    if ((problem.factorColumns == 1 || problem.factorColumns % columns == 0) &&
        llvm::any_of(candidate.ops, [&](Operation *op) { return isOfBlocks(op, columns); }))
      block = columns;
}

bool EpilogueChecker::isOfBlocks(Operation *op, int64_t block) const {
  auto reduce = dyn_cast<graph::ReduceOp>(op);
  if (block == 0 || !reduce || reduce.getKind() != graph::ReduceKind::Max || shapeOf(reduce.getOperand()).empty())
    return false;
  ArrayRef<int64_t> shape = shapeOf(reduce.getOperand()), dims = reduce.getDims();
  return shape.back() == block && problem.n % block == 0 && problem.n != block && numElements(reduce.getOperand()) == getElements() &&
         dims.size() == 1 && dims.front() == static_cast<int64_t>(shape.size()) - 1;
}

bool EpilogueChecker::check(Value value, EpilogueKind kind) {
  if (!fits(value, kind))
    return fail("a value does not have the product's rows and columns");
  if (value == problem.result)
    return kind == EpilogueKind::Full || fail("the product is broadcast");
  Operation *op = value.getDefiningOp();
  if (!op || !ops.contains(op) || !known.insert({value, unsigned(kind)}).second)
    return true;
  if (llvm::is_contained(problem.ops, op))
    return fail("part of the product is used elsewhere");
  if (isElementwise(op))
    return llvm::all_of(op->getOperands(), [&](Value operand) { return check(operand, kind); });
  if (isa<graph::ConstantOp>(op))
    return getSplat(op) || fail("a constant with different elements needs memory");
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op))
    return check(reshape.getOperand(), kind);
  if (auto broadcast = dyn_cast<graph::BroadcastOp>(op)) {
    std::optional<EpilogueKind> source = getSourceKind(broadcast, kind, problem);
    return source ? check(broadcast.getOperand(), *source) : fail("some of the rows are broadcast");
  }
  if (kind == EpilogueKind::Block && isOfBlocks(op, block))
    return check(op->getOperand(0), EpilogueKind::Full);
  return fail(op->getName().getStringRef() + " is not elementwise");
}

std::optional<EpilogueChecker::Reduced> EpilogueChecker::match(graph::ReduceOp op) {
  auto refuse = [&](const Twine &why) {
    fail(why);
    return std::nullopt;
  };
  // Sums over tiles would be rounded otherwise than sums over rows.
  if (op.getKind() != graph::ReduceKind::Max)
    return refuse("a product's values are not summed with it");
  Value operand = op.getOperand();
  while (auto reshape = operand.getDefiningOp<graph::ReshapeOp>()) {
    if (!ops.contains(reshape))
      break;
    operand = reshape.getOperand();
  }
  // The largest of largest values.
  if (auto inner = operand.getDefiningOp<graph::ReduceOp>(); inner && ops.contains(inner)) {
    if (numElements(op.getResult()) != 1)
      return refuse("some of the largest values are reduced");
    std::optional<Reduced> reduced = match(inner);
    return reduced ? std::optional(Reduced{EpilogueKind::Scalar, reduced->operand}) : std::nullopt;
  }
  operand = op.getOperand();
  if (!check(operand, EpilogueKind::Full))
    return std::nullopt;
  ArrayRef<int64_t> dims = op.getDims();
  auto rank = static_cast<int64_t>(shapeOf(operand).size());
  if (llvm::equal(dims, llvm::seq<int64_t>(0, rank)))
    return Reduced{EpilogueKind::Scalar, operand};
  if (dims.size() == 1 && dims.front() == rank - 1)
    return Reduced{EpilogueKind::Row, operand};
  if (llvm::equal(dims, llvm::seq<int64_t>(0, rank - 1)))
    return Reduced{EpilogueKind::Column, operand};
  return refuse("a reduction is neither over rows nor over columns");
}

void EpilogueChecker::findReductions(Value value, llvm::SetVector<Operation *> &found, DenseSet<Value> &seen) const {
  Operation *op = value.getDefiningOp();
  if (!op || !ops.contains(op) || value == problem.result || !seen.insert(value).second)
    return;
  if (isa<graph::ReduceOp>(op) && !isOfBlocks(op, block)) {
    found.insert(op);
    return;
  }
  for (Value operand : op->getOperands())
    findReductions(operand, found, seen);
}

bool EpilogueChecker::addTotal(EpiloguePlan &plan, EpiloguePlan::Output output, ArrayRef<Operation *> reductions) {
  EpiloguePlan::Totals *totals = nullptr;
  RowChecker checker(ops, /*rows=*/1, reason);
  for (Operation *op : reductions) {
    auto reduce = cast<graph::ReduceOp>(op);
    std::optional<Reduced> reduced = match(reduce);
    if (!reduced)
      return false;
    EpiloguePlan::Totals *own = llvm::find_if(plan.totals, [&](auto &totals) { return totals.kind == reduced->kind; });
    if (totals && totals != own)
      return fail("an output follows from reductions of different kinds");
    totals = own;
    checker.give(reduce.getResult());
    if (llvm::is_contained(totals->reductions, reduce))
      continue;
    totals->reductions.push_back(reduce);
    totals->operands.push_back(reduced->operand);
  }
  totals->outputs.push_back(output);
  bool isScalar = totals->kind == EpilogueKind::Scalar;
  if (!fits(output.second, totals->kind))
    return fail("an output does not have the elements of the reductions that it follows from");
  return checker.check(output.second, /*tile=*/!isScalar, /*atRow=*/true, /*flat=*/!isScalar);
}

bool EpilogueChecker::add(EpiloguePlan &plan, EpiloguePlan::Output output) {
  llvm::SetVector<Operation *> reductions;
  DenseSet<Value> seen;
  findReductions(output.second, reductions, seen);
  if (!reductions.empty())
    return addTotal(plan, output, reductions.getArrayRef());
  bool isOfBlock = fits(output.second, EpilogueKind::Block);
  (isOfBlock ? plan.blockOutputs : plan.outputs).push_back(output);
  return check(output.second, isOfBlock ? EpilogueKind::Block : EpilogueKind::Full);
}

bool EpilogueChecker::checkBlocks(const EpiloguePlan &plan) {
  for (Operation *op : ops) {
    if (!isOfBlocks(op, block))
      continue;
    for (Value value = op->getOperand(0); value;) {
      if (llvm::is_contained(llvm::make_second_range(plan.outputs), value))
        return fail("what is quantised by blocks is also read by another kernel, which can quantise it");
      Operation *source = value.getDefiningOp();
      value = isa_and_nonnull<graph::ConvertOp, graph::ReshapeOp>(source) ? source->getOperand(0) : getSigned(value);
    }
  }
  return true;
}

/// Truth values with an element for each of the result's: each takes two scalar registers of an AMD GPU for each of a lane's elements.
static size_t countTruths(const Candidate &candidate, const MatmulProblem &problem) {
  llvm::SmallPtrSet<Value, 8> truths;
  auto add = [&](Value value) {
    if (getElementTypeOrSelf(value.getType()).isInteger(1) && numElements(value) == numElements(problem.result) &&
        !isa_and_nonnull<graph::ConstantOp>(value.getDefiningOp()))
      truths.insert(value);
  };
  for (Operation *op : candidate.ops) {
    llvm::for_each(op->getOperands(), add);
    llvm::for_each(op->getResults(), add);
  }
  return truths.size();
}

std::optional<EpiloguePlan> EpiloguePlan::of(const Candidate &candidate, const MatmulProblem &problem, std::string &reason) {
  constexpr size_t mostTruths = 2;
  if (countTruths(candidate, problem) > mostTruths) {
    reason = "too many truth values for a product's registers";
    return std::nullopt;
  }
  EpilogueChecker checker(candidate, problem, reason);
  EpiloguePlan plan;
  plan.block = checker.getBlock();
  for (auto [index, value] : llvm::enumerate(candidate.outputs))
    if (!checker.add(plan, {static_cast<unsigned>(index), value}))
      return std::nullopt;
  return checker.checkBlocks(plan) ? std::optional(std::move(plan)) : std::nullopt;
}
