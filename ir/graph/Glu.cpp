//===- Glu.cpp - Gated linear units ---------------------------------------===//

#include "ir/graph/ActivationFormulas.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

//===----------------------------------------------------------------------===//
// glu
//===----------------------------------------------------------------------===//

SmallVector<Value> GluOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  Value y = b.mul(buildActivation(b, getKind(), b.toF32(getGate())), b.toF32(getUp()));
  return {b.convert(y, getTensorType(getUp()).getElementType())};
}

SmallVector<Value> GluOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0])
    return {Value(), Value()};
  Type type = getUp().getType();
  auto gradient =
      GluGradOp::create(builder, getLoc(), TypeRange{type, type}, getKind(), cotangents[0], getGate(), getUp());
  return {gradient.getDgate(), gradient.getDup()};
}

ShardingRule GluOp::getShardingRule() { return elementwiseRule(*this); }
Cost GluOp::getCost() { return elementwiseCost(*this, countActivationFlops(getKind()) + 1); }

//===----------------------------------------------------------------------===//
// glu_grad
//===----------------------------------------------------------------------===//

/// dgate = dy up act'(gate), dup = dy act(gate).
SmallVector<Value> GluGradOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  Type element = getTensorType(getUp()).getElementType();
  Value dy = b.toF32(getDy()), gate = b.toF32(getGate()), up = b.toF32(getUp());
  Value dgate = b.mul(b.mul(dy, up), buildActivationDerivative(b, getKind(), gate));
  Value dup = b.mul(dy, buildActivation(b, getKind(), gate));
  return {b.convert(dgate, element), b.convert(dup, element)};
}

ShardingRule GluGradOp::getShardingRule() { return elementwiseRule(*this); }
Cost GluGradOp::getCost() { return elementwiseCost(*this, 3 * countActivationFlops(getKind()) + 3); }
