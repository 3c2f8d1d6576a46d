//===- Quantization.cpp - Tensors of scaled 8-bit floats ------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Product.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

/// The shape of `factors` divides `tensor` into blocks.
static LogicalResult verifyBlocks(Operation *op, StringRef name, Value factors, Value tensor) {
  RankedTensorType part = getTensorType(factors), whole = getTensorType(tensor);
  if (part.getRank() == 0)
    return success();
  if (part.getRank() != whole.getRank())
    return op->emitOpError() << name << " of type " << part << " must be a scalar or have the rank of " << whole;
  for (auto [dim, size, count] : llvm::enumerate(whole.getShape(), part.getShape()))
    if (count < 1 || size % count != 0)
      return op->emitOpError() << name << " of type " << part << " must divide " << whole << " into equal blocks, but "
                               << count << " does not divide the " << size << " of dimension " << dim;
  return success();
}

static bool isFnuz(Value value) {
  return isa<Float8E4M3FNUZType, Float8E5M2FNUZType>(getTensorType(value).getElementType());
}

/// (C2) of graph.quantize.
static LogicalResult verifyEncoding(Operation *op, Value factors, Value quantised) {
  if (isa<Float8E8M0FNUType>(getTensorType(factors).getElementType()) && isFnuz(quantised))
    return op->emitOpError() << "factors that are powers of two (f8E8M0FNU) belong to f8E4M3FN and f8E5M2, not to "
                             << getTensorType(quantised).getElementType();
  return success();
}

/// The dimensions of `tensor`, each divided into blocks and the places in one; those of size one are left out.
static SmallVector<int64_t> splitShape(Value factors, Value tensor, SmallVectorImpl<int64_t> &blockDims,
                                       SmallVectorImpl<int64_t> &innerDims) {
  SmallVector<int64_t> shape, counts(getTensorType(factors).getShape());
  if (counts.empty())
    counts.assign(getTensorType(tensor).getRank(), 1);
  for (auto [size, count] : llvm::zip_equal(getTensorType(tensor).getShape(), counts)) {
    if (count != 1) {
      blockDims.push_back(shape.size());
      shape.push_back(count);
    }
    if (size != count) {
      innerDims.push_back(shape.size());
      shape.push_back(size / count);
    }
  }
  return shape;
}

/// `apply(values, factors)` of `tensor` and the factors of its elements, both f32.
static Value applyFactors(GraphBuilder &b, Value tensor, Value factors, function_ref<Value(Value, Value)> apply) {
  SmallVector<int64_t> blockDims, innerDims, shape = splitShape(factors, tensor, blockDims, innerDims);
  SmallVector<int64_t> counts = llvm::map_to_vector(blockDims, [&](int64_t dim) { return shape[dim]; });
  Value wide = b.broadcast(b.reshape(b.toF32(factors), counts), shape, blockDims);
  Value result = apply(b.reshape(b.toF32(tensor), shape), wide);
  return b.reshape(result, getTensorType(tensor).getShape());
}

/// The factors' letters: a dimension of theirs is the major part of the tensor's, or belongs to all of it. A rank that has
/// one block of several has one factor, whose layout tells that from the whole.
static std::string factorLetters(Value factors, StringRef tensorLetters) {
  RankedTensorType type = getTensorType(factors);
  auto layout = dyn_cast_if_present<LayoutAttr>(type.getEncoding());
  std::string result;
  for (auto [dim, size] : llvm::enumerate(type.getShape())) {
    bool isPart = layout && !layout.getAxes()[dim].empty();
    result.push_back(size == 1 && !isPart ? '.' : tensorLetters[dim]);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// amax
//===----------------------------------------------------------------------===//

LogicalResult AmaxOp::verify() { return verifyBlocks(*this, "result", getResult(), getOperand()); }

SmallVector<Value> AmaxOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  SmallVector<int64_t> blockDims, innerDims, shape = splitShape(getResult(), getOperand(), blockDims, innerDims);
  Value x = b.reshape(b.toF32(getOperand()), shape);
  Value largest = b.max(b.maximum(x, b.neg(x)), innerDims);
  return {b.reshape(largest, getTensorType(getResult()).getShape())};
}

ShardingRule AmaxOp::getShardingRule() {
  std::string operand = leadingLetters(getOperand(), 0);
  ShardingRule rule = makeRule(*this, {operand}, {factorLetters(getResult(), operand)});
  rule.maximum = true;
  return rule;
}

Cost AmaxOp::getCost() { return makeCost(*this, 2 * countElements(getOperand())); }

//===----------------------------------------------------------------------===//
// quantize
//===----------------------------------------------------------------------===//

LogicalResult QuantizeOp::verify() {
  if (getTensorType(getOperand()).getShape() != getTensorType(getResult()).getShape())
    return emitOpError() << "result " << getResult().getType() << " must have the shape of " << getOperand().getType();
  return failure(failed(verifyBlocks(*this, "scale", getScale(), getOperand())) ||
                 failed(verifyEncoding(*this, getScale(), getResult())));
}

SmallVector<Value> QuantizeOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  bool divides = isa<Float8E8M0FNUType>(getTensorType(getScale()).getElementType());
  Value scaled = applyFactors(b, getOperand(), getScale(),
                              [&](Value x, Value scale) { return divides ? b.div(x, scale) : b.mul(x, scale); });
  return {b.convert(scaled, getTensorType(getResult()).getElementType())};
}

ShardingRule QuantizeOp::getShardingRule() {
  std::string operand = leadingLetters(getOperand(), 0);
  return makeRule(*this, {operand, factorLetters(getScale(), operand)}, {operand});
}

Cost QuantizeOp::getCost() { return elementwiseCost(*this); }

//===----------------------------------------------------------------------===//
// dequantize
//===----------------------------------------------------------------------===//

LogicalResult DequantizeOp::verify() {
  if (getTensorType(getOperand()).getShape() != getTensorType(getResult()).getShape())
    return emitOpError() << "result " << getResult().getType() << " must have the shape of " << getOperand().getType();
  return failure(failed(verifyBlocks(*this, "factor", getFactor(), getOperand())) ||
                 failed(verifyEncoding(*this, getFactor(), getOperand())));
}

SmallVector<Value> DequantizeOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  Value scaled = applyFactors(b, getOperand(), getFactor(), [&](Value q, Value factor) { return b.mul(q, factor); });
  return {b.convert(scaled, getTensorType(getResult()).getElementType())};
}

ShardingRule DequantizeOp::getShardingRule() {
  std::string operand = leadingLetters(getOperand(), 0);
  return makeRule(*this, {operand, factorLetters(getFactor(), operand)}, {operand});
}

Cost DequantizeOp::getCost() { return elementwiseCost(*this); }

//===----------------------------------------------------------------------===//
// scaled_matmul
//===----------------------------------------------------------------------===//

LogicalResult ScaledMatmulOp::verify() {
  if (failed(verifyProduct(*this, getSpec(), getLhs(), getRhs())) ||
      failed(verifyBlocks(*this, "lhs factor", getLhsFactor(), getLhs())) ||
      failed(verifyBlocks(*this, "rhs factor", getRhsFactor(), getRhs())) ||
      failed(verifyEncoding(*this, getLhsFactor(), getLhs())) ||
      failed(verifyEncoding(*this, getRhsFactor(), getRhs())))
    return failure();
  if (isFnuz(getLhs()) != isFnuz(getRhs()))
    return emitOpError() << "mixes encodings: " << getTensorType(getLhs()).getElementType() << " and "
                         << getTensorType(getRhs()).getElementType();
  Type lhs = getTensorType(getLhsFactor()).getElementType(), rhs = getTensorType(getRhsFactor()).getElementType();
  if (lhs != rhs)
    return emitOpError() << "mixes factors of type " << lhs << " and " << rhs;
  return success();
}

SmallVector<Value> ScaledMatmulOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  auto restore = [&](Value operand, Value factor) -> Value {
    return DequantizeOp::create(builder, getLoc(), getTensorType(operand).clone(b.getF32()), operand, factor);
  };
  Value lhs = restore(getLhs(), getLhsFactor()), rhs = restore(getRhs(), getRhsFactor());
  return {MatmulOp::create(builder, getLoc(), getResult().getType(), getSpec(), lhs, rhs)};
}

ShardingRule ScaledMatmulOp::getShardingRule() {
  return makeRule(*this,
                  {getLhsSpec().str(), factorLetters(getLhsFactor(), getLhsSpec()), getRhsSpec().str(),
                   factorLetters(getRhsFactor(), getRhsSpec())},
                  {getResultSpec().str()});
}

Cost ScaledMatmulOp::getCost() { return productCost(*this, getSpec()); }
