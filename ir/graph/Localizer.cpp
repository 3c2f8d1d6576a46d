//===- Localizer.cpp - Parts of ops' local forms --------------------------===//

#include "ir/graph/Localizer.h"
#include "ir/graph/GraphBuilder.h"

using namespace mlir;
using namespace primus::graph;

SmallVector<Value> primus::graph::cloneLocally(Operation *op, OpBuilder &builder, ValueRange operands,
                                               TypeRange resultTypes) {
  Operation *local = builder.clone(*op);
  local->setOperands(operands);
  for (auto [result, type] : llvm::zip_equal(local->getResults(), resultTypes))
    result.setType(type);
  return llvm::to_vector_of<Value>(local->getResults());
}

ArrayAttr primus::graph::getSplitAxes(RankedTensorType type, int64_t dim) {
  auto layout = dyn_cast_if_present<LayoutAttr>(type.getEncoding());
  return layout ? layout.getAxes()[dim] : ArrayAttr::get(type.getContext(), {});
}

Value primus::graph::buildBlockOffset(OpBuilder &builder, Location loc, RankedTensorType type, int64_t dim,
                                      Type elementType, Localizer &localizer) {
  GraphBuilder b(builder, loc);
  Value index = localizer.getAxisIndex(getSplitAxes(type, dim));
  return b.mul(b.convert(index, elementType), static_cast<double>(type.getDimSize(dim)));
}
