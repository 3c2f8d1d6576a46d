//===- Train.cpp - What phase train promises -------------------------------===//

#include "passes/LayerFunction.h"
#include "passes/Plan.h"
#include "passes/Program.h"
#include "passes/verify/PhaseVerifiers.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace primus;

/// Checks that the step has one schedule over the plan's microbatches, and stores what a step must change.
static LogicalResult verifyTrainStep(ModuleOp module, const Plan &plan) {
  StringRef name = plan.goal == Goal::Training ? kTrainStepProgram : kGradientsProgram;
  auto step = module.lookupSymbol<func::FuncOp>(name);
  if (!step)
    return module.emitError() << "has no program '" << name << "'";
  auto schedules = llvm::to_vector(step.getOps<graph::ScheduleOp>());
  if (schedules.size() != 1)
    return step.emitOpError() << "has " << schedules.size() << " schedules instead of one";
  if (schedules.front().getMicrobatches() != static_cast<uint64_t>(plan.microbatches))
    return schedules.front().emitOpError()
           << "runs over " << schedules.front().getMicrobatches() << " microbatches, but " << graph::kPlanAttr
           << " has " << plan.microbatches;

  llvm::StringSet<> stored;
  step.walk([&](graph::StoreOp store) { stored.insert(store.getVariable()); });
  for (auto variable : module.getOps<graph::VariableOp>()) {
    bool changes = variable.getRole() == graph::Role::Gradient || variable.getRole() == graph::Role::Optimizer;
    if (changes && !stored.contains(variable.getSymName()))
      return variable.emitOpError() << "is never stored by '" << name << "'";
    if (variable.getRole() != graph::Role::Gradient || plan.goal != Goal::Training)
      continue;
    StringRef parameter = variable.getSymName();
    if (!parameter.consume_back(".grad") || !stored.contains(parameter))
      return variable.emitOpError() << "accumulates the gradient of a parameter that '" << name
                                    << "' does not update";
  }
  return success();
}

LogicalResult primus::verifyTrain(ModuleOp module) {
  FailureOr<Plan> plan = Plan::get(module);
  if (failed(plan) || failed(verifyStructure(module)) ||
      (plan->goal != Goal::Forward && failed(verifyTrainStep(module, *plan))))
    return failure();
  for (auto function : module.getOps<func::FuncOp>()) {
    auto backward = function->getAttrOfType<FlatSymbolRefAttr>(kBackwardAttr);
    if (backward && !module.lookupSymbol<func::FuncOp>(backward.getAttr()))
      return function.emitOpError() << "names " << backward << " in " << kBackwardAttr << ", which does not exist";
  }
  return success();
}
