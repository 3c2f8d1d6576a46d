//===- Model.cpp - What phase model promises -------------------------------===//

#include "passes/LayerFunction.h"
#include "passes/Program.h"
#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;

LogicalResult primus::verifyModel(ModuleOp module) {
  if (failed(verifyStructure(module)) || failed(ForwardProgram::get(module)))
    return failure();
  for (auto variable : module.getOps<graph::VariableOp>())
    if (variable.getRole() == graph::Role::Gradient || variable.getRole() == graph::Role::Optimizer)
      return variable.emitOpError("is state of the training step, which phase model does not have");
  for (auto function : module.getOps<func::FuncOp>()) {
    StringRef part = getPart(function);
    if (part == "backward" || part == "forward_backward" || part == "reduce" || part == "update")
      return function.emitOpError() << "is part '" << part << "' of a layer, which phase model does not have";
    WalkResult result = function.walk([](graph::ScheduleOp schedule) {
      schedule.emitOpError("cannot be in phase model, whose programs run one microbatch");
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      return failure();
  }
  return success();
}
