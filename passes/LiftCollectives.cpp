//===- LiftCollectives.cpp - Parameters' collectives at call level --------===//

#include "passes/LayerFunction.h"
#include "passes/Passes.h"

using namespace mlir;
using namespace primus;

namespace primus {
#define GEN_PASS_DEF_LIFTCOLLECTIVES
#include "passes/Passes.h.inc"
} // namespace primus

namespace {

/// Lifts the collectives at the borders of one function into its callers.
class Lifting {
public:
  Lifting(func::FuncOp function, ArrayRef<graph::CallOp> calls)
      : function(function), terminator(function.front().getTerminator()), calls(calls) {}

  void run();

private:
  bool liftArgument(unsigned index);
  bool liftResult(unsigned index);
  void updateType();
  /// A copy of a collective with another operand.
  static Value copy(OpBuilder &builder, Operation *collective, Value operand);

  func::FuncOp function;
  Operation *terminator;
  ArrayRef<graph::CallOp> calls;
};

struct LiftCollectives : primus::impl::LiftCollectivesBase<LiftCollectives> {
  void runOnOperation() override;
};

} // namespace

Value Lifting::copy(OpBuilder &builder, Operation *collective, Value operand) {
  Operation *result = builder.clone(*collective);
  result->setOperand(0, operand);
  return result->getResult(0);
}

bool Lifting::liftArgument(unsigned index) {
  BlockArgument argument = function.getArgument(index);
  if (!argument.hasOneUse())
    return false;
  Operation *collective = *argument.getUsers().begin();
  if (!isa<graph::CollectiveOpInterface>(collective))
    return false;
  for (graph::CallOp call : calls) {
    OpBuilder builder(call);
    call.setOperand(index, copy(builder, collective, call.getOperand(index)));
  }
  argument.setType(collective->getResult(0).getType());
  collective->getResult(0).replaceAllUsesWith(argument);
  collective->erase();
  // It is not the caller's old buffer any more.
  for (unsigned result = 0; result < function.getNumResults(); ++result)
    if (auto inplace = function.getResultAttrOfType<IntegerAttr>(result, graph::kInplaceAttr); inplace && inplace.getInt() == index)
      function.removeResultAttr(result, StringAttr::get(function.getContext(), graph::kInplaceAttr));
  return true;
}

bool Lifting::liftResult(unsigned index) {
  Value value = terminator->getOperand(index);
  Operation *collective = value.getDefiningOp();
  if (!isa_and_nonnull<graph::CollectiveOpInterface>(collective) || !value.hasOneUse())
    return false;
  for (graph::CallOp call : calls) {
    OpBuilder builder(call->getContext());
    builder.setInsertionPointAfter(call);
    Value result = call.getResult(index);
    result.setType(collective->getOperand(0).getType());
    Value lifted = copy(builder, collective, result);
    result.replaceAllUsesExcept(lifted, lifted.getDefiningOp());
  }
  terminator->setOperand(index, collective->getOperand(0));
  collective->erase();
  function.removeResultAttr(index, StringAttr::get(function.getContext(), graph::kInplaceAttr));
  return true;
}

void Lifting::updateType() {
  function.setFunctionType(FunctionType::get(function.getContext(), function.front().getArgumentTypes(), terminator->getOperandTypes()));
}

void Lifting::run() {
  // One after the other where several follow each other.
  bool changed = false;
  for (unsigned index = 0; index < function.getNumArguments(); ++index)
    while (liftArgument(index))
      changed = true;
  for (unsigned index = 0; index < function.getNumResults(); ++index)
    while (liftResult(index))
      changed = true;
  if (changed)
    updateType();
}

void LiftCollectives::runOnOperation() {
  llvm::StringMap<SmallVector<graph::CallOp>> calls;
  getOperation().walk([&](graph::CallOp call) { calls[call.getCallee()].push_back(call); });
  for (auto function : getOperation().getOps<func::FuncOp>()) {
    StringRef part = getPart(function);
    if (part != "forward" && !part.starts_with("backward") && function->hasAttr(graph::kLayerAttr))
      Lifting(function, calls[function.getName()]).run();
  }
}
