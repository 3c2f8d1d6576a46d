//===- Activation.cpp - Pointwise non-linearities -------------------------===//

#include "ir/graph/ActivationFormulas.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

static constexpr double kSqrtHalf = 0.70710678118654752;
static constexpr double kSqrtTwoOverPi = 0.79788456080286536;
static constexpr double kInvSqrtTwoPi = 0.39894228040143268;
static constexpr double kGeluCubic = 0.044715;
static constexpr double kQuickGelu = 1.702;

/// tanh(sqrt(2/pi) (x + 0.044715 x^3)).
static Value geluTanh(GraphBuilder &b, Value x) {
  Value cube = b.mul(b.mul(x, x), x);
  return b.tanh(b.mul(b.add(x, b.mul(cube, kGeluCubic)), kSqrtTwoOverPi));
}

/// The normal distribution function, (1 + erf(x / sqrt 2)) / 2.
static Value normalCdf(GraphBuilder &b, Value x) { return b.mul(b.add(b.erf(b.mul(x, kSqrtHalf)), 1), 0.5); }

Value primus::graph::buildActivation(GraphBuilder &b, Activation kind, Value x) {
  switch (kind) {
  case Activation::Silu:
    return b.mul(x, b.sigmoid(x));
  case Activation::Gelu:
    return b.mul(x, normalCdf(b, x));
  case Activation::GeluTanh:
    return b.mul(b.mul(x, 0.5), b.add(geluTanh(b, x), 1));
  case Activation::QuickGelu:
    return b.mul(x, b.sigmoid(b.mul(x, kQuickGelu)));
  case Activation::Relu:
    return b.maximum(x, 0);
  case Activation::SquaredRelu: {
    Value positive = b.maximum(x, 0);
    return b.mul(positive, positive);
  }
  case Activation::Sigmoid:
    return b.sigmoid(x);
  }
  llvm_unreachable("all activations are covered");
}

Value primus::graph::buildActivationDerivative(GraphBuilder &b, Activation kind, Value x) {
  switch (kind) {
  case Activation::Silu: {
    // s (1 + x (1 - s))
    Value s = b.sigmoid(x);
    return b.mul(s, b.add(b.mul(x, b.subFrom(1, s)), 1));
  }
  case Activation::Gelu: {
    // cdf(x) + x pdf(x)
    Value density = b.mul(b.exp(b.mul(b.mul(x, x), -0.5)), kInvSqrtTwoPi);
    return b.add(normalCdf(b, x), b.mul(x, density));
  }
  case Activation::GeluTanh: {
    // (1 + t) / 2 + x (1 - t^2) / 2 * sqrt(2/pi) (1 + 3 * 0.044715 x^2)
    Value t = geluTanh(b, x);
    Value inner = b.mul(b.add(b.mul(b.mul(x, x), 3 * kGeluCubic), 1), kSqrtTwoOverPi);
    Value slope = b.mul(b.mul(b.mul(x, 0.5), b.subFrom(1, b.mul(t, t))), inner);
    return b.add(b.mul(b.add(t, 1), 0.5), slope);
  }
  case Activation::QuickGelu: {
    // s (1 + 1.702 x (1 - s))
    Value scaled = b.mul(x, kQuickGelu), s = b.sigmoid(scaled);
    return b.mul(s, b.add(b.mul(scaled, b.subFrom(1, s)), 1));
  }
  case Activation::Relu:
    return b.select(b.compare(Predicate::GT, x, 0), b.splatLike(x, 1), b.splatLike(x, 0));
  case Activation::SquaredRelu:
    return b.mul(b.maximum(x, 0), 2);
  case Activation::Sigmoid: {
    Value s = b.sigmoid(x);
    return b.mul(s, b.subFrom(1, s));
  }
  }
  llvm_unreachable("all activations are covered");
}

int64_t primus::graph::countActivationFlops(Activation kind) {
  switch (kind) {
  case Activation::Relu:
  case Activation::Sigmoid:
    return 1;
  case Activation::Silu:
  case Activation::SquaredRelu:
    return 2;
  case Activation::QuickGelu:
    return 3;
  case Activation::Gelu:
    return 5;
  case Activation::GeluTanh:
    return 9;
  }
  llvm_unreachable("all activations are covered");
}

//===----------------------------------------------------------------------===//
// activation
//===----------------------------------------------------------------------===//

SmallVector<Value> ActivationOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  return {b.convert(buildActivation(b, getKind(), b.toF32(getX())), getTensorType(getX()).getElementType())};
}

SmallVector<Value> ActivationOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0])
    return {Value()};
  return {ActivationGradOp::create(builder, getLoc(), getX().getType(), getKind(), cotangents[0], getX())};
}

ShardingRule ActivationOp::getShardingRule() { return elementwiseRule(*this); }
Cost ActivationOp::getCost() { return elementwiseCost(*this, countActivationFlops(getKind())); }

SmallVector<Value> ActivationGradOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  Value dx = b.mul(b.toF32(getDy()), buildActivationDerivative(b, getKind(), b.toF32(getX())));
  return {b.convert(dx, getTensorType(getX()).getElementType())};
}

ShardingRule ActivationGradOp::getShardingRule() { return elementwiseRule(*this); }
Cost ActivationGradOp::getCost() { return elementwiseCost(*this, 2 * countActivationFlops(getKind()) + 1); }
