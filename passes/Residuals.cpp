//===- Residuals.cpp - What a layer's forward hands to its backward --------===//

#include "passes/Residuals.h"

#include "passes/LayerFunction.h"
#include "passes/Remarks.h"
#include "passes/autodiff/MinCut.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus;

//===----------------------------------------------------------------------===//
// Selection
//===----------------------------------------------------------------------===//

SmallVector<Value> primus::selectResiduals(ForwardCopy &copy, llvm::function_ref<bool(Operation *)> isCheap) {
  llvm::SmallPtrSet<Operation *, 32> copied(copy.ops.begin(), copy.ops.end());
  Operation *forwardReturn = copy.forward.getBody().front().getTerminator();
  llvm::DenseSet<Value> returned(forwardReturn->operand_begin(), forwardReturn->operand_end());

  // Each value is an edge whose capacity is its size: cutting it means to hand it over. The source feeds what must not
  // be computed again; the sink is what the gradients use.
  FlowNetwork network;
  llvm::DenseMap<Value, std::pair<unsigned, unsigned>> nodes;
  for (Operation *op : copy.ops) {
    bool cheap = isCheap(op);
    for (Value result : op->getResults()) {
      unsigned in = network.addNode(), out = network.addNode();
      nodes[result] = {in, out};
      network.addEdge(in, out, returned.contains(copy.original.lookup(result)) ? 0 : getBytes(result.getType()));
      if (!cheap)
        network.addEdge(FlowNetwork::source, in, FlowNetwork::unlimited);
      else
        for (Value operand : op->getOperands())
          if (auto it = nodes.find(operand); it != nodes.end())
            network.addEdge(it->second.second, in, FlowNetwork::unlimited);
      if (llvm::any_of(result.getUsers(), [&](Operation *user) { return !copied.contains(user); }))
        network.addEdge(out, FlowNetwork::sink, FlowNetwork::unlimited);
    }
  }

  SmallVector<bool> onSinkSide = network.cutNearestToSink();
  SmallVector<Value> residuals;
  for (Operation *op : copy.ops)
    for (Value result : op->getResults())
      if (auto [in, out] = nodes[result]; !onSinkSide[in] && onSinkSide[out])
        residuals.push_back(result);
  return residuals;
}

//===----------------------------------------------------------------------===//
// Editing
//===----------------------------------------------------------------------===//

/// Index of the result by which `forward` returns `value`, which is added if there is none.
static unsigned returnValue(func::FuncOp forward, Value value, StringRef name) {
  Operation *terminator = forward.getBody().front().getTerminator();
  auto operands = terminator->getOperands();
  if (auto it = llvm::find(operands, value); it != operands.end())
    return it - operands.begin();
  Builder b(forward.getContext());
  unsigned index = terminator->getNumOperands();
  (void)forward.insertResult(index, value.getType(),
                             b.getDictionaryAttr(b.getNamedAttr(kNameAttr, b.getStringAttr(name))));
  terminator->insertOperands(index, value);
  return index;
}

/// Gives the calls of a function the results that were added to it.
static void updateCalls(func::FuncOp function) {
  for (graph::CallOp call : findCalls(function))
    if (call.getNumResults() != function.getNumResults())
      replaceCall(call, function, call.getOperands());
}

/// Erases what is left of the copy without use; moves the rest to where it is used first, so that it lives briefly.
static void sinkCopy(ForwardCopy &copy) {
  for (Operation *op : llvm::reverse(copy.ops)) {
    if (op->use_empty()) {
      op->erase();
      continue;
    }
    // Views and constants are nothing to compute.
    if (!isa<graph::ReshapeOp, graph::ConstantOp>(op))
      remarkPassed(kRecomputeRemark, copy.backward, op->getLoc(), getBytes(op->getResult(0).getType()),
                   [&] { return describe(op) + " is computed again instead of being handed over"; });
    Operation *first = *op->user_begin();
    for (Operation *user : op->getUsers())
      if (user->isBeforeInBlock(first))
        first = user;
    op->moveBefore(first);
  }
  copy.ops.clear();
}

static std::string getResidualName(Value value) {
  StringRef name = getValueName(value);
  auto result = cast<OpResult>(value);
  std::string suffix = result.getResultNumber() == 0 ? "" : "." + std::to_string(result.getResultNumber());
  return (name.empty() ? result.getOwner()->getName().stripDialect() : name).str() + suffix;
}

void primus::addResiduals(ForwardCopy &copy, ArrayRef<Value> values) {
  unsigned position = getArgsOfKind(copy.backward, ArgKind::Cotangent).size() +
                      getArgsOfKind(copy.backward, ArgKind::Residual).size();
  for (Value value : values) {
    std::string name = getResidualName(value);
    remarkPassed(kResidualRemark, copy.backward, value.getLoc(), getBytes(value.getType()),
                 [&] { return describe(value) + " is handed over by " + copy.forward.getName().str(); });
    unsigned result = returnValue(copy.forward, copy.original.lookup(value), name);
    (void)copy.backward.insertArgument(
        position, value.getType(), getArgAttrs(value.getContext(), name, ArgKind::Residual, result), value.getLoc());
    value.replaceAllUsesWith(copy.backward.getArgument(position++));
  }
  sinkCopy(copy);
  updateCalls(copy.forward);
}
