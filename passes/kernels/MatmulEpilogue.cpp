//===- MatmulEpilogue.cpp - What a product's kernel computes from its result ===//

#include "passes/kernels/MatmulEpilogue.h"

#include "passes/kernels/Elementwise.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

/// The kind in which a broadcast's operand is needed for its result in `kind`, or std::nullopt.
static std::optional<EpilogueKind> getSourceKind(graph::BroadcastOp op, EpilogueKind kind) {
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
  if (kept.back())
    return all ? EpilogueKind::Full : EpilogueKind::Column;
  return all && !none ? EpilogueKind::Row : EpilogueKind::Scalar;
}

//===----------------------------------------------------------------------===//
// Legality
//===----------------------------------------------------------------------===//

namespace {

class EpilogueChecker {
public:
  EpilogueChecker(const Candidate &candidate, const MatmulProblem &problem, std::string &reason)
      : problem(problem), reason(reason), ops(candidate.ops.begin(), candidate.ops.end()) {}

  bool check(Value value, EpilogueKind kind);

private:
  bool fail(const Twine &why) {
    reason = why.str();
    return false;
  }
  /// Whether the value has as many elements as its kind says, in the result's order.
  bool fits(Value value, EpilogueKind kind) {
    switch (kind) {
    case EpilogueKind::Full:
      return !shapeOf(value).empty() && shapeOf(value).back() == problem.n &&
             numElements(value) == problem.batch * problem.m * problem.n;
    case EpilogueKind::Row:
      return numElements(value) == problem.batch * problem.m;
    case EpilogueKind::Column:
      return numElements(value) == problem.n;
    case EpilogueKind::Scalar:
      return numElements(value) == 1;
    }
    llvm_unreachable("all kinds are handled");
  }

  const MatmulProblem &problem;
  std::string &reason;
  SmallPtrSet<Operation *, 16> ops;
};

} // namespace

bool EpilogueChecker::check(Value value, EpilogueKind kind) {
  if (!fits(value, kind))
    return fail("a value does not have the product's rows and columns");
  if (value == problem.result)
    return kind == EpilogueKind::Full || fail("the product is broadcast");
  Operation *op = value.getDefiningOp();
  if (!op || !ops.contains(op))
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
    std::optional<EpilogueKind> source = getSourceKind(broadcast, kind);
    return source ? check(broadcast.getOperand(), *source) : fail("some of the rows are broadcast");
  }
  return fail(op->getName().getStringRef() + " is not elementwise");
}

bool kernels::isEpilogue(const Candidate &candidate, const MatmulProblem &problem, std::string &reason) {
  EpilogueChecker checker(candidate, problem, reason);
  return llvm::all_of(candidate.outputs, [&](Value output) { return checker.check(output, EpilogueKind::Full); });
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

SmallVector<int64_t> Epilogue::getShape(EpilogueKind kind) const {
  switch (kind) {
  case EpilogueKind::Full:
    return {rows, columns};
  case EpilogueKind::Row:
    return {rows, 1};
  case EpilogueKind::Column:
    return {1, columns};
  case EpilogueKind::Scalar:
    return {};
  }
  llvm_unreachable("all kinds are handled");
}

Value Epilogue::load(BlockArgument argument, EpilogueKind kind) {
  unsigned input = argument.getArgNumber();
  kinds[input] |= 1u << unsigned(kind);
  Value zero = builder.index(0);
  bool wholeRows = problem.m % rows == 0, wholeColumns = problem.n % columns == 0;
  switch (kind) {
  case EpilogueKind::Full:
    return builder.load(builder.input(input, {problem.batch, problem.m, problem.n}), {batch, row, column}, {1, 2},
                        {rows, columns},
                        wholeRows && wholeColumns);
  case EpilogueKind::Row:
    return builder.load(builder.input(input, {problem.batch, problem.m, 1}), {batch, row, zero}, {1, 2}, {rows, 1},
                        wholeRows);
  case EpilogueKind::Column:
    return builder.load(builder.input(input, {1, problem.n}), {zero, column}, {0, 1}, {1, columns}, wholeColumns);
  case EpilogueKind::Scalar:
    return builder.loadScalar(builder.input(input, {1}), {zero});
  }
  llvm_unreachable("all kinds are handled");
}

Value Epilogue::evaluate(Value value, EpilogueKind kind) {
  if (Value known = memo.lookup({value, unsigned(kind)}))
    return known;
  Value result;
  Operation *op = value.getDefiningOp();
  if (!op) {
    result = load(cast<BlockArgument>(value), kind);
  } else if (std::optional<double> splat = getSplat(op)) {
    result = builder.constant(getTileType(getShape(kind), getElementTypeOrSelf(value.getType())), *splat);
  } else if (auto reshape = dyn_cast<graph::ReshapeOp>(op)) {
    result = evaluate(reshape.getOperand(), kind);
  } else if (auto broadcast = dyn_cast<graph::BroadcastOp>(op)) {
    result = builder.broadcast(evaluate(broadcast.getOperand(), *getSourceKind(broadcast, kind)), getShape(kind));
  } else {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(evaluate(operand, kind));
    result = emitElementwise(builder, op, operands);
  }
  memo[{value, unsigned(kind)}] = result;
  return result;
}

void Epilogue::store(ArrayRef<Value> outputs) {
  // All loads come before the stores, so that outputs may lie over inputs.
  SmallVector<Value> tiles;
  for (Value output : outputs)
    tiles.push_back(evaluate(output, EpilogueKind::Full));
  bool inbounds = problem.m % rows == 0 && problem.n % columns == 0;
  for (auto [index, tile] : llvm::enumerate(tiles))
    builder.store(tile, builder.output(index, {problem.batch, problem.m, problem.n}), {batch, row, column}, {1, 2}, inbounds);
}
