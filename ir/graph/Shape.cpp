//===- Shape.cpp - Ops that create tensors or move elements ---------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Localizer.h"
#include "ir/graph/Rules.h"

#include <numeric>

using namespace mlir;
using namespace primus::graph;

static ArrayRef<int64_t> shapeOf(Value value) { return getTensorType(value).getShape(); }

/// The operand's and result's element types agree.
static LogicalResult verifySameElementType(Operation *op) {
  Type from = getTensorType(op->getOperand(0)).getElementType(), to = getTensorType(op->getResult(0)).getElementType();
  if (from != to)
    return op->emitOpError("must keep the element type, but turns ") << from << " into " << to;
  return success();
}

/// A letter for each dimension along which `box` is as long as `whole`, '.' for the others.
static std::string fullDimensions(ArrayRef<int64_t> box, ArrayRef<int64_t> whole) {
  std::string spec = letters(box.size());
  for (auto [letter, size, full] : llvm::zip_equal(spec, box, whole))
    if (size != full)
      letter = '.';
  return spec;
}

//===----------------------------------------------------------------------===//
// Constant and iota
//===----------------------------------------------------------------------===//

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

void ConstantOp::getAsmResultNames(OpAsmSetValueNameFn setName) { setName(getResult(), "cst"); }

ShardingRule ConstantOp::getShardingRule() {
  if (getValue().isSplat())
    return elementwiseRule(*this);
  return makeRule(*this, {}, {std::string(shapeOf(getResult()).size(), '.')});
}

SmallVector<Value> ConstantOp::localize(OpBuilder &builder, ValueRange, TypeRange types, Localizer &) {
  auto type = cast<RankedTensorType>(types[0]);
  auto value = cast<DenseElementsAttr>(getValue());
  return {ConstantOp::create(builder, getLoc(), type, value.isSplat() ? value.resizeSplat(type) : value.reshape(type))};
}

Cost ConstantOp::getCost() { return makeCost(*this, 0); }

LogicalResult IotaOp::verify() {
  int64_t rank = shapeOf(getResult()).size();
  if (getDim() >= static_cast<uint64_t>(rank))
    return emitOpError("dim ") << getDim() << " is not a dimension of the result, which has " << rank;
  return success();
}

ShardingRule IotaOp::getShardingRule() { return elementwiseRule(*this); }

SmallVector<Value> IotaOp::localize(OpBuilder &builder, ValueRange operands, TypeRange types, Localizer &localizer) {
  auto type = cast<RankedTensorType>(types[0]);
  SmallVector<Value> local = cloneLocally(*this, builder, operands, types);
  if (getSplitAxes(type, getDim()).empty())
    return local;
  Value offset = buildBlockOffset(builder, getLoc(), type, getDim(), type.getElementType(), localizer);
  Value spread = BroadcastOp::create(builder, getLoc(), type, offset, ArrayRef<int64_t>{});
  return {GraphBuilder(builder, getLoc()).add(local.front(), spread)};
}

Cost IotaOp::getCost() { return makeCost(*this, 0); }

//===----------------------------------------------------------------------===//
// Broadcast
//===----------------------------------------------------------------------===//

LogicalResult BroadcastOp::verify() {
  ArrayRef<int64_t> from = shapeOf(getOperand()), to = shapeOf(getResult()), dims = getDims();
  if (failed(verifySameElementType(*this)))
    return failure();
  if (dims.size() != from.size())
    return emitOpError("dims needs one entry per operand dimension: ") << from.size() << ", but has " << dims.size();
  for (auto [i, dim] : llvm::enumerate(dims)) {
    if (dim < 0 || dim >= static_cast<int64_t>(to.size()))
      return emitOpError("dims[") << i << "] = " << dim << " is not a dimension of the result, which has " << to.size();
    if (i > 0 && dims[i - 1] >= dim)
      return emitOpError("dims must ascend");
    if (from[i] != 1 && from[i] != to[dim])
      return emitOpError("operand dimension ") << i << " of size " << from[i] << " cannot become result dimension "
                                               << dim << " of size " << to[dim];
  }
  return success();
}

OpFoldResult BroadcastOp::fold(FoldAdaptor) {
  return getOperand().getType() == getType() ? OpFoldResult(getOperand()) : OpFoldResult();
}

SmallVector<Value> BroadcastOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isa<FloatType>(getTensorType(getOperand()).getElementType()))
    return {Value()};
  GraphBuilder b(builder, getLoc());
  ArrayRef<int64_t> from = shapeOf(getOperand()), to = shapeOf(getResult());
  SmallVector<int64_t> summed;
  for (auto [dim, size] : llvm::enumerate(to)) {
    const int64_t *entry = llvm::find(getDims(), static_cast<int64_t>(dim));
    if (entry == getDims().end() || from[entry - getDims().begin()] != size)
      summed.push_back(dim);
  }
  if (summed.empty())
    return {b.reshape(cotangents[0], from)};
  return {b.reshape(b.sum(cotangents[0], summed), from)};
}

ShardingRule BroadcastOp::getShardingRule() {
  ArrayRef<int64_t> from = shapeOf(getOperand()), to = shapeOf(getResult());
  std::string result = letters(to.size()), operand(from.size(), '.');
  for (auto [i, dim] : llvm::enumerate(getDims()))
    if (from[i] == to[dim])
      operand[i] = result[dim];
  return makeRule(*this, {operand}, {result}, {0});
}

Cost BroadcastOp::getCost() { return makeCost(*this, 0); }

//===----------------------------------------------------------------------===//
// Reshape
//===----------------------------------------------------------------------===//

LogicalResult ReshapeOp::verify() {
  if (failed(verifySameElementType(*this)))
    return failure();
  int64_t from = countElements(getOperand()), to = countElements(getResult());
  if (from != to)
    return emitOpError("must keep the number of elements, but turns ") << from << " into " << to;
  return success();
}

OpFoldResult ReshapeOp::fold(FoldAdaptor) {
  if (getOperand().getType() == getType())
    return getOperand();
  if (auto inner = getOperand().getDefiningOp<ReshapeOp>()) {
    if (inner.getOperand().getType() == getType())
      return inner.getOperand();
    setOperand(inner.getOperand());
    return getResult();
  }
  return {};
}

SmallVector<Value> ReshapeOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isa<FloatType>(getTensorType(getOperand()).getElementType()))
    return {Value()};
  return {GraphBuilder(builder, getLoc()).reshape(cotangents[0], shapeOf(getOperand()))};
}

/// Dimensions are grouped so that each group of the operand has as many elements as its group of the result. The major
/// dimensions of a pair of groups share a factor: a split of both into the same number of blocks holds the same
/// elements.
ShardingRule ReshapeOp::getShardingRule() {
  ArrayRef<int64_t> from = shapeOf(getOperand()), to = shapeOf(getResult());
  std::string operand(from.size(), '.'), result(to.size(), '.');
  SmallVector<int64_t> sizes;
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    size_t majorFrom = i, majorTo = j;
    int64_t elementsFrom = from[i++], elementsTo = to[j++];
    while (elementsFrom != elementsTo && (elementsFrom < elementsTo ? i < from.size() : j < to.size()))
      (elementsFrom < elementsTo ? elementsFrom : elementsTo) *=
          elementsFrom < elementsTo ? from[i++] : to[j++];
    int64_t factor = std::gcd(from[majorFrom], to[majorTo]);
    if (factor == 1)
      continue;
    operand[majorFrom] = result[majorTo] = static_cast<char>('a' + sizes.size());
    sizes.push_back(factor);
  }
  ShardingRule rule = makeRule(*this, {operand}, {result}, {0});
  rule.sizes = sizes;
  return rule;
}

Cost ReshapeOp::getCost() { return {}; }

//===----------------------------------------------------------------------===//
// Transpose
//===----------------------------------------------------------------------===//

LogicalResult TransposeOp::verify() {
  ArrayRef<int64_t> from = shapeOf(getOperand()), to = shapeOf(getResult()), perm = getPerm();
  if (failed(verifySameElementType(*this)))
    return failure();
  if (perm.size() != from.size() || to.size() != from.size())
    return emitOpError("perm and result need as many dimensions as the operand: ") << from.size();
  SmallVector<bool> seen(from.size(), false);
  for (auto [i, dim] : llvm::enumerate(perm)) {
    if (dim < 0 || dim >= static_cast<int64_t>(from.size()) || seen[dim])
      return emitOpError("perm must name each operand dimension once; entry ") << i << " is " << dim;
    seen[dim] = true;
    if (to[i] != from[dim])
      return emitOpError("result dimension ") << i << " must have size " << from[dim] << ", but has " << to[i];
  }
  return success();
}

OpFoldResult TransposeOp::fold(FoldAdaptor) {
  bool identity = llvm::equal(getPerm(), llvm::seq<int64_t>(0, getPerm().size()));
  return identity && getOperand().getType() == getType() ? OpFoldResult(getOperand()) : OpFoldResult();
}

SmallVector<Value> TransposeOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isa<FloatType>(getTensorType(getOperand()).getElementType()))
    return {Value()};
  SmallVector<int64_t> inverse(getPerm().size());
  for (auto [i, dim] : llvm::enumerate(getPerm()))
    inverse[dim] = i;
  return {GraphBuilder(builder, getLoc()).transpose(cotangents[0], inverse)};
}

ShardingRule TransposeOp::getShardingRule() {
  std::string operand = letters(getPerm().size()), result;
  for (int64_t dim : getPerm())
    result.push_back(operand[dim]);
  return makeRule(*this, {operand}, {result}, {0});
}

Cost TransposeOp::getCost() { return makeCost(*this, 0); }

//===----------------------------------------------------------------------===//
// Slice and pad
//===----------------------------------------------------------------------===//

/// A box of shape `box` at `offsets` lies within `whole`.
static LogicalResult verifyBox(Operation *op, ArrayRef<int64_t> box, ArrayRef<int64_t> offsets,
                               ArrayRef<int64_t> whole) {
  if (failed(verifySameElementType(op)))
    return failure();
  if (box.size() != whole.size() || offsets.size() != whole.size())
    return op->emitOpError("operand, result and position must have equal ranks, but have ")
           << getTensorType(op->getOperand(0)).getRank() << ", " << getTensorType(op->getResult(0)).getRank() << " and "
           << offsets.size();
  for (auto [dim, size, offset, full] : llvm::enumerate(box, offsets, whole))
    if (offset < 0 || offset + size > full)
      return op->emitOpError("box [") << offset << ", " << offset + size << ") of dimension " << dim
                                      << " lies outside [0, " << full << ")";
  return success();
}

LogicalResult SliceOp::verify() {
  return verifyBox(*this, shapeOf(getResult()), getOffsets(), shapeOf(getOperand()));
}

OpFoldResult SliceOp::fold(FoldAdaptor) {
  return getOperand().getType() == getType() ? OpFoldResult(getOperand()) : OpFoldResult();
}

SmallVector<Value> SliceOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isa<FloatType>(getTensorType(getOperand()).getElementType()))
    return {Value()};
  return {GraphBuilder(builder, getLoc()).pad(cotangents[0], getOffsets(), shapeOf(getOperand()))};
}

ShardingRule SliceOp::getShardingRule() {
  std::string spec = fullDimensions(shapeOf(getResult()), shapeOf(getOperand()));
  return makeRule(*this, {spec}, {spec}, {0});
}

/// Only the box is read.
Cost SliceOp::getCost() {
  unsigned bits = getTensorType(getResult()).getElementTypeBitWidth();
  return {0, 2 * countElements(getResult()) * ((bits + 7) / 8)};
}

LogicalResult PadOp::verify() { return verifyBox(*this, shapeOf(getOperand()), getLow(), shapeOf(getResult())); }

OpFoldResult PadOp::fold(FoldAdaptor) {
  return getOperand().getType() == getType() ? OpFoldResult(getOperand()) : OpFoldResult();
}

SmallVector<Value> PadOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isa<FloatType>(getTensorType(getOperand()).getElementType()))
    return {Value()};
  return {GraphBuilder(builder, getLoc()).slice(cotangents[0], getLow(), shapeOf(getOperand()))};
}

ShardingRule PadOp::getShardingRule() {
  std::string spec = fullDimensions(shapeOf(getOperand()), shapeOf(getResult()));
  return makeRule(*this, {spec}, {spec}, {0});
}

Cost PadOp::getCost() { return makeCost(*this, 0); }

//===----------------------------------------------------------------------===//
// Concat
//===----------------------------------------------------------------------===//

LogicalResult ConcatOp::verify() {
  if (getInputs().empty())
    return emitOpError("needs at least one input");
  RankedTensorType result = getTensorType(getResult());
  if (getDim() >= static_cast<uint64_t>(result.getRank()))
    return emitOpError("dim ") << getDim() << " is not a dimension of the result, which has " << result.getRank();
  int64_t size = 0;
  for (auto [i, input] : llvm::enumerate(getInputs())) {
    RankedTensorType type = getTensorType(input);
    SmallVector<int64_t> expected(result.getShape());
    if (type.getRank() == result.getRank())
      expected[getDim()] = type.getDimSize(getDim());
    if (type.getElementType() != result.getElementType() || type.getShape() != ArrayRef<int64_t>(expected))
      return emitOpError("input ") << i << " of type " << type << " must agree with the result " << result
                                   << " but for dimension " << getDim();
    size += type.getDimSize(getDim());
  }
  if (size != result.getDimSize(getDim()))
    return emitOpError("inputs have ") << size << " elements along dimension " << getDim() << ", but the result has "
                                       << result.getDimSize(getDim());
  return success();
}

OpFoldResult ConcatOp::fold(FoldAdaptor) {
  bool identity = getInputs().size() == 1 && getInputs().front().getType() == getType();
  return identity ? OpFoldResult(getInputs().front()) : OpFoldResult();
}

SmallVector<Value> ConcatOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  SmallVector<Value> gradients(getInputs().size());
  if (!cotangents[0] || !isa<FloatType>(getTensorType(getResult()).getElementType()))
    return gradients;
  GraphBuilder b(builder, getLoc());
  int64_t begin = 0;
  for (auto [gradient, input] : llvm::zip_equal(gradients, getInputs())) {
    int64_t size = shapeOf(input)[getDim()];
    gradient = b.slice(cotangents[0], getDim(), begin, size);
    begin += size;
  }
  return gradients;
}

ShardingRule ConcatOp::getShardingRule() {
  std::string spec = letters(shapeOf(getResult()).size());
  spec[getDim()] = '.';
  auto operands = llvm::to_vector(llvm::seq<int64_t>(0, getInputs().size()));
  return makeRule(*this, SmallVector<std::string>(getInputs().size(), spec), {spec}, operands, /*jointlyLinear=*/true);
}

Cost ConcatOp::getCost() { return makeCost(*this, 0); }
