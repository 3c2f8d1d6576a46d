//===- Place.cpp - From global shapes to local ones ------------------------===//
//
// Each layer function is rebuilt once for the shapes of one rank; programs keep their lists of calls. Ops to which it
// matters where in the mesh a rank is get that as an argument, which programs load from constants: the IR is the same
// on all ranks.
//
//===----------------------------------------------------------------------===//

#include "passes/LayerFunction.h"
#include "passes/Passes.h"
#include "passes/placement/FunctionPlacer.h"
#include "passes/verify/PhaseVerifiers.h"

namespace primus {
#define GEN_PASS_DEF_PLACE
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;
using namespace primus::placement;

namespace {

struct Place : primus::impl::PlaceBase<Place> {
  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

private:
  LogicalResult run();
  LogicalResult placeLayers();
  void placeProgram(func::FuncOp program);
  void placeOp(Operation *op, func::FuncOp program);
  /// A load of where the rank is, at the start of the program.
  Value loadPlace(func::FuncOp program, ArrayAttr axes);

  graph::MeshAttr mesh;
  /// Per layer function: the places that it takes as further arguments.
  llvm::DenseMap<StringAttr, SmallVector<ArrayAttr>> places;
  /// In the program that is being placed.
  llvm::DenseMap<ArrayAttr, Value> loads;
};

} // namespace

/// Declares the constant that says where in the groups over `axes` a rank is.
static void declarePlace(ModuleOp module, ArrayAttr axes) {
  std::string name = getPlaceName(axes);
  if (module.lookupSymbol(name))
    return;
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  for (auto variable : module.getOps<graph::VariableOp>())
    builder.setInsertionPointAfter(variable);
  auto init = graph::InitAttr::get(builder.getContext(), builder.getStringAttr("axis_index"),
                                   builder.getDictionaryAttr(builder.getNamedAttr("axes", axes)));
  graph::VariableOp::create(builder, NameLoc::get(builder.getStringAttr(name)), builder.getStringAttr(name),
                            TypeAttr::get(getPlaceType(builder.getContext())),
                            graph::RoleAttr::get(builder.getContext(), graph::Role::Constant), init,
                            builder.getI64IntegerAttr(0), UnitAttr(), ArrayAttr());
}

LogicalResult Place::placeLayers() {
  for (auto function : getOperation().getOps<func::FuncOp>()) {
    if (isProgram(function))
      continue;
    FunctionPlacer placer(function, mesh);
    if (failed(placer.run()))
      return failure();
    for (ArrayAttr axes : placer.getPlaces())
      declarePlace(getOperation(), axes);
    places[function.getSymNameAttr()] = SmallVector<ArrayAttr>(placer.getPlaces());
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

Value Place::loadPlace(func::FuncOp program, ArrayAttr axes) {
  Value &load = loads[axes];
  if (load)
    return load;
  std::string name = getPlaceName(axes);
  auto variable = getOperation().lookupSymbol<graph::VariableOp>(name);
  OpBuilder builder = OpBuilder::atBlockBegin(&program.getBody().front());
  return load = graph::LoadOp::create(builder, NameLoc::get(builder.getStringAttr(name)), variable.getTensorType(),
                                      FlatSymbolRefAttr::get(builder.getContext(), name));
}

void Place::placeOp(Operation *op, func::FuncOp program) {
  if (auto reshard = dyn_cast<graph::ReshardOp>(op)) {
    OpBuilder builder(reshard);
    reshard.replaceAllUsesWith(buildCollectives(builder, reshard.getOperand(), reshard, mesh, program));
    reshard.erase();
    return;
  }
  if (auto call = dyn_cast<graph::CallOp>(op))
    for (ArrayAttr axes : places[call.getCalleeAttr().getAttr()])
      call.getOperandsMutable().append(loadPlace(program, axes));
  for (Value result : op->getResults())
    result.setType(getLocalType(result.getType(), mesh));
  if (auto constant = dyn_cast<graph::ConstantOp>(op))
    if (auto data = dyn_cast<DenseElementsAttr>(constant.getValue()); data && data.isSplat())
      constant.setValueAttr(data.resizeSplat(cast<ShapedType>(constant.getType())));
}

void Place::placeProgram(func::FuncOp program) {
  loads.clear();
  SmallVector<Operation *> ops;
  program.walk<WalkOrder::PreOrder>([&](Block *block) {
    for (BlockArgument argument : block->getArguments())
      argument.setType(getLocalType(argument.getType(), mesh));
  });
  program.getBody().walk<WalkOrder::PreOrder>([&](Operation *op) { ops.push_back(op); });
  for (Operation *op : ops)
    placeOp(op, program);
  Block &body = program.getBody().front();
  program.setFunctionType(FunctionType::get(&getContext(), body.getArgumentTypes(),
                                            body.getTerminator()->getOperandTypes()));
}

LogicalResult Place::run() {
  ModuleOp module = getOperation();
  if (failed(verifySharded(module)))
    return failure();
  module->setAttr(graph::kPlacedAttr, UnitAttr::get(&getContext()));
  mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  // On one rank local shapes are the global ones.
  if (mesh.getNumRanks() == 1)
    return success();
  if (failed(placeLayers()))
    return failure();
  for (auto variable : module.getOps<graph::VariableOp>())
    variable.setTypeAttr(TypeAttr::get(getLocalType(variable.getTensorType(), mesh)));
  for (auto function : module.getOps<func::FuncOp>())
    if (isProgram(function) && !function.isDeclaration())
      placeProgram(function);
  return success();
}
