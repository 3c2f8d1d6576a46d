//===- Float8.cpp - Conversions of 8-bit floats ---------------------------===//

#include "codegen/common/Float8.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace primus;

bool codegen::isFloat8(Type type) {
  auto format = dyn_cast<FloatType>(getElementTypeOrSelf(type));
  return format && format.getWidth() == 8;
}

namespace {

/// Arithmetic on scalars or vectors of one shape.
class BitBuilder {
public:
  BitBuilder(ImplicitLocOpBuilder &b, Value like) : b(b), like(like.getType()) {}

  Type type(Type element) const {
    auto vector = dyn_cast<VectorType>(like);
    return vector ? Type(vector.clone(element)) : element;
  }
  Value constant(TypedAttr number) {
    if (auto vector = dyn_cast<VectorType>(like))
      number = DenseElementsAttr::get(vector.clone(number.getType()), Attribute(number));
    return arith::ConstantOp::create(b, number);
  }
  Value i32(uint32_t number) { return constant(b.getI32IntegerAttr(static_cast<int32_t>(number))); }
  Value f32(double number) { return constant(b.getF32FloatAttr(static_cast<float>(number))); }

  Value extend(Value x, unsigned bits) { return arith::ExtUIOp::create(b, type(b.getIntegerType(bits)), x); }
  Value truncate(Value x, unsigned bits) { return arith::TruncIOp::create(b, type(b.getIntegerType(bits)), x); }
  Value asF32(Value bits) { return arith::BitcastOp::create(b, type(b.getF32Type()), bits); }
  Value asBits(Value x) { return arith::BitcastOp::create(b, type(b.getI32Type()), x); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value bitAnd(Value x, uint32_t mask) { return arith::AndIOp::create(b, x, i32(mask)); }
  Value bitOr(Value x, Value y) { return arith::OrIOp::create(b, x, y); }
  Value shiftLeft(Value x, unsigned count) { return arith::ShLIOp::create(b, x, i32(count)); }
  Value shiftRight(Value x, unsigned count) { return arith::ShRUIOp::create(b, x, i32(count)); }
  Value isEqual(Value x, uint32_t number) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, i32(number));
  }
  Value isBelow(Value x, uint32_t number) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, x, i32(number));
  }
  Value isAbove(Value x, uint32_t number) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, x, i32(number));
  }
  Value min(Value x, uint32_t most) { return arith::MinUIOp::create(b, x, i32(most)); }
  Value select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, condition, x, y); }

  ImplicitLocOpBuilder &b;

private:
  Type like;
};

/// Of a format with a sign.
struct Format {
  explicit Format(FloatType type)
      : mantissa(type.getFPMantissaWidth() - 1), isFnuz(isa<Float8E4M3FNUZType, Float8E5M2FNUZType>(type)),
        hasInfinity(isa<Float8E5M2Type>(type)) {
    bias = (mantissa == 3 ? 7 : 15) + (isFnuz ? 1 : 0);
  }

  unsigned mantissa, bias;
  bool isFnuz, hasInfinity;
};

} // namespace

static constexpr uint32_t signBit = 0x80, magnitudeBits = 0x7f;
static constexpr uint32_t quietNan = 0x7fc00000;

Value codegen::expandFloat8ToF32(ImplicitLocOpBuilder &builder, Value bits, FloatType format) {
  BitBuilder b(builder, bits);
  Value wide = b.extend(bits, 32);
  if (isa<Float8E8M0FNUType>(format)) {
    // The exponent's field is f32's; the smallest is subnormal there.
    constexpr uint32_t smallest = 0x00400000;
    Value power = b.select(b.isEqual(wide, 0), b.i32(smallest), b.shiftLeft(wide, 23));
    return b.asF32(b.select(b.isEqual(wide, 0xff), b.i32(quietNan), power));
  }
  Format f(format);
  Value sign = b.bitAnd(wide, signBit), magnitude = b.bitAnd(wide, magnitudeBits);
  Value value;
  if (f.mantissa == 2 && f.isFnuz) {
    // f32 with a smaller exponent: the largest one means nothing special here, which it would in f16.
    Value scaled = b.bitOr(b.shiftLeft(sign, 24), b.shiftLeft(magnitude, 21));
    value = arith::MulFOp::create(builder, b.asF32(scaled), b.f32(0x1p111));
  } else {
    // f16 has the same fields, or one bit more of exponent; there is an instruction for its subnormals.
    unsigned shift = 10 - f.mantissa;
    Value half = b.truncate(b.bitOr(b.shiftLeft(sign, 8), b.shiftLeft(magnitude, shift)), 16);
    half = arith::BitcastOp::create(builder, b.type(builder.getF16Type()), half);
    value = arith::ExtFOp::create(builder, b.type(builder.getF32Type()), half);
    if (f.bias != 15)
      value = arith::MulFOp::create(builder, value, b.f32(1u << (15 - f.bias)));
  }
  if (f.hasInfinity)
    return value;
  Value isNan = f.isFnuz ? b.isEqual(wide, signBit) : b.isEqual(magnitude, magnitudeBits);
  return b.select(isNan, b.asF32(b.i32(quietNan)), value);
}

Value codegen::expandF32ToFloat8(ImplicitLocOpBuilder &builder, Value value, FloatType format) {
  BitBuilder b(builder, value);
  Value bits = b.asBits(value), magnitude = b.bitAnd(bits, 0x7fffffff);
  Value isNan = b.isAbove(magnitude, 0x7f800000);
  if (isa<Float8E8M0FNUType>(format)) {
    constexpr uint32_t largest = 0xfe;
    Value positive = arith::MaxSIOp::create(builder, bits, b.i32(0));
    Value power = b.min(b.shiftRight(positive, 23), largest);
    return b.truncate(b.select(isNan, b.i32(0xff), power), 8);
  }
  Format f(format);
  // To nearest even by adding what is dropped less than half, and one where the last bit kept is odd.
  unsigned dropped = 23 - f.mantissa;
  Value odd = b.bitAnd(b.shiftRight(magnitude, dropped), 1);
  Value rounded = b.add(b.add(magnitude, odd), b.i32((1u << (dropped - 1)) - 1));
  Value normal = b.sub(b.shiftRight(rounded, dropped), b.i32((127 - f.bias) << f.mantissa));
  // Subnormal results count the smallest number; an addition rounds to it.
  uint32_t counting = (127 + 24 - f.bias - f.mantissa) << 23;
  Value sum = arith::AddFOp::create(builder, b.asF32(magnitude), b.asF32(b.i32(counting)));
  Value subnormal = b.sub(b.asBits(sum), b.i32(counting));
  Value code = b.select(b.isBelow(magnitude, (128 - f.bias) << 23), subnormal, normal);

  // Numbers of f8E4M3FN end before all ones, those of f8E5M2 before infinity.
  code = b.min(code, f.isFnuz ? 0x7f : f.hasInfinity ? 0x7b : 0x7e);
  Value sign = b.bitAnd(b.shiftRight(bits, 24), signBit);
  if (f.isFnuz)
    sign = b.select(b.isEqual(code, 0), b.i32(0), sign);
  return b.truncate(b.select(isNan, b.i32(f.isFnuz ? signBit : magnitudeBits), b.bitOr(code, sign)), 8);
}
