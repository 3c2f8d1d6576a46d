//===- CrossEntropy.cpp - Output projection and loss ----------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

namespace {

/// Steps that the loss and its gradient share; logits are [tokens, rows of the weight].
template <typename OpT> struct Logits {
  Logits(OpT op, OpBuilder &builder) : b(builder, op.getLoc()) {
    rows = getTensorType(op.getWeight()).getDimSize(0);
    logits = b.matmul("th,vh->tv", op.getX(), op.getWeight(), b.getF32());
    column = b.iotaLike(logits, 1);
    if (static_cast<int64_t>(op.getVocabulary()) < rows)
      real = b.compare(Predicate::LT, column, static_cast<double>(op.getVocabulary()));
    Value labels = b.convert(op.getLabels(), getTensorType(column).getElementType());
    target = b.compare(Predicate::EQ, column, spread(labels));
    valid = b.compare(Predicate::GE, labels, 0);
  }

  /// One value per token, for each column.
  Value spread(Value perToken) { return b.broadcast(perToken, getTensorType(logits).getShape(), {0}); }
  /// `value` in the columns that are no padding, else `other`.
  Value withoutPadding(Value value, double other) {
    return real ? b.select(real, value, b.splatLike(value, other)) : value;
  }

  GraphBuilder b;
  int64_t rows;
  /// i32 index of each column; which columns are no padding (null: all); which is the label's; which tokens count.
  Value logits, column, real, target, valid;
};

/// Below every logit, and finite.
constexpr double kMaskedLogit = -1e30;

template <typename OpT> LogicalResult verifyCrossEntropy(OpT op) {
  RankedTensorType x = getTensorType(op.getX()), weight = getTensorType(op.getWeight()),
                   labels = getTensorType(op.getLabels()), lse = getTensorType(op.getLse());
  if (x.getRank() != 2 || weight.getRank() != 2 || x.getDimSize(1) != weight.getDimSize(1))
    return op.emitOpError("x must be [tokens, width] and weight [vocabulary, width], but they are ")
           << x << " and " << weight;
  if (x.getElementType() != weight.getElementType())
    return op.emitOpError("x and weight must have one element type, but are ") << x << " and " << weight;
  if (labels.getShape() != x.getShape().take_front() || !labels.getElementType().isInteger(32))
    return op.emitOpError("labels must be i32 [tokens], but are ") << labels;
  if (lse.getShape() != x.getShape().take_front() || !lse.getElementType().isF32())
    return op.emitOpError("lse must be f32 [tokens], but is ") << lse;
  int64_t vocabulary = op.getVocabulary();
  if (vocabulary < 1 || vocabulary > weight.getDimSize(0))
    return op.emitOpError("vocabulary must be between 1 and the weight's number of rows ")
           << weight.getDimSize(0) << ", but is " << vocabulary;
  return success();
}

bool isScalarF32(Value value) {
  RankedTensorType type = getTensorType(value);
  return type.getRank() == 0 && type.getElementType().isF32();
}

} // namespace

//===----------------------------------------------------------------------===//
// cross_entropy
//===----------------------------------------------------------------------===//

LogicalResult CrossEntropyOp::verify() {
  if (!isScalarF32(getLoss()) || !isScalarF32(getValid()))
    return emitOpError("loss and valid must be tensor<f32>");
  return verifyCrossEntropy(*this);
}

SmallVector<Value> CrossEntropyOp::decompose(OpBuilder &builder) {
  Logits<CrossEntropyOp> l(*this, builder);
  GraphBuilder &b = l.b;
  Value largest = b.max(l.withoutPadding(l.logits, kMaskedLogit), {1});
  Value weights = l.withoutPadding(b.exp(b.sub(l.logits, l.spread(largest))), 0);
  Value lse = b.add(largest, b.log(b.sum(weights, {1})));
  Value targetLogit = b.sum(b.select(l.target, l.logits, b.splatLike(l.logits, 0)), {1});
  Value losses = b.select(l.valid, b.sub(lse, targetLogit), b.splatLike(lse, 0));
  return {b.sum(losses, {0}), b.sum(b.convert(l.valid, b.getF32()), {0}), lse};
}

SmallVector<Value> CrossEntropyOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (cotangents[2]) {
    emitOpError("has no gradient with respect to lse");
    return {};
  }
  if (!cotangents[0])
    return {Value(), Value(), Value()};
  Type weight = getTensorType(getWeight()).clone(builder.getF32Type());
  auto gradient = CrossEntropyGradOp::create(builder, getLoc(), TypeRange{getX().getType(), weight}, cotangents[0],
                                             getX(), getWeight(), getLabels(), getLse(), getVocabularyAttr());
  return {gradient.getDx(), gradient.getDweight(), Value()};
}

ShardingRule CrossEntropyOp::getShardingRule() { return makeRule(*this, {"t.", "..", "t"}, {"", "", "t"}); }

Cost CrossEntropyOp::getCost() {
  return makeCost(*this, 2 * countElements(getX()) * static_cast<int64_t>(getVocabulary()));
}

//===----------------------------------------------------------------------===//
// cross_entropy_grad
//===----------------------------------------------------------------------===//

LogicalResult CrossEntropyGradOp::verify() {
  if (!isScalarF32(getDloss()))
    return emitOpError("dloss must be tensor<f32>, but is ") << getDloss().getType();
  RankedTensorType x = getTensorType(getX()), dx = getTensorType(getDx());
  if (dx.getShape() != x.getShape() || dx.getElementType() != x.getElementType())
    return emitOpError("dx must have x's shape and element type, but is ") << dx;
  RankedTensorType dweight = getTensorType(getDweight());
  if (dweight.getShape() != getTensorType(getWeight()).getShape() || !dweight.getElementType().isF32())
    return emitOpError("dweight must have the weight's shape, in f32, but is ") << dweight;
  return verifyCrossEntropy(*this);
}

SmallVector<Value> CrossEntropyGradOp::decompose(OpBuilder &builder) {
  Logits<CrossEntropyGradOp> l(*this, builder);
  GraphBuilder &b = l.b;
  Type element = getTensorType(getX()).getElementType();
  Value softmax = l.withoutPadding(b.exp(b.sub(l.logits, l.spread(getLse()))), 0);
  Value error = b.mul(b.sub(softmax, b.convert(l.target, b.getF32())), b.broadcastScalar(getDloss(), softmax));
  Value dlogits = b.convert(b.select(l.spread(l.valid), error, b.splatLike(error, 0)), element);
  return {b.matmul("tv,vh->th", dlogits, getWeight(), element), b.matmul("tv,th->vh", dlogits, getX(), b.getF32())};
}

ShardingRule CrossEntropyGradOp::getShardingRule() {
  return makeRule(*this, {"", "t.", "..", "t", "t"}, {"t.", ".."});
}

/// Two products; the logits, which are computed again, do not count.
Cost CrossEntropyGradOp::getCost() {
  return makeCost(*this, 4 * countElements(getX()) * static_cast<int64_t>(getVocabulary()));
}
