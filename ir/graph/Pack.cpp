//===- Pack.cpp - Matmul operands in the micro-kernel's order -------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

LogicalResult PackOp::verify() {
  RankedTensorType operand = getTensorType(getOperand()), result = getTensorType(getResult());
  if (operand.getRank() != 3)
    return emitOpError("operand must be a matrix stack [batch, rows, columns], but is ") << operand;
  int64_t width = getWidth(), group = getGroup();
  if (width < 1 || group < 1)
    return emitOpError("width and group must be at least 1, but are ") << width << " and " << group;
  int64_t rows = operand.getDimSize(getTransposed() ? 2 : 1), columns = operand.getDimSize(getTransposed() ? 1 : 2);
  SmallVector<int64_t> expected = {operand.getDimSize(0), llvm::divideCeilSigned(columns, width),
                                   llvm::divideCeilSigned(rows, group), width, group};
  if (result.getShape() != ArrayRef<int64_t>(expected) || result.getElementType() != operand.getElementType())
    return emitOpError("result must be ")
           << RankedTensorType::get(expected, operand.getElementType(), result.getEncoding()) << ", but is " << result;
  return success();
}

SmallVector<Value> PackOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  ArrayRef<int64_t> packed = getTensorType(getResult()).getShape();
  int64_t batch = packed[0], panels = packed[1], groups = packed[2], width = packed[3], group = packed[4];
  Value matrix = getTransposed() ? b.transpose(getOperand(), {0, 2, 1}) : Value(getOperand());
  matrix = b.pad(matrix, {0, 0, 0}, {batch, groups * group, panels * width});
  return {b.transpose(b.reshape(matrix, {batch, groups, group, panels, width}), {0, 3, 1, 4, 2})};
}

ShardingRule PackOp::getShardingRule() { return makeRule(*this, {"b.."}, {"b...."}, {0}); }
Cost PackOp::getCost() { return makeCost(*this, 0); }
