//===- Sharded.cpp - What phase sharded promises ---------------------------===//

#include "ir/graph/GraphDialect.h"
#include "passes/Program.h"
#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;

/// Checks that a type has a layout, over axes of the mesh.
static LogicalResult verifyType(RankedTensorType type, graph::MeshAttr mesh, Location loc) {
  auto layout = dyn_cast_or_null<graph::LayoutAttr>(type.getEncoding());
  if (!layout)
    return emitError(loc) << "value of type " << type << " has no layout";
  auto check = [&](StringAttr axis) -> LogicalResult {
    if (mesh.getSize(axis))
      return success();
    return emitError(loc) << "layout of " << type << " names axis " << axis << ", which the mesh " << mesh << " lacks";
  };
  for (ArrayAttr axes : layout.getAxes())
    for (auto axis : axes.getAsRange<StringAttr>())
      if (failed(check(axis)))
        return failure();
  for (StringAttr axis : layout.getPartialAxes())
    if (failed(check(axis)))
      return failure();
  return success();
}

LogicalResult primus::verifyLayouts(ModuleOp module) {
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  if (!mesh)
    return module.emitError() << "has no mesh: set the attribute '" << graph::kMeshAttr << "'";
  auto isPartial = [](RankedTensorType type) { return cast<graph::LayoutAttr>(type.getEncoding()).isPartial(); };
  for (auto variable : module.getOps<graph::VariableOp>()) {
    if (failed(verifyType(variable.getTensorType(), mesh, variable.getLoc())))
      return failure();
    auto sharing = variable->getAttrOfType<StringAttr>(kSharingAttr);
    bool isMaximum = sharing && sharing == kSharedAsMaximum;
    bool isOpen = variable.getRole() == graph::Role::Gradient || isMaximum;
    if (isPartial(variable.getTensorType()) && !isOpen)
      return variable.emitOpError("is partial, which only gradients may be between microbatches");
  }
  if (failed(forEachValue(module, [&](Value value) {
        return verifyType(cast<RankedTensorType>(value.getType()), mesh, value.getLoc());
      })))
    return failure();
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isPublic())
      for (Type type : function.getResultTypes())
        if (isPartial(cast<RankedTensorType>(type)))
          return function.emitOpError() << "returns " << type << ": a program's result must be reduced";
  return success();
}

LogicalResult primus::verifySharded(ModuleOp module) {
  if (failed(verifyLayouts(module)))
    return failure();
  return verifyRules(module, module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr), /*isLocal=*/false);
}
