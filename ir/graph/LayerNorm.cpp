//===- LayerNorm.cpp - Layer normalisation --------------------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/NormVerifier.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

/// One row, in f32, for each row of `x`.
static Value spreadRow(GraphBuilder &b, Value row, Value x) {
  int64_t last = getTensorType(x).getRank() - 1;
  return b.broadcast(row, getTensorType(x).getShape(), {last});
}

/// `offset + weight`, in f32.
static Value scaleRow(GraphBuilder &b, Value weight, double offset) {
  Value scale = b.toF32(weight);
  return offset != 0 ? b.add(scale, offset) : scale;
}

//===----------------------------------------------------------------------===//
// layer_norm
//===----------------------------------------------------------------------===//

LogicalResult LayerNormOp::verify() {
  NormVerifier verifier(*this, getX());
  return failure(failed(verifier.sameType("y", getY())) || failed(verifier.row("weight", getWeight())) ||
                 failed(verifier.row("bias", getBias())) || failed(verifier.statistic("mean", getMean())) ||
                 failed(verifier.statistic("rstd", getRstd())) || failed(verifier.positive("eps", getEps())));
}

SmallVector<Value> LayerNormOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  RankedTensorType type = getTensorType(getX());
  int64_t last = type.getRank() - 1;
  SmallVector<int64_t> rows = llvm::to_vector(llvm::seq(last));
  auto spread = [&](Value statistic) { return b.broadcast(statistic, type.getShape(), rows); };
  Value x = b.toF32(getX());
  Value mean = b.div(b.sum(x, {last}), type.getDimSize(last));
  Value centred = b.sub(x, spread(mean));
  Value variance = b.div(b.sum(b.mul(centred, centred), {last}), type.getDimSize(last));
  Value rstd = b.rsqrt(b.add(variance, getEps().convertToDouble()));
  Value y = b.mul(centred, spread(rstd));
  if (getWeight())
    y = b.mul(y, spreadRow(b, scaleRow(b, getWeight(), getOffset().convertToDouble()), x));
  if (getBias())
    y = b.add(y, spreadRow(b, b.toF32(getBias()), x));
  return {b.convert(y, type.getElementType()), mean, rstd};
}

SmallVector<Value> LayerNormOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  GraphBuilder b(builder, getLoc());
  RankedTensorType type = getTensorType(getX());
  int64_t last = type.getRank() - 1;
  auto spread = [&](Value statistic) {
    return b.broadcast(statistic, type.getShape(), llvm::to_vector(llvm::seq(last)));
  };
  auto accumulate = [&](Value sum, Value term) { return sum ? b.add(b.toF32(sum), term) : term; };
  double size = type.getDimSize(last);
  Value dx, dweight, dbias;
  if (cotangents[0]) {
    auto rowType = [&](Value row) -> Type { return row ? getTensorType(row).clone(b.getF32()) : RankedTensorType(); };
    auto gradient = LayerNormGradOp::create(builder, getLoc(), type, rowType(getWeight()), rowType(getBias()),
                                            cotangents[0], getX(), getMean(), getRstd(), getWeight(),
                                            builder.getUnitAttr(), getOffsetAttr());
    if (!getBias())
      gradient.removeHasBiasAttr();
    dx = gradient.getDx();
    dweight = gradient.getDweight();
    dbias = gradient.getDbias();
  }
  if (cotangents[1]) // d mean / dx = 1 / n.
    dx = accumulate(dx, spread(b.div(cotangents[1], size)));
  if (cotangents[2]) {
    // d rstd / dx = -rstd^3 (x - mean) / n.
    Value cube = b.mul(getRstd(), b.mul(getRstd(), getRstd()));
    Value factor = b.div(b.mul(cotangents[2], cube), -size);
    dx = accumulate(dx, b.mul(b.sub(b.toF32(getX()), spread(getMean())), spread(factor)));
  }
  SmallVector<Value> gradients = {dx};
  if (getWeight())
    gradients.push_back(dweight);
  if (getBias())
    gradients.push_back(dbias);
  return gradients;
}

ShardingRule LayerNormOp::getShardingRule() {
  std::string rows = leadingLetters(getX(), 1);
  SmallVector<std::string> operands(getNumOperands(), ".");
  operands[0] = rows + ".";
  return makeRule(*this, operands, {rows + ".", rows, rows});
}

Cost LayerNormOp::getCost() { return elementwiseCost(*this, 7); }

//===----------------------------------------------------------------------===//
// layer_norm_grad
//===----------------------------------------------------------------------===//

ParseResult LayerNormGradOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  FunctionType type;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseOperandList(operands) || parser.parseOptionalAttrDict(result.attributes) || parser.parseColon() ||
      parser.parseType(type) || parser.resolveOperands(operands, type.getInputs(), loc, result.operands))
    return failure();
  if (operands.size() < 4 || operands.size() > 5)
    return parser.emitError(loc, "expected operands dy, x, mean, rstd and perhaps the weight, but there are ")
           << operands.size();
  int32_t hasWeight = operands.size() > 4, hasBias = result.attributes.get("has_bias") ? 1 : 0;
  if (static_cast<int32_t>(type.getNumResults()) != 1 + hasWeight + hasBias)
    return parser.emitError(loc, "expected results dx")
           << (hasWeight ? ", dweight" : "") << (hasBias ? ", dbias" : "") << ", but there are "
           << type.getNumResults();
  result.getOrAddProperties<Properties>().resultSegmentSizes = {1, hasWeight, hasBias};
  result.addTypes(type.getResults());
  return success();
}

void LayerNormGradOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getOperands();
  SmallVector<StringRef> elided = {"resultSegmentSizes"};
  if (getOffset().isZero())
    elided.push_back(getOffsetAttrName());
  printer.printOptionalAttrDict((*this)->getAttrs(), elided);
  printer << " : ";
  printer.printFunctionalType(*this);
}

LogicalResult LayerNormGradOp::verify() {
  NormVerifier verifier(*this, getX());
  return failure(failed(verifier.sameType("dy", getDy())) || failed(verifier.sameType("dx", getDx())) ||
                 failed(verifier.row("weight", getWeight())) || failed(verifier.statistic("mean", getMean())) ||
                 failed(verifier.statistic("rstd", getRstd())) ||
                 failed(verifier.gradient("dweight", getDweight(), "weight", static_cast<bool>(getWeight()))) ||
                 failed(verifier.gradient("dbias", getDbias(), "bias", getHasBias())));
}

/// With xhat = (x - mean) rstd and g = dy (offset + weight): dx = rstd (g - mean(g) - xhat mean(g xhat)), dweight =
/// sum(dy xhat), dbias = sum(dy).
SmallVector<Value> LayerNormGradOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  RankedTensorType type = getTensorType(getX());
  int64_t last = type.getRank() - 1;
  SmallVector<int64_t> rows = llvm::to_vector(llvm::seq(last));
  auto spread = [&](Value statistic) { return b.broadcast(statistic, type.getShape(), rows); };
  auto mean = [&](Value value) { return spread(b.div(b.sum(value, {last}), type.getDimSize(last))); };
  Value rstd = spread(getRstd());
  Value xhat = b.mul(b.sub(b.toF32(getX()), spread(getMean())), rstd);
  Value dy = b.toF32(getDy()), g = dy;
  if (getWeight())
    g = b.mul(g, spreadRow(b, scaleRow(b, getWeight(), getOffset().convertToDouble()), xhat));
  Value dx = b.mul(rstd, b.sub(b.sub(g, mean(g)), b.mul(xhat, mean(b.mul(g, xhat)))));
  SmallVector<Value> results = {b.convert(dx, type.getElementType())};
  if (getWeight())
    results.push_back(b.sum(b.mul(dy, xhat), rows));
  if (getHasBias())
    results.push_back(b.sum(dy, rows));
  return results;
}

ShardingRule LayerNormGradOp::getShardingRule() {
  std::string rows = leadingLetters(getX(), 1);
  SmallVector<std::string> operands = {rows + ".", rows + ".", rows, rows}, results(getNumResults(), ".");
  if (getWeight())
    operands.push_back(".");
  results[0] = rows + ".";
  return makeRule(*this, operands, results);
}

Cost LayerNormGradOp::getCost() { return elementwiseCost(*this, 11); }
