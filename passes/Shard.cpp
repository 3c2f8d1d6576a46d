//===- Shard.cpp - Layouts over the mesh -----------------------------------===//
//
// On a mesh of one rank every value has the layout in which each rank holds the whole tensor.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"

#include "mlir/IR/AttrTypeSubElements.h"

namespace primus {
#define GEN_PASS_DEF_SHARD
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;

namespace {

struct Shard : primus::impl::ShardBase<Shard> {
  void runOnOperation() override;

private:
  LogicalResult checkMesh();
};

} // namespace

LogicalResult Shard::checkMesh() {
  ModuleOp module = getOperation();
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  if (!mesh)
    return module.emitError() << "has no mesh: set the attribute '" << graph::kMeshAttr
                              << "', e.g. #graph.mesh<\"dp\" = 1>";
  if (mesh.getNumRanks() == 1)
    return success();
  InFlightDiagnostic diagnostic = module.emitError()
                                  << "cannot be split over " << mesh.getNumRanks() << " ranks: axes ";
  StringRef separator = "";
  for (auto [name, size] : llvm::zip_equal(mesh.getNames(), mesh.getSizes())) {
    if (size == 1)
      continue;
    diagnostic << separator << name << " = " << size;
    separator = ", ";
  }
  return diagnostic << "; set the parallel sizes behind them to 1";
}

void Shard::runOnOperation() {
  if (failed(checkMesh()))
    return signalPassFailure();
  AttrTypeReplacer replacer;
  replacer.addReplacement([](RankedTensorType type) -> std::optional<Type> {
    if (type.getEncoding())
      return type;
    return RankedTensorType::get(type.getShape(), type.getElementType(),
                                 graph::LayoutAttr::getReplicated(type.getContext(), type.getRank()));
  });
  // The data of a constant stays; only its type changes.
  replacer.addReplacement([&](DenseElementsAttr value) -> std::optional<Attribute> {
    auto type = cast<ShapedType>(replacer.replace(value.getType()));
    return value.isSplat() ? value.resizeSplat(type) : value.reshape(type);
  });
  replacer.recursivelyReplaceElementsIn(getOperation(), /*replaceAttrs=*/true, /*replaceLocs=*/false,
                                        /*replaceTypes=*/true);
}
