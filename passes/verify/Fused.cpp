//===- Fused.cpp - What phase fused promises -------------------------------===//

#include "passes/LayerFunction.h"
#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;

/// A view moves no data: another shape, or rows of the leading dimension.
static bool isView(Operation *op) {
  if (isa<graph::ReshapeOp>(op))
    return true;
  auto slice = dyn_cast<graph::SliceOp>(op);
  if (!slice)
    return false;
  auto source = cast<RankedTensorType>(slice.getOperand().getType()), box = cast<RankedTensorType>(slice.getType());
  return box.getShape().drop_front() == source.getShape().drop_front();
}

LogicalResult primus::verifyFused(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>()) {
    if (isProgram(function))
      continue;
    for (Operation &op : function.getBody().front().without_terminator())
      if (!isa<graph::FusionOp, graph::CollectiveOpInterface>(op) && !isView(&op))
        return op.emitOpError("is in no fusion: no kernel would compute it");
  }
  return success();
}
