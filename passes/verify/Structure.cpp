//===- Structure.cpp - Checks that several phases share --------------------===//

#include "passes/LayerFunction.h"
#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;

LogicalResult primus::forEachValue(ModuleOp module, llvm::function_ref<LogicalResult(Value)> check) {
  WalkResult result = module.walk([&](Operation *op) {
    if (llvm::any_of(op->getResults(), [&](Value value) { return failed(check(value)); }))
      return WalkResult::interrupt();
    for (Region &region : op->getRegions())
      for (Block &block : region)
        if (llvm::any_of(block.getArguments(), [&](Value value) { return failed(check(value)); }))
          return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

static bool isStructural(Operation *op) {
  return isa<graph::LoadOp, graph::StoreOp, graph::CallOp, graph::ScheduleOp, graph::MicrobatchOp, graph::SendOp,
             graph::ReceiveOp, graph::SumStagesOp>(op);
}

static LogicalResult verifyProgram(func::FuncOp program) {
  WalkResult result = program.getBody().walk([](Operation *op) {
    if (isStructural(op) || isa<graph::ConstantOp, graph::YieldOp, func::ReturnOp>(op))
      return WalkResult::advance();
    op->emitOpError("cannot be in a program, which only loads, stores and calls layers: move it into a layer's "
                    "function");
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

static LogicalResult verifyLayerFunction(func::FuncOp function) {
  if (getLayer(function).empty() || getPart(function).empty())
    return function.emitOpError() << "needs the entries 'layer' and 'part' in its attribute '" << graph::kLayerAttr
                                  << "'";
  for (unsigned index = 0, end = function.getNumArguments(); index < end; ++index)
    if (failed(getArgKind(function, index)))
      return failure();
  WalkResult result = function.getBody().walk([](Operation *op) {
    if (!isStructural(op))
      return WalkResult::advance();
    op->emitOpError("cannot be in a layer's function, which is pure: move it into the program that calls the layer");
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

LogicalResult primus::verifyStructure(ModuleOp module) {
  for (Operation &op : *module.getBody()) {
    if (isa<graph::VariableOp>(op))
      continue;
    auto function = dyn_cast<func::FuncOp>(op);
    if (!function)
      return op.emitOpError("is neither a variable nor a function");
    if (!function.getBody().hasOneBlock())
      return function.emitOpError("must have a body of one block");
    if (failed(isProgram(function) ? verifyProgram(function) : verifyLayerFunction(function)))
      return failure();
  }
  return success();
}
