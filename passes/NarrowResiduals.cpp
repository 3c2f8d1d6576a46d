//===- NarrowResiduals.cpp - Smaller residuals ----------------------------===//

#include "passes/LayerFunction.h"
#include "passes/Remarks.h"
#include "passes/Residuals.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"

using namespace mlir;
using namespace primus;

namespace {

/// The pair of functions whose residuals become smaller.
class Narrowing {
public:
  Narrowing(func::FuncOp forward, func::FuncOp backward, llvm::function_ref<bool(Operation *)> isMovable)
      : forward(forward), backward(backward), isMovable(isMovable), forwardCalls(findCalls(forward)),
        backwardCalls(findCalls(backward)) {}

  void run();

private:
  /// What begins with one residual: the ops, and those of their results that others read.
  struct Cone {
    SmallVector<Operation *> ops;
    SmallVector<Value> results;
  };
  /// Ops that both functions can compute from the residual.
  SmallVector<Operation *> findOps(BlockArgument residual);
  Cone findCone(BlockArgument residual);
  /// Few numbers about a residual that is read as it is, too: what backward need not find again.
  Cone findNumbers(BlockArgument residual);
  /// The forward function's argument that an argument of the backward function is, too; null for other values.
  Value findForwardArgument(Value value);
  /// True for what both functions can compute alike from constants and the arguments that they share.
  bool isShared(Value value);
  /// The forward function's value for one of the cone, or a shared one, which is built where it is needed.
  Value getForwardValue(Value value, OpBuilder &builder, IRMapping &mapping);
  /// Hands over the cone's results, in the place of the residual or beside it.
  void handOver(BlockArgument residual, const Cone &cone, bool replaces);
  void replaceCall(graph::CallOp &call, TypeRange types, ValueRange operands, llvm::function_ref<unsigned(unsigned)> where);
  void eraseResult(unsigned index);

  func::FuncOp forward, backward;
  llvm::function_ref<bool(Operation *)> isMovable;
  SmallVector<graph::CallOp> forwardCalls, backwardCalls;
};

} // namespace

Value Narrowing::findForwardArgument(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument)
    return {};
  for (ArgKind kind : {ArgKind::Parameter, ArgKind::Constant, ArgKind::Scalar})
    if (llvm::is_contained(getArgsOfKind(backward, kind), argument.getArgNumber()))
      if (std::optional<unsigned> of = getArgOf(backward, argument.getArgNumber()))
        return forward.getArgument(*of);
  return {};
}

bool Narrowing::isShared(Value value) {
  if (findForwardArgument(value))
    return true;
  Operation *op = value.getDefiningOp();
  return op && isMovable(op) && llvm::all_of(op->getOperands(), [&](Value operand) { return isShared(operand); });
}

Value Narrowing::getForwardValue(Value value, OpBuilder &builder, IRMapping &mapping) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  if (Value argument = findForwardArgument(value))
    return argument;
  for (Value operand : value.getDefiningOp()->getOperands())
    mapping.map(operand, getForwardValue(operand, builder, mapping));
  builder.clone(*value.getDefiningOp(), mapping);
  return mapping.lookup(value);
}

SmallVector<Operation *> Narrowing::findOps(BlockArgument residual) {
  SmallVector<Operation *> ops;
  llvm::SmallPtrSet<Operation *, 16> inside;
  auto isInside = [&](Value value) { return value == residual || inside.contains(value.getDefiningOp()); };
  for (Operation &op : backward.getBody().front().without_terminator()) {
    if (!isMovable(&op) || llvm::none_of(op.getOperands(), isInside) ||
        !llvm::all_of(op.getOperands(), [&](Value value) { return isInside(value) || isShared(value); }))
      continue;
    inside.insert(&op);
    ops.push_back(&op);
  }
  return ops;
}

Narrowing::Cone Narrowing::findCone(BlockArgument residual) {
  Cone cone{findOps(residual), {}};
  auto isOutside = [&](Operation *user) { return !llvm::is_contained(cone.ops, user); };
  if (llvm::any_of(residual.getUsers(), isOutside))
    return {};
  for (Operation *op : cone.ops)
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUsers(), isOutside))
        cone.results.push_back(result);
  return cone;
}

Narrowing::Cone Narrowing::findNumbers(BlockArgument residual) {
  constexpr int64_t leastShare = 1024;
  auto isSmall = [&](Value value) { return getBytes(value.getType()) * leastShare <= getBytes(residual.getType()); };
  Cone cone;
  llvm::SetVector<Operation *> needed;
  for (Operation *op : findOps(residual)) {
    // The first of them, from which the others follow.
    bool isFirst = op->getNumResults() == 1 && isSmall(op->getResult(0)) && llvm::none_of(op->getOperands(), [&](Value operand) {
      return isSmall(operand) && !isShared(operand);
    });
    if (!isFirst)
      continue;
    cone.results.push_back(op->getResult(0));
    needed.insert(op);
  }
  for (unsigned number = 0; number < needed.size(); ++number)
    for (Value operand : needed[number]->getOperands())
      if (operand != residual && !isShared(operand))
        needed.insert(operand.getDefiningOp());
  cone.ops = needed.takeVector();
  llvm::sort(cone.ops, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  return cone;
}

/// Another call in the place of `call`, whose result `i` is the old one `where(i)`.
void Narrowing::replaceCall(graph::CallOp &call, TypeRange types, ValueRange operands,
                            llvm::function_ref<unsigned(unsigned)> where) {
  OpBuilder builder(call);
  auto updated =
      graph::CallOp::create(builder, call.getLoc(), types, call.getCallee(), operands, call.getInstance());
  for (auto [index, result] : llvm::enumerate(updated.getResults()))
    if (where(index) < call.getNumResults())
      call.getResult(where(index)).replaceAllUsesWith(result);
  call.erase();
  call = updated;
}

/// Removes a result of the forward function that nothing reads any more.
void Narrowing::eraseResult(unsigned index) {
  if (llvm::any_of(forwardCalls, [&](graph::CallOp call) { return !call.getResult(index).use_empty(); }))
    return;
  BitVector erased(forward.getNumResults());
  erased.set(index);
  forward.getBody().front().getTerminator()->eraseOperand(index);
  (void)forward.eraseResults(erased);
  for (graph::CallOp &call : forwardCalls)
    replaceCall(call, forward.getResultTypes(), call.getOperands(), [&](unsigned i) { return i < index ? i : i + 1; });
  Builder b(forward.getContext());
  for (ArgKind kind : {ArgKind::Cotangent, ArgKind::Residual})
    for (unsigned argument : getArgsOfKind(backward, kind))
      if (unsigned of = *getArgOf(backward, argument); of > index)
        backward.setArgAttr(argument, kOfAttr, b.getI64IntegerAttr(of - 1));
}

void Narrowing::handOver(BlockArgument residual, const Cone &cone, bool replaces) {
  unsigned position = residual.getArgNumber(), of = *getArgOf(backward, position);
  Operation *terminator = forward.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  IRMapping mapping;
  mapping.map(residual, terminator->getOperand(of));
  for (Operation *op : cone.ops) {
    for (Value operand : op->getOperands())
      mapping.map(operand, getForwardValue(operand, builder, mapping));
    builder.clone(*op, mapping);
  }
  unsigned first = forward.getNumResults();
  for (auto [index, result] : llvm::enumerate(cone.results)) {
    Value value = result;
    std::string name = getValueName(value).str();
    remarkPassed(kResidualRemark, backward, value.getLoc(), getBytes(value.getType()), [&] {
      return describe(value) + " is handed over by " + forward.getName().str() + (replaces ? " instead of" : " beside") + " what it is made of";
    });
    DictionaryAttr attributes = builder.getDictionaryAttr(builder.getNamedAttr(kNameAttr, builder.getStringAttr(name)));
    (void)forward.insertResult(first + index, value.getType(), attributes);
    terminator->insertOperands(first + index, mapping.lookup(value));
    (void)backward.insertArgument(position + 1 + index, value.getType(),
                                  getArgAttrs(value.getContext(), name, ArgKind::Residual, first + index), value.getLoc());
    value.replaceUsesWithIf(backward.getArgument(position + 1 + index),
                            [&](OpOperand &use) { return !llvm::is_contained(cone.ops, use.getOwner()); });
  }
  for (graph::CallOp &call : forwardCalls)
    replaceCall(call, forward.getResultTypes(), call.getOperands(), [](unsigned i) { return i; });
  for (graph::CallOp &call : backwardCalls) {
    auto source = call.getOperand(position).getDefiningOp<graph::CallOp>();
    SmallVector<Value> operands(call.getOperands());
    operands.insert(operands.begin() + position + 1, source.getResults().begin() + first, source.getResults().end());
    if (replaces)
      operands.erase(operands.begin() + position);
    replaceCall(call, call.getResultTypes(), operands, [](unsigned i) { return i; });
  }
  if (replaces) {
    for (Operation *op : llvm::reverse(cone.ops))
      op->erase();
    (void)backward.eraseArgument(position);
  }
  for (unsigned index = 0, end = backward.getNumResults(); index < end; ++index)
    if (auto inplace = backward.getResultAttrOfType<IntegerAttr>(index, graph::kInplaceAttr);
        inplace && inplace.getInt() > position)
      backward.setResultAttr(index, graph::kInplaceAttr,
                             builder.getI64IntegerAttr(inplace.getInt() + int64_t(cone.results.size()) - replaces));
  if (replaces)
    eraseResult(of);
}

void Narrowing::run() {
  // Every call must take its residuals directly from a forward call.
  auto fromForward = [&](unsigned position) {
    return llvm::all_of(backwardCalls, [&](graph::CallOp call) {
      auto source = call.getOperand(position).getDefiningOp<graph::CallOp>();
      return source && source.getCallee() == forward.getName();
    });
  };
  SmallVector<BlockArgument> residuals;
  for (unsigned index : getArgsOfKind(backward, ArgKind::Residual))
    residuals.push_back(backward.getArgument(index));
  bool changed = false;
  for (BlockArgument residual : residuals) {
    if (!fromForward(residual.getArgNumber()))
      continue;
    Cone cone = findCone(residual);
    int64_t bytes = 0;
    for (Value result : cone.results)
      bytes += getBytes(result.getType());
    bool replaces = !cone.results.empty() && bytes < getBytes(residual.getType());
    if (!replaces)
      cone = findNumbers(residual);
    if (cone.results.empty())
      continue;
    handOver(residual, cone, replaces);
    changed = true;
  }
  if (!changed)
    return;
  // What forward has quantised for itself is not quantised twice.
  IRRewriter rewriter(forward.getContext());
  DominanceInfo dominance(forward);
  eliminateCommonSubExpressions(rewriter, dominance, forward);
  eraseDeadOps(backward);
}

void primus::narrowResiduals(func::FuncOp forward, func::FuncOp backward, llvm::function_ref<bool(Operation *)> isMovable) {
  Narrowing(forward, backward, isMovable).run();
}
