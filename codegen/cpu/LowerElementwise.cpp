//===- LowerElementwise.cpp - Arithmetic on tiles -------------------------===//

#include "codegen/common/Float8.h"
#include "codegen/common/MathFunctions.h"
#include "codegen/cpu/KernelLowering.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

/// Whether arithmetic on `element` is done in f32: bf16 and 8-bit floats lie in registers as bits.
static bool computesInF32(Type type) { return getElementTypeOrSelf(type).isBF16() || isFloat8(type); }

/// `type`, which may be a vector, with another element.
static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

/// Operations of the math dialect that become one instruction, or a few.
static bool isNativeMath(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp, math::FloorOp, math::FmaOp, math::RoundEvenOp,
             math::SqrtOp, math::TruncOp>(op);
}

/// Whether there is an instruction that multiplies by powers of two.
static bool hasScale(Type type, const CpuTarget &target) {
  auto vector = dyn_cast<VectorType>(type);
  return vector && vector.getDimSize(0) == 16 && target.has("avx512f");
}

LogicalResult KernelLowering::lowerConstant(arith::ConstantOp op) {
  auto tile = dyn_cast<RankedTensorType>(op.getType());
  if (!tile) {
    Type storage = getStorageType(op.getType());
    TypedAttr value = op.getValue();
    if (auto number = dyn_cast<FloatAttr>(value); number && computesInF32(op.getType()))
      value = IntegerAttr::get(storage, number.getValue().bitcastToAPInt());
    else if (op.getType().isIndex())
      value = IntegerAttr::get(storage, cast<IntegerAttr>(value).getInt());
    define(op, {arith::ConstantOp::create(b, value)});
    return success();
  }

  TileLayout layout = layoutOf(op);
  auto elements = cast<DenseElementsAttr>(op.getValue());
  // Elements as attributes of the storage type, row by row.
  auto toStorage = [&](Attribute element) -> Attribute {
    if (auto number = dyn_cast<FloatAttr>(element); number && computesInF32(tile))
      return IntegerAttr::get(layout.element, number.getValue().bitcastToAPInt());
    if (tile.getElementType().isIndex())
      return IntegerAttr::get(layout.element, cast<IntegerAttr>(element).getInt());
    return element;
  };
  auto makeVector = [&](ArrayRef<Attribute> lanes) -> Value {
    return arith::ConstantOp::create(b, cast<TypedAttr>(Attribute(DenseElementsAttr::get(layout.vectorType(), lanes))));
  };
  if (elements.isSplat()) {
    Value vector = makeVector(toStorage(elements.getSplatValue<Attribute>()));
    define(op, Parts(layout.size(), vector));
    return success();
  }
  SmallVector<Attribute> all(elements.getValues<Attribute>());
  Parts parts;
  for (int64_t row = 0; row < layout.rows; ++row) {
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
      SmallVector<Attribute> lanes;
      for (int64_t lane = 0; lane < layout.width; ++lane) {
        int64_t column = std::min(chunk * layout.width + lane, layout.columns - 1);
        lanes.push_back(toStorage(all[row * layout.columns + column]));
      }
      parts.push_back(makeVector(lanes));
    }
  }
  define(op, std::move(parts));
  return success();
}

LogicalResult KernelLowering::lowerElementwise(Operation *op) {
  if (op->getNumResults() != 1 || op->getNumRegions() != 0 || !OpTrait::hasElementwiseMappableTraits(op))
    return op->emitOpError("has no lowering to the CPU; write it with arith, math, scf and kernel operations");
  SmallVector<Type> types = partTypes(op->getResult(0).getType());
  Parts parts;
  for (auto [i, type] : llvm::enumerate(types)) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      // A select's condition may be a scalar beside tiles.
      ArrayRef<Value> source = partsOf(operand);
      operands.push_back(source[source.size() == 1 ? 0 : i]);
    }
    FailureOr<Value> value = lowerElement(op, operands, type);
    if (failed(value))
      return failure();
    parts.push_back(*value);
  }
  define(op->getResult(0), std::move(parts));
  return success();
}

/// Changes of an integer's width in which `index` counts as i64.
static Value castInteger(VectorBuilder &b, Value value, Type type, bool isSigned) {
  unsigned from = getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth();
  unsigned to = getElementTypeOrSelf(type).getIntOrFloatBitWidth();
  if (from == to)
    return value;
  if (from > to)
    return arith::TruncIOp::create(b, type, value);
  if (isSigned)
    return arith::ExtSIOp::create(b, type, value);
  return arith::ExtUIOp::create(b, type, value);
}

FailureOr<Value> KernelLowering::lowerElement(Operation *op, ValueRange operands, Type result) {
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op))
    return castInteger(b, operands[0], result, isa<arith::IndexCastOp>(op));
  // What only moves bits works on floats as they lie in registers.
  if (isa<arith::SelectOp>(op))
    return Value(arith::SelectOp::create(b, operands[0], operands[1], operands[2]));
  if (isa<arith::BitcastOp>(op))
    return b.bitcast(operands[0], result);

  Type from = op->getNumOperands() == 1 ? getElementTypeOrSelf(op->getOperand(0).getType()) : Type();
  Type to = getElementTypeOrSelf(op->getResult(0).getType());
  if (isa<arith::ExtFOp, arith::TruncFOp>(op) && from.getIntOrFloatBitWidth() <= 32 && to.getIntOrFloatBitWidth() <= 32) {
    Value wide = b.toF32(operands[0], from);
    return isFloat8(from) && to.isBF16() ? b.upperHalf(wide) : b.fromF32(wide, to);
  }

  SmallVector<Value> inputs(operands);
  for (auto [input, operand] : llvm::zip(inputs, op->getOperands()))
    if (computesInF32(operand.getType()))
      input = b.toF32(input, getElementTypeOrSelf(operand.getType()));
  bool narrow = computesInF32(to);
  Type type = narrow ? withElement(result, b.getF32Type()) : result;

  auto scale = [&](Value x, Value number, Value) {
    Value mask = arith::ConstantOp::create(b, b.getI16IntegerAttr(-1));
    constexpr int64_t currentRounding = 4;
    Value rounding = b.constantInt(b.getI32Type(), currentRounding);
    return b.intrinsic("llvm.x86.avx512.mask.scalef.ps.512", x.getType(), {x, number, x, mask, rounding});
  };
  Value value;
  if (op->getDialect() == b.getContext()->getLoadedDialect<math::MathDialect>() && !isNativeMath(op)) {
    value = expandMathFunction(b, op, inputs, hasScale(type, target) ? ScaleByPower(scale) : ScaleByPower());
    if (!value)
      return op->emitOpError() << "of " << getElementTypeOrSelf(op->getOperand(0).getType())
                               << " has no expansion for the CPU; compute it in f32 from the functions that have one "
                                  "(codegen/common/MathFunctions.h)";
  } else {
    OperationState state(b.getLoc(), op->getName(), inputs, type, op->getAttrs());
    Operation *clone = b.create(state);
    // A product and a sum may become one operation: exacter, and twice as fast.
    if (isa<arith::AddFOp, arith::SubFOp, arith::MulFOp>(op))
      clone->setAttr("fastmath", arith::FastMathFlagsAttr::get(b.getContext(), arith::FastMathFlags::contract));
    value = clone->getResult(0);
  }
  return narrow ? b.fromF32(value, to) : value;
}
