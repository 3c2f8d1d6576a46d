//===- Shard.cpp - Layouts over the mesh -----------------------------------===//
//
// Layouts follow forward from the logical dimensions of variables and activations: one walk over the programs, and over
// each layer's function at its first call. On a mesh of one rank every value has the layout in which each rank holds
// the whole tensor.
//
//===----------------------------------------------------------------------===//

#include "passes/LayerFunction.h"
#include "passes/Passes.h"
#include "passes/placement/ProgramSharder.h"

#include "mlir/IR/AttrTypeSubElements.h"

namespace primus {
#define GEN_PASS_DEF_SHARD
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;
using namespace primus::placement;

namespace {

struct Shard : primus::impl::ShardBase<Shard> {
  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

private:
  LogicalResult run();
  void replicate();
};

} // namespace

/// Gives each tensor type without layout the one in which each rank has all of it.
void Shard::replicate() {
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

LogicalResult Shard::run() {
  ModuleOp module = getOperation();
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  if (!mesh)
    return module.emitError() << "has no mesh: set the attribute '" << graph::kMeshAttr
                              << "', e.g. #graph.mesh<\"dp\" = 1>";
  if (mesh.getNumRanks() == 1) {
    replicate();
    return success();
  }
  FailureOr<Plan> plan = Plan::get(module);
  if (failed(plan))
    return failure();
  LogicalDims dims(mesh, *plan);
  VariableLayouts variables(module, dims, *plan);
  if (failed(dims.verify(module)) || failed(variables.run()))
    return failure();
  ProgramSharder sharder(module, mesh, *plan, dims, variables);
  for (auto function : module.getOps<func::FuncOp>())
    if (isProgram(function) && failed(sharder.visitProgram(function)))
      return failure();
  sharder.finishStores();
  for (auto function : module.getOps<func::FuncOp>())
    if (!isProgram(function) && !sharder.isVisited(function) && failed(sharder.visitLayer(function, {})))
      return failure();
  return success();
}
