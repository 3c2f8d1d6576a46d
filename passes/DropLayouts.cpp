//===- DropLayouts.cpp - Layers' values without their layouts -------------===//

#include "ir/graph/GraphDialect.h"
#include "passes/Passes.h"

using namespace mlir;
using namespace primus;

namespace primus {
#define GEN_PASS_DEF_DROPLAYOUTS
#include "passes/Passes.h.inc"
} // namespace primus

static RankedTensorType dropLayout(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape(), tensor.getElementType());
}

static void run(func::FuncOp function) {
  Block &body = function.front();
  for (Operation &op : body) {
    for (OpResult result : op.getResults())
      result.setType(dropLayout(result.getType()));
    if (auto constant = dyn_cast<graph::ConstantOp>(op))
      constant.setValueAttr(cast<DenseElementsAttr>(constant.getValue()).reshape(constant.getType()));
  }
  // The signature keeps its layouts: programs and the interpreter go by them.
  auto view = [](OpBuilder &builder, Location loc, Type type, Value value) {
    return value.getType() == type ? value : graph::ReshapeOp::create(builder, loc, type, value).getResult();
  };
  OpBuilder builder(&body, body.begin());
  for (BlockArgument argument : body.getArguments())
    if (Value plain = view(builder, argument.getLoc(), dropLayout(argument.getType()), argument); plain != argument)
      argument.replaceAllUsesExcept(plain, plain.getDefiningOp());
  Operation *end = body.getTerminator();
  builder.setInsertionPoint(end);
  for (auto [operand, type] : llvm::zip_equal(end->getOpOperands(), function.getResultTypes()))
    operand.set(view(builder, operand.get().getLoc(), type, operand.get()));
}

namespace {

struct DropLayouts : primus::impl::DropLayoutsBase<DropLayouts> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function->hasAttr(graph::kLayerAttr))
        run(function);
  }
};

} // namespace
