//===- Stages.cpp - Messages between the stages of a pipeline -------------===//

#include "ir/graph/GraphDialect.h"
#include "ir/step/StepDialect.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

#include "ir/step/StepInterfaces.cpp.inc"

std::optional<int64_t> step::getStage(Operation *program) {
  auto stage = program->getAttrOfType<IntegerAttr>(graph::kStageAttr);
  return stage ? std::optional(stage.getInt()) : std::nullopt;
}

std::optional<int64_t> step::getOffset(Operation *variable, std::optional<int64_t> stage) {
  if (auto offset = variable->getAttrOfType<IntegerAttr>(kOffsetAttr))
    return offset.getInt();
  auto offsets = variable->getAttrOfType<DenseI64ArrayAttr>(kOffsetsAttr);
  if (!stage || !offsets || *stage >= offsets.size() || offsets[*stage] < 0)
    return std::nullopt;
  return offsets[*stage];
}

/// Checks that a message goes to or comes from another stage of the mesh.
static LogicalResult verifyMessage(Operation *op, int64_t other, int64_t ticket) {
  auto module = op->getParentOfType<ModuleOp>();
  auto mesh = module ? module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr) : graph::MeshAttr();
  std::optional<int64_t> stages = mesh ? mesh.getSize("pp") : std::nullopt;
  if (!stages)
    return op->emitOpError() << "needs a mesh with the axis 'pp' in its module's attribute '" << graph::kMeshAttr << "'";
  if (other < 0 || other >= *stages)
    return op->emitOpError() << "names stage " << other << " of " << *stages;
  auto program = op->getParentOfType<ProgramOp>();
  std::optional<int64_t> own = program ? getStage(program) : std::nullopt;
  if (!own)
    return op->emitOpError() << "needs a program with the attribute '" << graph::kStageAttr << "' around it";
  if (*own == other)
    return op->emitOpError() << "names its own stage " << other;
  if (op->getNumOperands() == 0)
    return op->emitOpError("needs a buffer");
  if (ticket < 0)
    return op->emitOpError() << "ticket must not be negative, but is " << ticket;
  return success();
}

LogicalResult SendOp::verify() { return verifyMessage(*this, getStage(), static_cast<int64_t>(getTicket())); }
LogicalResult ReceiveOp::verify() { return verifyMessage(*this, getStage(), static_cast<int64_t>(getTicket())); }
