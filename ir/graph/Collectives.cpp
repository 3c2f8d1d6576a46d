//===- Collectives.cpp - Changes of layout --------------------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Rules.h"
#include "runtime/executable/CollectiveKind.h"

using namespace mlir;
using namespace primus::graph;
using primus::runtime::CollectiveKind;
using primus::runtime::getSentBytes;

//===----------------------------------------------------------------------===//
// reshard
//===----------------------------------------------------------------------===//

LogicalResult ReshardOp::verify() {
  RankedTensorType from = getTensorType(getOperand()), to = getTensorType(getResult());
  if (from.getShape() != to.getShape() || from.getElementType() != to.getElementType())
    return emitOpError("must keep shape and element type, but turns ") << from << " into " << to;
  return success();
}

Cost ReshardOp::getCost() { return makeCost(*this, 0); }

//===----------------------------------------------------------------------===//
// What collectives do to a type; null, after an error, where it does not fit
//===----------------------------------------------------------------------===//

static LayoutAttr getLayout(RankedTensorType type) { return dyn_cast_if_present<LayoutAttr>(type.getEncoding()); }

static LogicalResult verifyDim(Operation *op, StringRef name, int64_t dim, RankedTensorType type) {
  if (dim < 0 || dim >= type.getRank())
    return op->emitOpError() << name << " " << dim << " is not a dimension of the operand, which has "
                             << type.getRank();
  return success();
}

/// Without the pending reductions over `axes`.
static RankedTensorType reduceAxes(Operation *op, RankedTensorType type, ArrayAttr axes, ReduceKind kind) {
  LayoutAttr layout = getLayout(type);
  if (!layout)
    return type;
  SmallVector<StringAttr> names;
  SmallVector<ReduceKind> kinds;
  size_t found = 0;
  for (auto [name, pending] : llvm::zip_equal(layout.getPartialAxes(), layout.getPartialKinds())) {
    if (llvm::is_contained(axes, name) && pending == kind) {
      ++found;
      continue;
    }
    names.push_back(name);
    kinds.push_back(pending);
  }
  if (found != axes.size()) {
    op->emitOpError() << "operand must be partial over " << axes << " with reduction " << stringifyReduceKind(kind)
                      << ", but is " << type;
    return {};
  }
  return RankedTensorType::get(type.getShape(), type.getElementType(), layout.withPartial(names, kinds));
}

/// Dimension `dim` is split over `axes`, too.
static RankedTensorType splitDim(Operation *op, RankedTensorType type, ArrayAttr axes, int64_t dim,
                                 int64_t groupSize) {
  if (!type || failed(verifyDim(op, "dim", dim, type)))
    return {};
  SmallVector<int64_t> shape(type.getShape());
  if (shape[dim] % groupSize != 0) {
    op->emitOpError() << "dimension " << dim << " of size " << shape[dim] << " cannot be split into " << groupSize
                      << " equal blocks";
    return {};
  }
  shape[dim] /= groupSize;
  LayoutAttr layout = getLayout(type);
  if (layout) {
    SmallVector<Attribute> all = llvm::to_vector(layout.getAxes()[dim].getValue());
    llvm::append_range(all, axes);
    layout = layout.withDim(dim, all);
  }
  return RankedTensorType::get(shape, type.getElementType(), layout);
}

/// Dimension `dim` is no longer split over `axes`, the last ones that split it.
static RankedTensorType joinDim(Operation *op, RankedTensorType type, ArrayAttr axes, int64_t dim, int64_t groupSize) {
  if (!type || failed(verifyDim(op, "dim", dim, type)))
    return {};
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] *= groupSize;
  LayoutAttr layout = getLayout(type);
  if (layout) {
    ArrayRef<Attribute> all = layout.getAxes()[dim].getValue();
    if (all.size() < axes.size() || all.take_back(axes.size()) != axes.getValue()) {
      op->emitOpError() << "axes " << axes << " must be the last that split dimension " << dim << " of the operand "
                        << type;
      return {};
    }
    layout = layout.withDim(dim, all.drop_back(axes.size()));
  }
  return RankedTensorType::get(shape, type.getElementType(), layout);
}

static LogicalResult verifyCollective(CollectiveOpInterface op) {
  ArrayAttr axes = op.getAxes();
  if (axes.empty())
    return op->emitOpError("needs at least one mesh axis");
  llvm::SmallPtrSet<Attribute, 8> seen;
  for (Attribute axis : axes)
    if (!seen.insert(axis).second)
      return op->emitOpError() << "mesh axis " << axis << " appears twice";
  // Without a mesh, as in a function by itself, the size of a group is not known.
  auto module = op->getParentOfType<ModuleOp>();
  auto mesh = module ? module->getAttrOfType<MeshAttr>(kMeshAttr) : MeshAttr();
  if (!mesh)
    return success();
  std::optional<int64_t> groupSize = mesh.getGroupSize(axes);
  if (!groupSize)
    return op->emitOpError() << "axes " << axes << " must be axes of the module's mesh " << mesh;
  RankedTensorType expected = op.getExpectedType(getTensorType(op->getOperand(0)), *groupSize);
  if (!expected)
    return failure();
  if (op->getResult(0).getType() != expected)
    return op->emitOpError() << "over " << *groupSize << " ranks must have a result of type " << expected
                             << ", but it is " << op->getResult(0).getType();
  return success();
}

/// Bytes of a collective's operand on one rank.
static int64_t getOperandBytes(Operation *op) {
  return countElements(op->getOperand(0)) * ((getTensorType(op->getOperand(0)).getElementTypeBitWidth() + 7) / 8);
}

//===----------------------------------------------------------------------===//
// The collectives
//===----------------------------------------------------------------------===//

LogicalResult AllReduceOp::verify() { return verifyCollective(*this); }
Cost AllReduceOp::getCost() { return makeCost(*this, 0); }

RankedTensorType AllReduceOp::getExpectedType(RankedTensorType operand, int64_t) {
  return reduceAxes(*this, operand, getAxes(), getKind());
}

int64_t AllReduceOp::getBytesSent(int64_t groupSize) {
  return getSentBytes(CollectiveKind::AllReduce, getOperandBytes(*this), groupSize);
}

LogicalResult ReduceScatterOp::verify() { return verifyCollective(*this); }
Cost ReduceScatterOp::getCost() { return makeCost(*this, 0); }

RankedTensorType ReduceScatterOp::getExpectedType(RankedTensorType operand, int64_t groupSize) {
  return splitDim(*this, reduceAxes(*this, operand, getAxes(), getKind()), getAxes(), getDim(), groupSize);
}

int64_t ReduceScatterOp::getBytesSent(int64_t groupSize) {
  return getSentBytes(CollectiveKind::ReduceScatter, getOperandBytes(*this), groupSize);
}

LogicalResult AllGatherOp::verify() { return verifyCollective(*this); }
Cost AllGatherOp::getCost() { return makeCost(*this, 0); }

RankedTensorType AllGatherOp::getExpectedType(RankedTensorType operand, int64_t groupSize) {
  return joinDim(*this, operand, getAxes(), getDim(), groupSize);
}

int64_t AllGatherOp::getBytesSent(int64_t groupSize) {
  return getSentBytes(CollectiveKind::AllGather, getOperandBytes(*this), groupSize);
}

LogicalResult AllToAllOp::verify() {
  if (getSplitDim() == getConcatDim())
    return emitOpError("must move axes from one dimension to another, but both are ") << getSplitDim();
  return verifyCollective(*this);
}

Cost AllToAllOp::getCost() { return makeCost(*this, 0); }

RankedTensorType AllToAllOp::getExpectedType(RankedTensorType operand, int64_t groupSize) {
  // The layout must lose the axes before it gets them again.
  RankedTensorType joined = joinDim(*this, operand, getAxes(), getConcatDim(), groupSize);
  return splitDim(*this, joined, getAxes(), getSplitDim(), groupSize);
}

int64_t AllToAllOp::getBytesSent(int64_t groupSize) {
  return getSentBytes(CollectiveKind::AllToAll, getOperandBytes(*this), groupSize);
}

LogicalResult PermuteOp::verify() { return verifyCollective(*this); }
Cost PermuteOp::getCost() { return makeCost(*this, 0); }
RankedTensorType PermuteOp::getExpectedType(RankedTensorType operand, int64_t) { return operand; }

int64_t PermuteOp::getBytesSent(int64_t groupSize) {
  return getSentBytes(CollectiveKind::Permute, getOperandBytes(*this), groupSize, getShift());
}

LogicalResult BlockOp::verify() { return verifyCollective(*this); }
Cost BlockOp::getCost() { return makeCost(*this, 0); }

RankedTensorType BlockOp::getExpectedType(RankedTensorType operand, int64_t groupSize) {
  return splitDim(*this, operand, getAxes(), getDim(), groupSize);
}

int64_t BlockOp::getBytesSent(int64_t) { return 0; }
