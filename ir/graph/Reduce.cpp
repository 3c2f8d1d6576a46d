//===- Reduce.cpp - Sums and maxima along dimensions ----------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

LogicalResult ReduceOp::verify() {
  RankedTensorType operand = getTensorType(getOperand()), result = getTensorType(getResult());
  ArrayRef<int64_t> dims = getDims();
  for (auto [i, dim] : llvm::enumerate(dims)) {
    if (dim < 0 || dim >= operand.getRank())
      return emitOpError("dim ") << dim << " is not a dimension of the operand, which has " << operand.getRank();
    if (i > 0 && dims[i - 1] >= dim)
      return emitOpError("dims must ascend");
  }
  SmallVector<int64_t> expected;
  for (auto [dim, size] : llvm::enumerate(operand.getShape()))
    if (!llvm::is_contained(dims, static_cast<int64_t>(dim)))
      expected.push_back(size);
  if (result.getShape() != ArrayRef<int64_t>(expected)) {
    InFlightDiagnostic error = emitOpError("result ") << result << " must have shape [";
    llvm::interleaveComma(expected, error);
    return error << "]: the operand's without the reduced dimensions";
  }
  if (isa<FloatType>(operand.getElementType()) != isa<FloatType>(result.getElementType()))
    return emitOpError("operand and result must both be floats or both integers");
  return success();
}

/// The dimensions that remain.
static SmallVector<int64_t> keptDims(ReduceOp op) {
  SmallVector<int64_t> kept;
  for (int64_t dim = 0; dim < getTensorType(op.getOperand()).getRank(); ++dim)
    if (!llvm::is_contained(op.getDims(), dim))
      kept.push_back(dim);
  return kept;
}

/// A maximum's cotangent is divided evenly among the elements that attain it.
SmallVector<Value> ReduceOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isa<FloatType>(getTensorType(getOperand()).getElementType()))
    return {Value()};
  GraphBuilder b(builder, getLoc());
  RankedTensorType type = getTensorType(getOperand());
  SmallVector<int64_t> kept = keptDims(*this);
  auto spread = [&](Value value) { return b.broadcast(value, type.getShape(), kept); };
  if (getKind() == ReduceKind::Sum) {
    Type element = getTensorType(cotangents[0]).getElementType();
    return {spread(element.isF32() ? cotangents[0] : b.convert(cotangents[0], type.getElementType()))};
  }
  Value x = b.toF32(getOperand());
  Value attained = b.convert(b.compare(Predicate::EQ, x, spread(b.max(x, getDims()))), b.getF32());
  Value share = b.div(b.toF32(cotangents[0]), b.sum(attained, getDims()));
  return {b.mul(spread(share), attained)};
}

ShardingRule ReduceOp::getShardingRule() {
  std::string operand = leadingLetters(getOperand(), 0), result;
  for (int64_t dim : keptDims(*this))
    result.push_back(operand[dim]);
  if (getKind() == ReduceKind::Sum)
    return makeRule(*this, {operand}, {result}, {0});
  ShardingRule rule = makeRule(*this, {operand}, {result});
  rule.maximum = true;
  return rule;
}

Cost ReduceOp::getCost() { return makeCost(*this, countElements(getOperand())); }
