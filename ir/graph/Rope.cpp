//===- Rope.cpp - Rotary position embedding -------------------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

LogicalResult RopeOp::verify() {
  RankedTensorType x = getTensorType(getX()), table = getTensorType(getCos());
  if (x.getRank() != 4)
    return emitOpError("x must be [batch, tokens, heads, head size], but is ") << x;
  if (table.getRank() != 2 || !table.getElementType().isF32())
    return emitOpError("cos and sin must be f32 [tokens, r / 2], but are ") << table;
  if (table.getDimSize(0) != x.getDimSize(1))
    return emitOpError("cos and sin have ") << table.getDimSize(0) << " positions, but x has " << x.getDimSize(1)
                                            << " tokens";
  if (2 * table.getDimSize(1) > x.getDimSize(3))
    return emitOpError("cos and sin rotate ") << 2 * table.getDimSize(1) << " elements, but a head has "
                                              << x.getDimSize(3);
  return success();
}

SmallVector<Value> RopeOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  RankedTensorType type = getTensorType(getX());
  int64_t headSize = type.getDimSize(3), pairs = getTensorType(getCos()).getDimSize(1);
  SmallVector<int64_t> half(type.getShape()), pair = half;
  half[3] = pairs;
  pair[3] = pairs;
  pair.push_back(2);
  SmallVector<int64_t> column = half;
  column.push_back(1);

  Value x = b.toF32(getX());
  Value x1, x2;
  if (getStyle() == RopeStyle::Half) {
    x1 = b.slice(x, 3, 0, pairs);
    x2 = b.slice(x, 3, pairs, pairs);
  } else {
    Value pairsOfX = b.reshape(b.slice(x, 3, 0, 2 * pairs), pair);
    x1 = b.reshape(b.slice(pairsOfX, 4, 0, 1), half);
    x2 = b.reshape(b.slice(pairsOfX, 4, 1, 1), half);
  }
  Value cos = b.broadcast(getCos(), half, {1, 3}), sin = b.broadcast(getSin(), half, {1, 3});
  if (getInverse())
    sin = b.neg(sin);
  Value y1 = b.sub(b.mul(x1, cos), b.mul(x2, sin));
  Value y2 = b.add(b.mul(x2, cos), b.mul(x1, sin));
  SmallVector<Value> parts;
  if (getStyle() == RopeStyle::Half) {
    parts = {y1, y2};
  } else {
    SmallVector<int64_t> rotated = half;
    rotated[3] = 2 * pairs;
    parts = {b.reshape(b.concat({b.reshape(y1, column), b.reshape(y2, column)}, 4), rotated)};
  }
  if (2 * pairs < headSize)
    parts.push_back(b.slice(x, 3, 2 * pairs, headSize - 2 * pairs));
  return {b.convert(b.concat(parts, 3), type.getElementType())};
}

/// A rotation's transpose is its inverse. The tables are constants.
SmallVector<Value> RopeOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0])
    return {Value(), Value(), Value()};
  return {RopeOp::create(builder, getLoc(), getX().getType(), getStyle(), cotangents[0], getCos(), getSin(),
                         !getInverse()),
          Value(), Value()};
}

ShardingRule RopeOp::getShardingRule() { return makeRule(*this, {"bth.", "t.", "t."}, {"bth."}, {0}); }
Cost RopeOp::getCost() { return elementwiseCost(*this, 3); }
