//===- RmsNorm.cpp - Root-mean-square normalisation -----------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/NormVerifier.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

/// `offset + weight`, in f32 and x's shape; null without a weight.
static Value scaleOf(GraphBuilder &b, Value x, Value weight, double offset) {
  if (!weight)
    return {};
  int64_t last = getTensorType(x).getRank() - 1;
  Value scale = b.toF32(weight);
  if (offset != 0)
    scale = b.add(scale, offset);
  return b.broadcast(scale, getTensorType(x).getShape(), {last});
}

//===----------------------------------------------------------------------===//
// rms_norm
//===----------------------------------------------------------------------===//

LogicalResult RmsNormOp::verify() {
  NormVerifier verifier(*this, getX());
  return failure(failed(verifier.sameType("y", getY())) || failed(verifier.row("weight", getWeight())) ||
                 failed(verifier.statistic("rstd", getRstd())) || failed(verifier.positive("eps", getEps())));
}

SmallVector<Value> RmsNormOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  RankedTensorType type = getTensorType(getX());
  int64_t last = type.getRank() - 1;
  Value x = b.toF32(getX());
  Value mean = b.div(b.sum(b.mul(x, x), {last}), type.getDimSize(last));
  Value rstd = b.rsqrt(b.add(mean, getEps().convertToDouble()));
  Value y = b.mul(x, b.broadcast(rstd, type.getShape(), llvm::to_vector(llvm::seq(last))));
  if (Value scale = scaleOf(b, x, getWeight(), getOffset().convertToDouble()))
    y = b.mul(y, scale);
  return {b.convert(y, type.getElementType()), rstd};
}

SmallVector<Value> RmsNormOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  GraphBuilder b(builder, getLoc());
  RankedTensorType type = getTensorType(getX());
  int64_t last = type.getRank() - 1;
  Value dx, dweight;
  if (cotangents[0]) {
    SmallVector<Type> types = {type};
    if (getWeight())
      types.push_back(getTensorType(getWeight()).clone(b.getF32()));
    auto gradient = RmsNormGradOp::create(builder, getLoc(), types, cotangents[0], getX(), getRstd(), getWeight(),
                                          getOffsetAttr());
    dx = gradient.getDx();
    dweight = gradient.getDweight();
  }
  if (cotangents[1]) {
    // d rstd / dx = -rstd^3 x / n.
    Value cube = b.mul(getRstd(), b.mul(getRstd(), getRstd()));
    Value factor = b.div(b.mul(cotangents[1], cube), -static_cast<double>(type.getDimSize(last)));
    Value term = b.mul(b.toF32(getX()), b.broadcast(factor, type.getShape(), llvm::to_vector(llvm::seq(last))));
    dx = dx ? b.add(b.toF32(dx), term) : term;
  }
  SmallVector<Value> gradients = {dx};
  if (getWeight())
    gradients.push_back(dweight);
  return gradients;
}

ShardingRule RmsNormOp::getShardingRule() {
  std::string rows = leadingLetters(getX(), 1);
  SmallVector<std::string> operands = {rows + "."};
  if (getWeight())
    operands.push_back(".");
  return makeRule(*this, operands, {rows + ".", rows});
}

Cost RmsNormOp::getCost() { return elementwiseCost(*this, 4); }

//===----------------------------------------------------------------------===//
// rms_norm_grad
//===----------------------------------------------------------------------===//

LogicalResult RmsNormGradOp::verify() {
  NormVerifier verifier(*this, getX());
  return failure(failed(verifier.sameType("dy", getDy())) || failed(verifier.sameType("dx", getDx())) ||
                 failed(verifier.row("weight", getWeight())) || failed(verifier.statistic("rstd", getRstd())) ||
                 failed(verifier.gradient("dweight", getDweight(), "weight", static_cast<bool>(getWeight()))));
}

/// With xhat = x rstd and g = dy (offset + weight): dx = rstd (g - xhat mean(g xhat)), dweight = sum(dy xhat).
SmallVector<Value> RmsNormGradOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  RankedTensorType type = getTensorType(getX());
  int64_t last = type.getRank() - 1;
  SmallVector<int64_t> rows = llvm::to_vector(llvm::seq(last));
  auto spread = [&](Value statistic) { return b.broadcast(statistic, type.getShape(), rows); };
  Value rstd = spread(getRstd());
  Value xhat = b.mul(b.toF32(getX()), rstd), dy = b.toF32(getDy()), g = dy;
  if (Value scale = scaleOf(b, xhat, getWeight(), getOffset().convertToDouble()))
    g = b.mul(g, scale);
  Value mean = b.div(b.sum(b.mul(g, xhat), {last}), type.getDimSize(last));
  Value dx = b.mul(rstd, b.sub(g, b.mul(xhat, spread(mean))));
  SmallVector<Value> results = {b.convert(dx, type.getElementType())};
  if (getWeight())
    results.push_back(b.sum(b.mul(dy, xhat), rows));
  return results;
}

ShardingRule RmsNormGradOp::getShardingRule() {
  std::string rows = leadingLetters(getX(), 1);
  SmallVector<std::string> operands = {rows + ".", rows + ".", rows}, results = {rows + "."};
  if (getWeight()) {
    operands.push_back(".");
    results.push_back(".");
  }
  return makeRule(*this, operands, results);
}

Cost RmsNormGradOp::getCost() { return elementwiseCost(*this, 8); }
