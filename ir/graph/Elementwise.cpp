//===- Elementwise.cpp - Elementwise ops and conversions ------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Rules.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace primus::graph;

static bool isFloat(Value value) { return isa<FloatType>(getTensorType(value).getElementType()); }

//===----------------------------------------------------------------------===//
// Derivatives of unary ops: f32, as a function of operand, result and cotangent
//===----------------------------------------------------------------------===//

/// The vjp of a unary op whose derivative is `formula(builder, x, y)`, computed in f32.
template <typename FormulaT>
static SmallVector<Value> unaryVjp(Operation *op, OpBuilder &builder, ValueRange cotangents, FormulaT formula) {
  if (!cotangents[0])
    return {Value()};
  GraphBuilder b(builder, op->getLoc());
  Value x = b.toF32(op->getOperand(0)), y = b.toF32(op->getResult(0));
  return {b.mul(b.toF32(cotangents[0]), formula(b, x, y))};
}

SmallVector<Value> NegOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0])
    return {Value()};
  return {GraphBuilder(builder, getLoc()).neg(cotangents[0])};
}

SmallVector<Value> ExpOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  return unaryVjp(*this, builder, cotangents, [](GraphBuilder &b, Value x, Value y) { return y; });
}

SmallVector<Value> LogOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  return unaryVjp(*this, builder, cotangents,
                  [](GraphBuilder &b, Value x, Value y) { return b.div(b.splatLike(x, 1), x); });
}

SmallVector<Value> SqrtOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  return unaryVjp(*this, builder, cotangents,
                  [](GraphBuilder &b, Value x, Value y) { return b.div(b.splatLike(y, 0.5), y); });
}

SmallVector<Value> RsqrtOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  return unaryVjp(*this, builder, cotangents,
                  [](GraphBuilder &b, Value x, Value y) { return b.mul(b.mul(y, b.mul(y, y)), -0.5); });
}

SmallVector<Value> TanhOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  return unaryVjp(*this, builder, cotangents,
                  [](GraphBuilder &b, Value x, Value y) { return b.subFrom(1, b.mul(y, y)); });
}

SmallVector<Value> ErfOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  return unaryVjp(*this, builder, cotangents, [](GraphBuilder &b, Value x, Value y) {
    constexpr double twoOverSqrtPi = 1.1283791670955126;
    return b.mul(b.exp(b.neg(b.mul(x, x))), twoOverSqrtPi);
  });
}

SmallVector<Value> SigmoidOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  return unaryVjp(*this, builder, cotangents,
                  [](GraphBuilder &b, Value x, Value y) { return b.mul(y, b.subFrom(1, y)); });
}

//===----------------------------------------------------------------------===//
// Derivatives of binary ops
//===----------------------------------------------------------------------===//

SmallVector<Value> AddOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isFloat(getLhs()))
    return {Value(), Value()};
  return {cotangents[0], cotangents[0]};
}

SmallVector<Value> SubOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isFloat(getLhs()))
    return {Value(), Value()};
  return {cotangents[0], GraphBuilder(builder, getLoc()).neg(cotangents[0])};
}

SmallVector<Value> MulOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isFloat(getLhs()))
    return {Value(), Value()};
  GraphBuilder b(builder, getLoc());
  Value dy = b.toF32(cotangents[0]);
  return {b.mul(dy, b.toF32(getRhs())), b.mul(dy, b.toF32(getLhs()))};
}

SmallVector<Value> DivOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isFloat(getLhs()))
    return {Value(), Value()};
  GraphBuilder b(builder, getLoc());
  Value divisor = b.toF32(getRhs());
  Value dlhs = b.div(b.toF32(cotangents[0]), divisor);
  Value quotient = b.div(b.toF32(getLhs()), divisor);
  return {dlhs, b.neg(b.mul(dlhs, quotient))};
}

/// Where `mask` is set the left operand gets the cotangent, elsewhere the right one.
static SmallVector<Value> chooseVjp(GraphBuilder &b, Value mask, Value cotangent) {
  Value zero = b.splatLike(cotangent, 0);
  return {b.select(mask, cotangent, zero), b.select(mask, zero, cotangent)};
}

SmallVector<Value> MaximumOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isFloat(getLhs()))
    return {Value(), Value()};
  GraphBuilder b(builder, getLoc());
  return chooseVjp(b, b.compare(Predicate::GE, getLhs(), getRhs()), cotangents[0]);
}

SmallVector<Value> MinimumOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isFloat(getLhs()))
    return {Value(), Value()};
  GraphBuilder b(builder, getLoc());
  return chooseVjp(b, b.compare(Predicate::LE, getLhs(), getRhs()), cotangents[0]);
}

//===----------------------------------------------------------------------===//
// Compare and select
//===----------------------------------------------------------------------===//

LogicalResult CompareOp::verify() {
  if (!getTensorType(getResult()).getElementType().isInteger(1))
    return emitOpError("result must have element type i1, but is ") << getResult().getType();
  return success();
}

ShardingRule CompareOp::getShardingRule() { return elementwiseRule(*this); }
Cost CompareOp::getCost() { return elementwiseCost(*this); }

LogicalResult SelectOp::verify() {
  if (!getTensorType(getMask()).getElementType().isInteger(1))
    return emitOpError("mask must have element type i1, but is ") << getMask().getType();
  return success();
}

SmallVector<Value> SelectOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isFloat(getResult()))
    return {Value(), Value(), Value()};
  GraphBuilder b(builder, getLoc());
  SmallVector<Value> gradients = chooseVjp(b, getMask(), cotangents[0]);
  return {Value(), gradients[0], gradients[1]};
}

ShardingRule SelectOp::getShardingRule() { return elementwiseRule(*this, {1, 2}, /*jointlyLinear=*/true); }
Cost SelectOp::getCost() { return elementwiseCost(*this); }

//===----------------------------------------------------------------------===//
// Convert
//===----------------------------------------------------------------------===//

LogicalResult ConvertOp::verify() {
  Type from = getTensorType(getOperand()).getElementType(), to = getTensorType(getResult()).getElementType();
  if (isa<FloatType>(from) && isa<IntegerType>(to))
    return emitOpError("does not convert floats to integers: ") << from << " to " << to;
  return success();
}

/// Every value of `narrow` is one of `wide`.
static bool contains(FloatType wide, FloatType narrow) {
  const llvm::fltSemantics &a = wide.getFloatSemantics(), &b = narrow.getFloatSemantics();
  return llvm::APFloat::isRepresentableBy(b, a);
}

OpFoldResult ConvertOp::fold(FoldAdaptor) {
  if (getOperand().getType() == getType())
    return getOperand();
  // Widening and back gives the same value.
  auto inner = getOperand().getDefiningOp<ConvertOp>();
  if (!inner || inner.getOperand().getType() != getType())
    return {};
  auto wide = dyn_cast<FloatType>(getTensorType(getOperand()).getElementType());
  auto narrow = dyn_cast<FloatType>(getTensorType(getResult()).getElementType());
  if (wide && narrow && contains(wide, narrow))
    return inner.getOperand();
  return {};
}

namespace {
/// A matmul, reduction or scatter accumulates in f32 and rounds once at the end, so that a conversion of its f32
/// result, when nobody else reads it, can be that rounding.
struct RoundInProducer : OpRewritePattern<ConvertOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConvertOp convert, PatternRewriter &rewriter) const override {
    Operation *producer = convert.getOperand().getDefiningOp();
    if (!isa_and_present<MatmulOp, ReduceOp, ScatterOp>(producer) || !producer->hasOneUse())
      return failure();
    auto isNarrow = [](Value value) {
      auto type = dyn_cast<FloatType>(getTensorType(value).getElementType());
      return !type || type.getWidth() <= 32;
    };
    auto result = dyn_cast<FloatType>(getTensorType(convert.getResult()).getElementType());
    if (!getTensorType(convert.getOperand()).getElementType().isF32() || !result || result.getWidth() >= 32 || result.getWidth() < 16 ||
        !llvm::all_of(producer->getOperands(), isNarrow))
      return failure();
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(producer);
    Operation *narrow = rewriter.clone(*producer);
    narrow->getResult(0).setType(convert.getType());
    rewriter.replaceOp(convert, narrow->getResults());
    rewriter.eraseOp(producer);
    return success();
  }
};
} // namespace

void ConvertOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<RoundInProducer>(context);
}

SmallVector<Value> ConvertOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0] || !isFloat(getOperand()))
    return {Value()};
  // An f32 gradient stays one: what it is added to decides where it is rounded.
  if (getTensorType(cotangents[0]).getElementType().isF32())
    return {cotangents[0]};
  return {GraphBuilder(builder, getLoc()).convert(cotangents[0], getTensorType(getOperand()).getElementType())};
}

ShardingRule ConvertOp::getShardingRule() {
  auto from = dyn_cast<FloatType>(getTensorType(getOperand()).getElementType());
  auto to = dyn_cast<FloatType>(getTensorType(getResult()).getElementType());
  // Rounding a part of a sum is not a part of the rounded sum.
  if (from && to && contains(to, from))
    return elementwiseRule(*this, {0});
  return elementwiseRule(*this);
}

Cost ConvertOp::getCost() { return elementwiseCost(*this, 0); }
