//===- Placed.cpp - What phase placed promises -----------------------------===//

#include "ir/graph/GraphDialect.h"
#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;

/// Checks that an axis, which a value is split or partial over, has one rank: no value's shape then depends on its
/// layout.
static LogicalResult verifyAxis(Value value, graph::MeshAttr mesh, StringAttr axis, StringRef use) {
  std::optional<int64_t> size = mesh.getSize(axis);
  if (!size || *size == 1)
    return success();
  return emitError(value.getLoc()) << "value of type " << value.getType() << " is " << use << " axis " << axis << " of "
                                   << *size << " ranks, but has its global shape";
}

LogicalResult primus::verifyPlaced(ModuleOp module) {
  if (failed(verifySharded(module)))
    return failure();
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  return forEachValue(module, [&](Value value) -> LogicalResult {
    auto layout = cast<graph::LayoutAttr>(cast<RankedTensorType>(value.getType()).getEncoding());
    for (ArrayAttr axes : layout.getAxes())
      for (auto axis : axes.getAsRange<StringAttr>())
        if (failed(verifyAxis(value, mesh, axis, "split over")))
          return failure();
    for (StringAttr axis : layout.getPartialAxes())
      if (failed(verifyAxis(value, mesh, axis, "partial over")))
        return failure();
    return success();
  });
}
