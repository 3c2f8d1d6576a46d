//===- AdamW.cpp - The optimizer's update ---------------------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

/// `%p, %m, %v, %g, %scale, %lr, %c1, %c2 {...} : type of p and g (moments type of m, type of v)
/// (, type of the scalars if it has a layout)`. Without `moments`, m and v have the type of p.
ParseResult AdamWOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  RankedTensorType type, first, second, scalar = RankedTensorType::get({}, parser.getBuilder().getF32Type());
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseOperandList(operands, 8) || parser.parseOptionalAttrDict(result.attributes) || parser.parseColon() ||
      parser.parseType(type))
    return failure();
  first = second = type;
  if (succeeded(parser.parseOptionalKeyword("moments")) &&
      (parser.parseType(first) || parser.parseComma() || parser.parseType(second)))
    return failure();
  if (succeeded(parser.parseOptionalComma()) && parser.parseType(scalar))
    return failure();
  SmallVector<Type> types = {type, first, second, type};
  types.append(4, scalar);
  result.addTypes({type, first, second});
  return parser.resolveOperands(operands, types, loc, result.operands);
}

void AdamWOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getOperands();
  printer.printOptionalAttrDict((*this)->getAttrs());
  printer << " : " << getParam().getType();
  if (getM().getType() != getParam().getType() || getV().getType() != getParam().getType())
    printer << " moments " << getM().getType() << ", " << getV().getType();
  if (getTensorType(getScale()).getEncoding())
    printer << ", " << getScale().getType();
}

LogicalResult AdamWOp::verify() {
  RankedTensorType param = getTensorType(getParam());
  if (!param.getElementType().isF32())
    return emitOpError("param must be f32, but is ") << param;
  for (Value value : {getGrad(), getNewParam()})
    if (value.getType() != param)
      return emitOpError("param, grad and new_param must have one type, but are ") << param << " and " << value.getType();
  for (auto [moment, updated] : {std::pair(getM(), getNewM()), std::pair(getV(), getNewV())}) {
    RankedTensorType type = getTensorType(moment);
    if (updated.getType() != type || type != withShape(param, param.getShape(), type.getElementType()))
      return emitOpError("m and v must have param's shape and layout, and the results their types, but ")
             << param << " has a moment " << type << " and " << updated.getType();
    if (!type.getElementType().isF32() && !type.getElementType().isBF16())
      return emitOpError("m and v must be f32 or bf16, but one is ") << type;
  }
  for (Value value : {getScale(), getLr(), getC1(), getC2()})
    if (getTensorType(value).getRank() != 0 || !getTensorType(value).getElementType().isF32() ||
        value.getType() != getScale().getType())
      return emitOpError("scale, lr, c1 and c2 must be tensor<f32>, but one is ") << value.getType();
  for (auto [name, beta] : {std::pair("beta1", getBeta1()), std::pair("beta2", getBeta2())})
    if (double value = beta.convertToDouble(); !(value >= 0 && value < 1))
      return emitOpError() << name << " must be in [0, 1), but is " << value;
  return success();
}

SmallVector<Value> AdamWOp::decompose(OpBuilder &builder) {
  GraphBuilder b(builder, getLoc());
  double beta1 = getBeta1().convertToDouble(), beta2 = getBeta2().convertToDouble();
  auto spread = [&](Value scalar) { return b.broadcastScalar(scalar, getParam()); };
  Value g = b.mul(getGrad(), spread(getScale()));
  Value m = b.add(b.mul(b.toF32(getM()), beta1), b.mul(g, 1 - beta1));
  Value v = b.add(b.mul(b.toF32(getV()), beta2), b.mul(b.mul(g, g), 1 - beta2));
  Value denominator = b.add(b.sqrt(b.div(v, spread(getC2()))), getEps().convertToDouble());
  Value update = b.div(b.div(m, spread(getC1())), denominator);
  if (!getWeightDecay().isZero())
    update = b.add(update, b.mul(getParam(), getWeightDecay().convertToDouble()));
  Value param = b.sub(getParam(), b.mul(spread(getLr()), update));
  Value isNumber = b.compare(Predicate::EQ, spread(getScale()), spread(getScale()));
  auto choose = [&](Value updated, Value old) {
    return b.select(isNumber, b.convert(updated, getTensorType(old).getElementType()), old);
  };
  return {choose(param, getParam()), choose(m, getM()), choose(v, getV())};
}

ShardingRule AdamWOp::getShardingRule() { return elementwiseRule(*this); }
Cost AdamWOp::getCost() { return elementwiseCost(*this, 16); }
