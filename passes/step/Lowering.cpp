//===- Lowering.cpp - What both halves of LowerToStep share ---------------===//

#include "passes/step/Lowering.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

MemRefType step::getBufferType(Type tensor) {
  auto type = cast<RankedTensorType>(tensor);
  return MemRefType::get(type.getShape(), type.getElementType());
}

Value step::getRoot(Value buffer) {
  while (Operation *definition = buffer.getDefiningOp()) {
    if (auto view = dyn_cast<ViewOp>(definition))
      buffer = view.getSource();
    else if (auto slice = dyn_cast<MicrobatchOp>(definition))
      buffer = slice.getSource();
    else
      break;
  }
  return buffer;
}

Value step::getView(OpBuilder &builder, Location loc, Value buffer, MemRefType type, int64_t offset) {
  // A view of a view is one view.
  if (auto view = buffer.getDefiningOp<ViewOp>())
    return getView(builder, loc, view.getSource(), type, view.getOffset() + offset);
  if (buffer.getType() == type && offset == 0)
    return buffer;
  // Named after what it shows.
  if (!getName(buffer.getLoc(), "").empty())
    loc = buffer.getLoc();
  return ViewOp::create(builder, loc, type, buffer, builder.getI64IntegerAttr(offset));
}

std::string step::getName(Location loc, StringRef fallback) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string name = getName(part, ""); !name.empty())
        return name;
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return getName(call.getCallee(), fallback);
  return fallback.str();
}

bool step::isZero(graph::ConstantOp constant) {
  auto value = dyn_cast<DenseElementsAttr>(constant.getValue());
  if (!value || !value.isSplat())
    return false;
  Attribute element = value.getSplatValue<Attribute>();
  if (auto real = dyn_cast<FloatAttr>(element))
    return real.getValue().isPosZero();
  return isa<IntegerAttr>(element) && cast<IntegerAttr>(element).getValue().isZero();
}
