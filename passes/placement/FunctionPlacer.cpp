//===- FunctionPlacer.cpp - One rank's form of functions ------------------===//

#include "passes/placement/FunctionPlacer.h"

#include "ir/graph/GraphBuilder.h"
#include "passes/LayerFunction.h"
#include "passes/Remarks.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

RankedTensorType primus::placement::getLocalType(Type type, graph::MeshAttr mesh) {
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<int64_t> shape(tensor.getShape());
  for (auto [size, axes] : llvm::zip_equal(shape, Layout(type).dims))
    size /= getGroupSize(mesh, axes);
  return RankedTensorType::get(shape, tensor.getElementType(), tensor.getEncoding());
}

RankedTensorType primus::placement::getPlaceType(MLIRContext *context) {
  return RankedTensorType::get({}, IntegerType::get(context, 32), graph::LayoutAttr::getReplicated(context, 0));
}

std::string primus::placement::getPlaceName(ArrayAttr axes) {
  std::string name = "axis_index";
  for (auto axis : axes.getAsRange<StringAttr>())
    name += "." + axis.str();
  return name;
}

//===----------------------------------------------------------------------===//
// Reshards
//===----------------------------------------------------------------------===//

/// value / number of ranks, as a sum over them; the value itself as their maximum.
static Value buildDivision(OpBuilder &builder, Value value, const ReshardStep &step, graph::MeshAttr mesh) {
  graph::GraphBuilder b(builder, value.getLoc());
  Value part = step.after.maximum ? value : b.div(value, b.splatLike(value, double(getGroupSize(mesh, step.axes))));
  return graph::ReshapeOp::create(builder, value.getLoc(), step.after.apply(value.getType()), part);
}

static Value buildStep(OpBuilder &builder, Value value, const ReshardStep &step, graph::MeshAttr mesh) {
  Location loc = value.getLoc();
  int64_t ranks = getGroupSize(mesh, step.axes);
  SmallVector<int64_t> shape(cast<RankedTensorType>(value.getType()).getShape());
  if (step.kind == ReshardStep::ReduceScatter || step.kind == ReshardStep::Block || step.kind == ReshardStep::AllToAll)
    shape[step.dim] /= ranks;
  if (step.kind == ReshardStep::AllGather)
    shape[step.dim] *= ranks;
  if (step.kind == ReshardStep::AllToAll)
    shape[step.concatDim] *= ranks;
  auto type = RankedTensorType::get(shape, cast<RankedTensorType>(value.getType()).getElementType(),
                                    step.after.getAttr(builder.getContext()));
  ArrayAttr axes = builder.getArrayAttr(SmallVector<Attribute>(step.axes.begin(), step.axes.end()));
  auto reduction = graph::ReduceKindAttr::get(builder.getContext(),
                                        Layout(value.getType()).maximum ? graph::ReduceKind::Max : graph::ReduceKind::Sum);
  switch (step.kind) {
  case ReshardStep::AllReduce:
    return graph::AllReduceOp::create(builder, loc, type, reduction, value, axes);
  case ReshardStep::ReduceScatter:
    return graph::ReduceScatterOp::create(builder, loc, type, reduction, value, axes, builder.getI64IntegerAttr(step.dim));
  case ReshardStep::AllGather:
    return graph::AllGatherOp::create(builder, loc, type, value, axes, builder.getI64IntegerAttr(step.dim));
  case ReshardStep::AllToAll:
    return graph::AllToAllOp::create(builder, loc, type, value, axes, builder.getI64IntegerAttr(step.dim),
                                     builder.getI64IntegerAttr(step.concatDim));
  case ReshardStep::Block:
    return graph::BlockOp::create(builder, loc, type, value, axes, builder.getI64IntegerAttr(step.dim));
  case ReshardStep::Divide:
    return buildDivision(builder, value, step, mesh);
  }
  llvm_unreachable("unknown step");
}

/// Keeps what a collective is needed for, and tells people.
static void explain(graph::CollectiveOpInterface collective, StringRef reason, graph::MeshAttr mesh,
                    func::FuncOp function) {
  if (!reason.empty())
    collective->setAttr(kReasonAttr, StringAttr::get(collective.getContext(), reason));
  remarkPassed(kCollectiveRemark, function, collective.getLoc(),
               collective.getBytesSent(*mesh.getGroupSize(collective.getAxes())), [&] {
                 auto axes = llvm::to_vector(collective.getAxes().getAsRange<StringAttr>());
                 return "%" + getValueName(collective->getResult(0)).str() + ": " +
                        collective->getName().stripDialect().str() + " over " + placement::describe(axes) +
                        (reason.empty() ? "" : ", " + reason.str());
               });
}

Value primus::placement::buildCollectives(OpBuilder &builder, Value value, graph::ReshardOp reshard,
                                          graph::MeshAttr mesh, func::FuncOp function) {
  auto reason = reshard->getAttrOfType<StringAttr>(kReasonAttr);
  for (const ReshardStep &step :
       planReshard(Layout(reshard.getOperand().getType()), Layout(reshard.getType()), mesh)) {
    value = buildStep(builder, value, step, mesh);
    if (auto collective = value.getDefiningOp<graph::CollectiveOpInterface>())
      explain(collective, reason ? reason.getValue() : StringRef(), mesh, function);
  }
  return value;
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

Value FunctionPlacer::getAxisIndex(ArrayAttr axes) {
  for (auto [known, argument] : llvm::zip_equal(places, placeArguments))
    if (known == axes)
      return argument;
  RankedTensorType type = getPlaceType(builder.getContext());
  Location loc = NameLoc::get(builder.getStringAttr(getPlaceName(axes)), function.getLoc());
  places.push_back(axes);
  placeArguments.push_back(body->addArgument(type, loc));
  return placeArguments.back();
}

LogicalResult FunctionPlacer::visit(Operation &op) {
  SmallVector<Value> operands;
  for (Value operand : op.getOperands())
    operands.push_back(mapping.lookup(operand));
  if (auto reshard = dyn_cast<graph::ReshardOp>(op)) {
    mapping.map(reshard.getResult(), buildCollectives(builder, operands[0], reshard, mesh, function));
    return success();
  }
  auto shardable = dyn_cast<graph::Shardable>(op);
  if (!shardable)
    return op.emitOpError("has no sharding rule, so that it cannot be placed on a mesh of several ranks");
  SmallVector<Type> types;
  for (Type type : op.getResultTypes())
    types.push_back(getLocalType(type, mesh));
  Operation *before = body->empty() ? nullptr : &body->back();
  SmallVector<Value> results = shardable.localize(builder, operands, types, *this);
  for (Operation *built = before ? before->getNextNode() : &body->front(); built; built = built->getNextNode())
    if (auto collective = dyn_cast<graph::CollectiveOpInterface>(built))
      explain(collective, "part of " + op.getName().getStringRef().str(), mesh, function);
  if (results.size() != op.getNumResults())
    return op.emitOpError() << "has " << op.getNumResults() << " results, of which one rank computes "
                            << results.size();
  mapping.map(op.getResults(), results);
  return success();
}

LogicalResult FunctionPlacer::run() {
  Block &old = function.getBody().front();
  body = builder.createBlock(&function.getBody(), {});
  for (BlockArgument argument : old.getArguments())
    mapping.map(argument, body->addArgument(getLocalType(argument.getType(), mesh), argument.getLoc()));
  for (Operation &op : old.without_terminator())
    if (failed(visit(op)))
      return failure();
  SmallVector<Value> results;
  for (Value value : old.getTerminator()->getOperands())
    results.push_back(mapping.lookup(value));
  func::ReturnOp::create(builder, old.getTerminator()->getLoc(), results);
  old.dropAllReferences();
  old.erase();

  SmallVector<Attribute> attributes;
  for (unsigned index = 0, end = function.getNumArguments(); index < end; ++index)
    attributes.push_back(function.getArgAttrDict(index) ? function.getArgAttrDict(index)
                                                        : builder.getDictionaryAttr({}));
  for (ArrayAttr axes : places)
    attributes.push_back(getArgAttrs(builder.getContext(), getPlaceName(axes), ArgKind::Constant));
  function.setFunctionType(builder.getFunctionType(body->getArgumentTypes(), ValueRange(results).getTypes()));
  function.setAllArgAttrs(attributes);
  return success();
}
