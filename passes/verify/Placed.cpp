//===- Placed.cpp - What phase placed promises -----------------------------===//

#include "ir/graph/GraphDialect.h"
#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;

LogicalResult primus::verifyPlaced(ModuleOp module) {
  if (failed(verifyLayouts(module)))
    return failure();
  if (!module->hasAttr(graph::kPlacedAttr))
    return module.emitError() << "lacks the attribute '" << graph::kPlacedAttr
                              << "', by which shapes are those of one rank: run graph-place";
  WalkResult result = module.walk([](graph::ReshardOp reshard) {
    reshard.emitOpError("is left: graph-place turns it into collectives");
    return WalkResult::interrupt();
  });
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  return failure(result.wasInterrupted() || failed(verifyRules(module, mesh, /*isLocal=*/true)));
}
