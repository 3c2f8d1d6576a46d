//===- Attention.cpp - Scaled dot-product attention -----------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

namespace {

/// The sizes of an attention op, and the steps that it shares with its gradient. Heads are split into groups x heads
/// per group, so that scores are [batch, groups, heads per group, tokens, keys].
template <typename OpT> struct Attention {
  Attention(OpT op, OpBuilder &builder) : op(op), b(builder, op.getLoc()) {
    RankedTensorType q = getTensorType(op.getQ()), k = getTensorType(op.getK());
    batch = q.getDimSize(0);
    tokens = q.getDimSize(1);
    heads = q.getDimSize(2);
    headSize = q.getDimSize(3);
    groups = k.getDimSize(2);
    element = q.getElementType();
  }

  /// [batch, tokens, heads, head size] <-> [batch, tokens, groups, heads per group, head size].
  Value splitHeads(Value x) { return b.reshape(x, {batch, tokens, groups, heads / groups, headSize}); }
  Value joinHeads(Value x) { return b.reshape(x, {batch, tokens, heads, headSize}); }
  /// [batch, heads, tokens] <-> [batch, groups, heads per group, tokens].
  Value splitRows(Value x) { return b.reshape(x, {batch, groups, heads / groups, tokens}); }
  Value joinRows(Value x) { return b.reshape(x, {batch, heads, tokens}); }
  /// One value per row of the scores.
  Value spreadRows(Value rows, Value scores) {
    return b.broadcast(rows, getTensorType(scores).getShape(), {0, 1, 2, 3});
  }

  /// softcap(scale q k^T), f32; `saturation` is tanh(s / c), null without softcap.
  Value buildScores(Value &saturation) {
    Value scores = b.matmul("btgrd,bsgd->bgrts", splitHeads(op.getQ()), op.getK(), b.getF32());
    scores = b.mul(scores, op.getScale().convertToDouble());
    double softcap = op.getSoftcap().convertToDouble();
    if (softcap == 0)
      return scores;
    saturation = b.tanh(b.div(scores, softcap));
    return b.mul(saturation, softcap);
  }

  /// Which keys each token sees, in the scores' shape; null if all.
  Value buildMask(Value scores) {
    if (!op.getCausal() && !op.getWindow())
      return {};
    Value token, key;
    if (op.getQueryPositions()) {
      ArrayRef<int64_t> shape = getTensorType(scores).getShape();
      token = b.broadcast(op.getQueryPositions(), shape, {3});
      key = b.broadcast(op.getKeyPositions(), shape, {4});
    } else {
      token = b.iotaLike(scores, 3);
      key = b.iotaLike(scores, 4);
    }
    Value mask;
    if (op.getCausal())
      mask = b.compare(Predicate::LE, key, token);
    if (op.getWindow()) {
      Value near = b.compare(Predicate::LT, b.sub(token, key), static_cast<double>(*op.getWindow()));
      mask = mask ? b.select(mask, near, b.splatLike(near, 0)) : near;
    }
    return mask;
  }

  /// `value` where the mask is set (or absent), else `other`.
  Value masked(Value mask, Value value, double other) {
    return mask ? b.select(mask, value, b.splatLike(value, other)) : value;
  }

  OpT op;
  GraphBuilder b;
  int64_t batch, tokens, heads, headSize, groups;
  Type element;
};

/// Below every score, and finite, so that a row without visible keys gives zeros and no NaN.
constexpr double kMaskedScore = -1e30;

/// (token, key) pairs that count: half of all with a causal mask, at most a window per token.
template <typename OpT> int64_t countPairs(OpT op) {
  int64_t tokens = getTensorType(op.getQ()).getDimSize(1), keys = getTensorType(op.getK()).getDimSize(1);
  int64_t pairs = op.getCausal() ? tokens * keys / 2 : tokens * keys;
  if (op.getWindow())
    pairs = std::min(pairs, tokens * static_cast<int64_t>(*op.getWindow()));
  return pairs * getTensorType(op.getQ()).getDimSize(0) * getTensorType(op.getQ()).getDimSize(2);
}

/// The operands that both rules end with: tokens split over 't' where positions say where they are.
template <typename OpT> SmallVector<std::string> getPositionSpecs(OpT op) {
  return op.getQueryPositions() ? SmallVector<std::string>{"t", "."} : SmallVector<std::string>{};
}

/// Whether a result has an operand's shape and its element type or f32.
bool fits(Value result, Value operand) {
  RankedTensorType type = getTensorType(result), expected = getTensorType(operand);
  return type.getShape() == expected.getShape() &&
         (type.getElementType() == expected.getElementType() || type.getElementType().isF32());
}

template <typename OpT> LogicalResult verifyAttention(OpT op) {
  RankedTensorType q = getTensorType(op.getQ()), k = getTensorType(op.getK()), lse = getTensorType(op.getLse());
  if (q.getRank() != 4 || k.getRank() != 4)
    return op.emitOpError("q, k and v must be [batch, tokens, heads, head size], but are ") << q << " and " << k;
  if (q.getElementType() != k.getElementType())
    return op.emitOpError("q, k and v must have one element type, but are ") << q << " and " << k;
  if (q.getDimSize(0) != k.getDimSize(0) || q.getDimSize(3) != k.getDimSize(3))
    return op.emitOpError("q and k must have equal batch and head sizes, but are ") << q << " and " << k;
  if (k.getDimSize(2) == 0 || q.getDimSize(2) % k.getDimSize(2) != 0)
    return op.emitOpError("number of heads ") << q.getDimSize(2) << " must be a multiple of the number of groups "
                                              << k.getDimSize(2);
  SmallVector<int64_t> rows = {q.getDimSize(0), q.getDimSize(2), q.getDimSize(1)};
  if (lse.getShape() != ArrayRef<int64_t>(rows) || !lse.getElementType().isF32())
    return op.emitOpError("lse must be f32 [batch, heads, tokens], but is ") << lse;
  if (!op.getQueryPositions() != !op.getKeyPositions())
    return op.emitOpError("needs positions of both tokens and keys, or of neither");
  auto counts = [](Value positions, int64_t count) {
    RankedTensorType type = getTensorType(positions);
    return type.getRank() == 1 && type.getDimSize(0) == count && type.getElementType().isInteger(32);
  };
  if (op.getQueryPositions() && (!counts(op.getQueryPositions(), q.getDimSize(1)) ||
                                 !counts(op.getKeyPositions(), k.getDimSize(1))))
    return op.emitOpError("positions must be i32 [tokens] and [keys], but are ")
           << op.getQueryPositions().getType() << " and " << op.getKeyPositions().getType();
  if (op.getWindow() && static_cast<int64_t>(*op.getWindow()) < 1)
    return op.emitOpError("window must be at least 1");
  if (op.getSoftcap().isNegative())
    return op.emitOpError("softcap must not be negative");
  return success();
}

} // namespace

//===----------------------------------------------------------------------===//
// attention
//===----------------------------------------------------------------------===//

LogicalResult AttentionOp::verify() {
  if (!fits(getOut(), getQ()))
    return emitOpError("out must have q's shape, in q's element type or f32, but is ") << getOut().getType();
  return verifyAttention(*this);
}

SmallVector<Value> AttentionOp::decompose(OpBuilder &builder) {
  Attention<AttentionOp> a(*this, builder);
  GraphBuilder &b = a.b;
  Value saturation;
  Value scores = a.buildScores(saturation), mask = a.buildMask(scores);
  Value largest = b.max(a.masked(mask, scores, kMaskedScore), {4});
  Value weights = a.masked(mask, b.exp(b.sub(scores, a.spreadRows(largest, scores))), 0);
  Value total = b.sum(weights, {4});
  // A row with a visible key has a total of at least 1, its largest element's share.
  if (mask)
    total = b.maximum(total, 1);
  Value probabilities = b.convert(b.div(weights, a.spreadRows(total, scores)), a.element);
  Value out = b.matmul("bgrts,bsgd->btgrd", probabilities, getV(), getTensorType(getOut()).getElementType());
  return {a.joinHeads(out), a.joinRows(b.add(largest, b.log(total)))};
}

SmallVector<Value> AttentionOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (cotangents[1]) {
    emitOpError("has no gradient with respect to lse");
    return {};
  }
  SmallVector<Value> gradients(getNumOperands());
  if (!cotangents[0])
    return gradients;
  Type q = getQ().getType(), k = getK().getType();
  auto gradient = AttentionGradOp::create(builder, getLoc(), TypeRange{q, k, k}, cotangents[0], getQ(), getK(), getV(),
                                          getOut(), getLse(), getQueryPositions(), getKeyPositions(), getScaleAttr(),
                                          getCausalAttr(), getWindowAttr(), getSoftcapAttr());
  llvm::copy(gradient.getResults(), gradients.begin());
  return gradients;
}

ShardingRule AttentionOp::getShardingRule() {
  std::string token = getQueryPositions() ? "t" : ".", q = "b" + token + "g.";
  SmallVector<std::string> operands = {q, "b.g.", "b.g."};
  llvm::append_range(operands, getPositionSpecs(*this));
  return makeRule(*this, operands, {q, "bg" + token});
}

/// Two products of head size multiply-adds per pair.
Cost AttentionOp::getCost() {
  return makeCost(*this, 4 * countPairs(*this) * getTensorType(getQ()).getDimSize(3));
}

//===----------------------------------------------------------------------===//
// attention_grad
//===----------------------------------------------------------------------===//

LogicalResult AttentionGradOp::verify() {
  if (!fits(getDq(), getQ()) || !fits(getDk(), getK()))
    return emitOpError("dq must have q's shape, dk and dv k's, each in that element type or f32, but they are ")
           << getDq().getType() << " and " << getDk().getType();
  return verifyAttention(*this);
}

/// With p the probabilities, dp = dout v^T and D = rowsum(dout out): ds = p (dp - D), dv = p^T dout, dq = ds k, dk =
/// ds^T q.
SmallVector<Value> AttentionGradOp::decompose(OpBuilder &builder) {
  Attention<AttentionGradOp> a(*this, builder);
  GraphBuilder &b = a.b;
  Value saturation;
  Value scores = a.buildScores(saturation), mask = a.buildMask(scores);
  Value p = a.masked(mask, b.exp(b.sub(scores, a.spreadRows(a.splitRows(getLse()), scores))), 0);
  Value dout = a.splitHeads(getDout());
  Value dp = b.matmul("btgrd,bsgd->bgrts", dout, getV(), b.getF32());
  Value rowSum = b.sum(b.mul(b.toF32(dout), b.toF32(a.splitHeads(getOut()))), {4});
  Value delta = b.transpose(rowSum, {0, 2, 3, 1});
  Value ds = b.mul(p, b.sub(dp, a.spreadRows(delta, scores)));
  if (saturation)
    ds = b.mul(ds, b.subFrom(1, b.mul(saturation, saturation)));
  ds = b.convert(b.mul(ds, getScale().convertToDouble()), a.element);
  Type queryType = getTensorType(getDq()).getElementType(), keyType = getTensorType(getDk()).getElementType();
  Value dq = b.matmul("bgrts,bsgd->btgrd", ds, getK(), queryType);
  Value dk = b.matmul("bgrts,btgrd->bsgd", ds, a.splitHeads(getQ()), keyType);
  Value dv = b.matmul("bgrts,btgrd->bsgd", b.convert(p, a.element), dout, keyType);
  return {a.joinHeads(dq), dk, dv};
}

/// dk and dv are sums over tokens.
ShardingRule AttentionGradOp::getShardingRule() {
  std::string token = getQueryPositions() ? "t" : ".", q = "b" + token + "g.";
  SmallVector<std::string> operands = {q, q, "b.g.", "b.g.", q, "bg" + token};
  llvm::append_range(operands, getPositionSpecs(*this));
  return makeRule(*this, operands, {q, "b.g.", "b.g."});
}

/// Four products per pair; the scores, which are computed again, do not count.
Cost AttentionGradOp::getCost() {
  return makeCost(*this, 8 * countPairs(*this) * getTensorType(getQ()).getDimSize(3));
}
