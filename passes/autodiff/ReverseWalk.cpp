//===- ReverseWalk.cpp - Reverse-mode differentiation ---------------------===//

#include "passes/autodiff/ReverseWalk.h"

#include "passes/LayerFunction.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus;

void primus::decomposeForGradient(func::FuncOp function) {
  SmallVector<Operation *> worklist;
  for (Operation &op : function.getBody().front())
    worklist.push_back(&op);
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val();
    auto decomposable = dyn_cast<graph::Decomposable>(op);
    if (!decomposable || isa<graph::Differentiable>(op))
      continue;
    Operation *before = op->getPrevNode();
    OpBuilder builder(op);
    op->replaceAllUsesWith(decomposable.decompose(builder));
    for (Operation *added = before ? before->getNextNode() : &op->getBlock()->front(); added != op;
         added = added->getNextNode())
      worklist.push_back(added);
    op->erase();
  }
}

ReverseWalk::ReverseWalk(Block *block, ValueRange sources)
    : builder(OpBuilder::atBlockEnd(block)), sources(sources.begin(), sources.end()),
      active(sources.begin(), sources.end()) {}

bool ReverseWalk::isActive(Operation *op) const {
  return llvm::any_of(op->getOperands(), [&](Value operand) { return active.contains(operand); });
}

Value ReverseWalk::add(Location loc, Value lhs, Value rhs) {
  if (!lhs)
    return rhs;
  return graph::AddOp::create(builder, loc, lhs.getType(), lhs, rhs);
}

void ReverseWalk::contribute(Value value, Value gradient) {
  Contributions &sum = gradients[value];
  if (cast<RankedTensorType>(gradient.getType()).getElementType().isF32())
    sum.wide = add(getDerivedLoc(value, ".grad"), sum.wide, gradient);
  else
    sum.narrow.push_back(gradient);
}

Value ReverseWalk::getGradient(Value value, Type element) {
  auto it = gradients.find(value);
  if (it == gradients.end())
    return {};
  Location loc = getDerivedLoc(value, ".grad");
  Value sum = it->second.wide;
  Type sumElement = getElementTypeOrSelf(sum ? sum : it->second.narrow.front());
  for (Value narrow : it->second.narrow)
    sum = add(loc, sum, convertElements(builder, loc, narrow, sumElement));
  return convertElements(builder, loc, sum, element);
}

LogicalResult ReverseWalk::visit(ArrayRef<Operation *> ops) {
  for (Operation *op : ops)
    if (isActive(op))
      for (Value result : op->getResults())
        if (hasFloatElements(result.getType()))
          active.insert(result);
  for (Operation *op : llvm::reverse(ops))
    if (isActive(op) && failed(visit(op)))
      return failure();
  return success();
}

LogicalResult ReverseWalk::visit(Operation *op) {
  SmallVector<Value> cotangents;
  for (Value result : op->getResults())
    cotangents.push_back(getGradient(result, getElementTypeOrSelf(result)));
  if (llvm::none_of(cotangents, [](Value cotangent) { return static_cast<bool>(cotangent); }))
    return success();

  auto differentiable = dyn_cast<graph::Differentiable>(op);
  if (!differentiable)
    return op->emitOpError("lies between a parameter and the loss, but has neither a derivative nor a decomposition");

  Block *block = builder.getInsertionBlock();
  Operation *before = &block->back();
  SmallVector<Value> gradientsOfOperands = differentiable.buildVjp(builder, cotangents);
  // A derivative that does not exist for these cotangents has said why and returned nothing.
  if (gradientsOfOperands.size() != op->getNumOperands())
    return op->emitOpError() << "gave " << gradientsOfOperands.size() << " gradients for its " << op->getNumOperands()
                             << " operands";

  // Names: what the derivative built is called after the op, a gradient that has an op to itself after its operand.
  Location loc = getDerivedLoc(op->getResult(0), ".grad");
  for (Operation *built = before->getNextNode(); built; built = built->getNextNode())
    built->setLoc(loc);
  for (auto [operand, gradient] : llvm::zip_equal(op->getOperands(), gradientsOfOperands)) {
    Operation *built = gradient ? gradient.getDefiningOp() : nullptr;
    if (built && built->getNumResults() == 1 && before->isBeforeInBlock(built))
      built->setLoc(getDerivedLoc(operand, ".grad"));
  }

  for (auto [index, operand, gradient] : llvm::enumerate(op->getOperands(), gradientsOfOperands)) {
    if (!gradient || !active.contains(operand))
      continue;
    auto type = cast<RankedTensorType>(operand.getType());
    if (gradient.getType() != type && gradient.getType() != withElementType(type, builder.getF32Type()))
      return op->emitOpError() << "has a derivative of type " << gradient.getType() << " for operand " << index
                               << " of type " << type;
    contribute(operand, gradient);
  }
  return success();
}
