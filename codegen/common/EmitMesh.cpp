//===- EmitMesh.cpp - What concerns several ranks -------------------------===//

#include "codegen/common/EmitMesh.h"

using namespace mlir;
using namespace primus;

void primus::emitMesh(graph::MeshAttr mesh, executable::Executable &result) {
  if (!mesh || mesh.getNumRanks() == 1)
    return;
  for (auto [name, size] : llvm::zip_equal(mesh.getNames(), mesh.getSizes())) {
    result.mutable_mesh()->add_names(name.str());
    result.mutable_mesh()->add_sizes(size);
  }
}

std::optional<executable::Layout> primus::describeLayout(graph::MeshAttr mesh, graph::LayoutAttr layout, ShapedType type) {
  if (!mesh || !layout)
    return std::nullopt;
  executable::Layout result;
  bool isSpread = false;
  for (auto [dim, axes] : llvm::enumerate(layout.getAxes())) {
    int64_t size = type.getDimSize(dim);
    executable::Axes &names = *result.add_dims();
    for (auto axis : axes.getAsRange<StringAttr>()) {
      int64_t ranks = *mesh.getSize(axis);
      if (ranks == 1)
        continue;
      names.add_names(axis.str());
      size *= ranks;
      isSpread = true;
    }
    result.add_global_shape(size);
  }
  for (StringAttr axis : layout.getPartialAxes()) {
    if (*mesh.getSize(axis) == 1)
      continue;
    result.add_partial(axis.str());
    isSpread = true;
  }
  return isSpread ? std::optional(std::move(result)) : std::nullopt;
}

void primus::emitCollective(step::CollectiveOp collective, executable::DataType dataType, executable::Collective &result) {
  result.set_kind(step::stringifyCollectiveKind(collective.getKind()).str());
  for (auto axis : collective.getAxes().getAsRange<StringAttr>())
    result.add_axes(axis.str());
  if (std::optional<step::Reduction> reduction = collective.getReduction())
    result.set_reduction(step::stringifyReduction(*reduction).str());
  result.set_data_type(dataType);
  result.set_shift(collective.getShift());
  result.set_ticket(collective.getTicket());
  result.set_reason(collective.getReason().value_or("").str());
  result.set_instance(collective.getInstance().value_or("").str());
  for (auto [index, source] : llvm::enumerate(collective.getSources())) {
    executable::Part &part = *result.add_parts();
    for (int64_t size : cast<ShapedType>(source.getType()).getShape())
      part.add_shape(size);
    if (collective.getDims())
      part.set_dim((*collective.getDims())[index]);
    if (collective.getConcatDims())
      part.set_second_dim((*collective.getConcatDims())[index]);
  }
}
