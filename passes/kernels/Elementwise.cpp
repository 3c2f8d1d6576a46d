//===- Elementwise.cpp - Graph ops on tiles -------------------------------===//

#include "passes/kernels/Elementwise.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {
using Emit = Value (*)(TileBuilder &, Operation *, ValueRange);
} // namespace

static Value emitSigmoid(TileBuilder &builder, Operation *, ValueRange v) {
  Type element = getElementTypeOrSelf(v[0]);
  Value x = cast<FloatType>(element).getWidth() < 32 ? builder.convert(v[0], builder.getF32Type()) : v[0];
  Value one = builder.constant(x.getType(), 1);
  return builder.convert(builder.div(one, builder.add(one, builder.exp(builder.neg(x)))), element);
}

static const llvm::StringMap<Emit> &getTable() {
  using B = TileBuilder;
  static const llvm::StringMap<Emit> table = {
      {graph::NegOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.neg(v[0]); }},
      {graph::ExpOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.exp(v[0]); }},
      {graph::LogOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.log(v[0]); }},
      {graph::SqrtOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.sqrt(v[0]); }},
      {graph::RsqrtOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.rsqrt(v[0]); }},
      {graph::TanhOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.tanh(v[0]); }},
      {graph::ErfOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.erf(v[0]); }},
      {graph::SigmoidOp::getOperationName(), emitSigmoid},
      {graph::AddOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.add(v[0], v[1]); }},
      {graph::SubOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.sub(v[0], v[1]); }},
      {graph::MulOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.mul(v[0], v[1]); }},
      {graph::DivOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.div(v[0], v[1]); }},
      {graph::MaximumOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.max(v[0], v[1]); }},
      {graph::MinimumOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.min(v[0], v[1]); }},
      {graph::CompareOp::getOperationName(),
       [](B &b, Operation *op, ValueRange v) {
         return b.compare(cast<graph::CompareOp>(op).getPredicate(), v[0], v[1]);
       }},
      {graph::SelectOp::getOperationName(), [](B &b, Operation *, ValueRange v) { return b.select(v[0], v[1], v[2]); }},
      {graph::ConvertOp::getOperationName(),
       [](B &b, Operation *op, ValueRange v) {
         return b.convert(v[0], getElementTypeOrSelf(op->getResult(0).getType()));
       }},
  };
  return table;
}

bool kernels::isElementwise(Operation *op) { return getTable().contains(op->getName().getStringRef()); }

Value kernels::emitElementwise(TileBuilder &builder, Operation *op, ValueRange tiles) {
  return getTable().lookup(op->getName().getStringRef())(builder, op, tiles);
}

std::optional<double> kernels::getSplat(Operation *op) {
  auto constant = dyn_cast_or_null<graph::ConstantOp>(op);
  auto elements = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : DenseElementsAttr();
  if (!elements || !elements.isSplat())
    return std::nullopt;
  Attribute element = elements.getSplatValue<Attribute>();
  if (auto real = dyn_cast<FloatAttr>(element))
    return real.getValueAsDouble();
  auto integer = cast<IntegerAttr>(element).getValue();
  return integer.getBitWidth() == 1 ? integer.getZExtValue() : static_cast<double>(integer.getSExtValue());
}
