//===- VariableLayouts.cpp - Layouts of a module's variables --------------===//

#include "passes/placement/VariableLayouts.h"

#include "passes/Program.h"
#include "passes/Remarks.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

static void setType(graph::VariableOp variable, const Layout &layout) {
  variable.setTypeAttr(TypeAttr::get(layout.apply(variable.getTensorType())));
}

void VariableLayouts::remarkReplicas(graph::VariableOp variable, func::FuncOp forward) const {
  Axes sharing = dims.getStateAxes(), replicas;
  for (StringAttr axis : Axes(sharing))
    if (!getResting(variable).splits(axis)) {
      replicas.push_back(axis);
      llvm::erase(sharing, axis);
    }
  RankedTensorType type = variable.getTensorType();
  if (replicas.empty())
    return;
  remarkMissed(kPlacementRemark, forward, variable.getLoc(), type.getNumElements() * type.getElementTypeBitWidth() / 8,
               [&] {
                 return variable.getSymName().str() + " and its optimizer state are kept whole by each rank of " +
                        placement::describe(replicas) + ": no dimension divides by their number" +
                        (sharing.empty() ? "" : " beside that of " + placement::describe(sharing));
               });
}

LogicalResult VariableLayouts::run() {
  auto forward = module.lookupSymbol<func::FuncOp>(kForwardProgram);
  for (auto variable : module.getOps<graph::VariableOp>()) {
    Entry &entry = entries[variable];
    FailureOr<Layout> layout = dims.getLayout(variable.getDimsAttr(), variable.getTensorType(),
                                              [&] { return variable.emitOpError("cannot be placed: "); });
    if (failed(layout))
      return failure();
    entry.resting = entry.gathered = *layout;
    if (auto sharing = variable->getAttrOfType<StringAttr>(kSharingAttr)) {
      if (sharing == kSharedAsMaximum)
        entry.resting = dims.getMaximum(layout->dims.size());
      setType(variable, entry.resting);
      continue;
    }
    bool isGradient = variable.getRole() == graph::Role::Gradient;
    bool isState = variable.getRole() == graph::Role::Parameter || variable.getRole() == graph::Role::Optimizer;
    if ((isState && plan.zero >= 1) || (isGradient && plan.zero >= 2)) {
      entry.resting = dims.shareState(*layout, variable.getTensorType().getShape());
      if (forward && variable.getRole() == graph::Role::Parameter)
        remarkReplicas(variable, forward);
    }
    entry.open = isGradient;
    setType(variable, entry.resting);
  }
  return success();
}

graph::VariableOp VariableLayouts::getParameter(graph::VariableOp accumulator) const {
  StringRef name = accumulator.getSymName();
  if (accumulator.getRole() != graph::Role::Gradient || !name.consume_back(".grad"))
    return {};
  ModuleOp symbols = module;
  return symbols.lookupSymbol<graph::VariableOp>(name);
}

void VariableLayouts::settle(graph::VariableOp variable, const Layout &layout) {
  Entry &entry = entries[variable];
  entry.resting = layout;
  entry.open = false;
  setType(variable, layout);
  for (Value value : entry.waiting)
    value.setType(layout.apply(value.getType()));
}

void VariableLayouts::settleAll() {
  for (auto variable : module.getOps<graph::VariableOp>())
    if (isOpen(variable))
      settle(variable, Layout(getResting(variable)));
}
