//===- MathFunctions.cpp - Elementary functions in f32 --------------------===//

#include "codegen/common/MathFunctions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;
using namespace primus::codegen;

namespace {

/// Expressions on values of one f32 type.
class Expander {
public:
  Expander(ImplicitLocOpBuilder &b, Type type, ScaleByPower scaleByPower)
      : b(b), type(type), scaleByPower(scaleByPower) {
    integer = isa<VectorType>(type) ? Type(cast<VectorType>(type).clone(b.getI32Type())) : Type(b.getI32Type());
  }

  Value exp(Value x);
  Value exp2(Value x);
  Value expm1(Value x);
  Value log(Value x);
  Value log1p(Value x);
  Value tanh(Value x);
  Value erf(Value x);
  Value rsqrt(Value x);
  Value scaled(Value x, double factor) { return mul(x, c(factor)); }

private:
  Value constant(Type type, TypedAttr element) {
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, Attribute(element)));
    return arith::ConstantOp::create(b, element);
  }
  Value c(double number) { return constant(type, b.getF32FloatAttr(number)); }
  Value i(int64_t number) { return constant(integer, b.getI32IntegerAttr(number)); }
  Value bitcast(Value x, Type to) { return arith::BitcastOp::create(b, to, x); }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) { return math::FmaOp::create(b, x, y, z); }
  Value neg(Value x) { return arith::NegFOp::create(b, x); }
  Value abs(Value x) { return math::AbsFOp::create(b, x); }
  Value copySign(Value x, Value sign) { return math::CopySignOp::create(b, x, sign); }
  Value isLess(Value x, Value y) { return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, y); }
  Value select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, condition, x, y); }
  /// x within [low, high]; NaN stays.
  Value clamp(Value x, double low, double high) {
    x = select(isLess(x, c(low)), c(low), x);
    return select(isLess(c(high), x), c(high), x);
  }
  /// ((coefficients[0] x + coefficients[1]) x + ...).
  Value polynomial(Value x, ArrayRef<double> coefficients) {
    Value sum = c(coefficients.front());
    for (double coefficient : coefficients.drop_front())
      sum = fma(sum, x, c(coefficient));
    return sum;
  }

  /// exp(x) - 1 for x <= 88.
  Value expm1Bounded(Value x);

  /// A whole number, as f32 and as i32.
  struct Whole {
    Value number, integer;
  };
  /// x factor to the nearest whole number, for |x factor| < 2^22: adding 1.5 * 2^23 pushes the fraction out of the mantissa and
  /// leaves the number in its low bits.
  Whole round(Value x, double factor) {
    constexpr double shift = 12582912.0;
    Value shifted = fma(x, c(factor), c(shift));
    Value integerPart = arith::SubIOp::create(b, bitcast(shifted, integer), i(0x4b400000));
    return {sub(shifted, c(shift)), integerPart};
  }
  /// x - n log 2, with log 2 in two parts.
  Value reduce(Value x, Value n) { return fma(n, c(2.12194440e-4), fma(n, c(-0.693359375), x)); }
  /// exp(r) - 1 for |r| <= log(2) / 2.
  Value expm1Reduced(Value r) {
    Value p = polynomial(r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
                             5.0000001201e-1});
    return fma(mul(r, r), p, r);
  }
  Value powerOfTwo(Value n) {
    Value bits = arith::ShLIOp::create(b, arith::AddIOp::create(b, n, i(127)), i(23));
    return bitcast(bits, type);
  }
  /// x 2^n for n in [-252, 254].
  Value scale(Value x, Whole n) {
    if (scaleByPower)
      return scaleByPower(x, n.number, n.integer);
    // In two steps, so that neither factor is out of range where the product is not.
    Value half = arith::ShRSIOp::create(b, n.integer, i(1));
    Value rest = arith::SubIOp::create(b, n.integer, half);
    return mul(mul(x, powerOfTwo(half)), powerOfTwo(rest));
  }

  ImplicitLocOpBuilder &b;
  Type type, integer;
  ScaleByPower scaleByPower;
};

constexpr double log2e = 1.44269504088896341;
constexpr double ln2 = 0.693147180559945309;
constexpr double infinity = std::numeric_limits<double>::infinity();

} // namespace

Value Expander::exp(Value x) {
  // Beyond these bounds the result is 0 or infinity.
  x = clamp(x, -104.0, 89.0);
  Whole n = round(x, log2e);
  Value r = reduce(x, n.number);
  return scale(add(expm1Reduced(r), c(1.0)), n);
}

Value Expander::exp2(Value x) {
  x = clamp(x, -151.0, 129.0);
  Whole n = round(x, 1.0);
  Value r = scaled(sub(x, n.number), ln2);
  return scale(add(expm1Reduced(r), c(1.0)), n);
}

Value Expander::expm1Bounded(Value x) {
  // exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), without cancellation.
  x = clamp(x, -30.0, 88.0);
  Whole n = round(x, log2e);
  Value power = powerOfTwo(n.integer);
  return fma(power, expm1Reduced(reduce(x, n.number)), sub(power, c(1.0)));
}

Value Expander::expm1(Value x) {
  // Near the overflow 2^n is out of range; there the one does not count. Tiny results keep the sign of zero.
  Value result = select(isLess(c(87.0), x), exp(x), expm1Bounded(x));
  return select(isLess(abs(x), c(1e-9)), x, result);
}

Value Expander::log(Value x) {
  constexpr double smallest = 1.17549435e-38;
  // Subnormal numbers are scaled into the normal range first.
  Value isSmall = isLess(x, c(smallest));
  Value normal = select(isSmall, scaled(x, 8388608.0), x);
  Value bias = select(isSmall, c(-23.0), c(0.0));
  // normal = 2^e m with m in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) makes the exponent round the right way.
  Value bits = arith::SubIOp::create(b, bitcast(normal, integer), i(0x3f3504f3));
  Value exponent = arith::ShRSIOp::create(b, bits, i(23));
  Value mantissaBits =
      arith::AddIOp::create(b, arith::AndIOp::create(b, bits, i(0x007fffff)), i(0x3f3504f3));
  Value m = sub(bitcast(mantissaBits, type), c(1.0));
  Value e = add(arith::SIToFPOp::create(b, type, exponent), bias);
  Value square = mul(m, m);
  Value p = polynomial(m, {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                           -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
  Value tail = mul(mul(m, square), p);
  tail = fma(e, c(-2.12194440e-4), tail);
  tail = fma(square, c(-0.5), tail);
  Value result = fma(e, c(0.693359375), add(m, tail));
  // Zero, infinity, negative numbers and NaN.
  Value isFinite = isLess(x, c(infinity));
  result = select(isFinite, result, x);
  Value isPositive = isLess(c(0.0), x);
  Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, c(0.0));
  Value outside = select(isZero, c(-infinity), c(std::numeric_limits<double>::quiet_NaN()));
  return select(isPositive, result, outside);
}

Value Expander::log1p(Value x) {
  // log(1 + x) = log(u) + (x - (u - 1)) / u with u = 1 + x rounded: the second term is what rounding lost.
  Value u = add(c(1.0), x);
  Value lost = sub(x, sub(u, c(1.0)));
  Value result = add(log(u), div(lost, u));
  // For u = 1, 0 and infinity the correction is x, or not a number.
  Value isOne = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, u, c(1.0));
  Value isOrdinary = arith::AndIOp::create(b, isLess(c(0.0), u), isLess(u, c(infinity)));
  result = select(isOrdinary, result, log(u));
  return select(isOne, x, result);
}

Value Expander::tanh(Value x) {
  // With t = exp(-2|x|) - 1: tanh|x| = -t / (2 + t).
  Value t = expm1Bounded(scaled(abs(x), -2.0));
  return copySign(div(neg(t), add(t, c(2.0))), x);
}

Value Expander::erf(Value x) {
  Value a = abs(x), square = mul(x, x);
  Value small = polynomial(square, {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1,
                                    1.28379166e-1});
  small = fma(small, x, x);
  // 1 - exp(-q(|x|)); beyond 4 the result is 1.
  Value bounded = select(isLess(c(4.0), a), c(4.0), a);
  Value q = polynomial(bounded, {-1.72853470e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2, -1.06777877e-1,
                                 -6.34846687e-1, -1.28717512e-1});
  q = fma(q, bounded, neg(bounded));
  Value large = copySign(sub(c(1.0), exp(q)), x);
  return select(isLess(c(0.927734375), a), large, small);
}

Value Expander::rsqrt(Value x) { return div(c(1.0), math::SqrtOp::create(b, x)); }

Value primus::codegen::expandMathFunction(ImplicitLocOpBuilder &b, Operation *op, ValueRange operands,
                                              ScaleByPower scale) {
  if (operands.empty() || !getElementTypeOrSelf(operands.front()).isF32())
    return {};
  Expander expander(b, operands.front().getType(), scale);
  Value x = operands.front();
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ExpOp) { return expander.exp(x); })
      .Case([&](math::Exp2Op) { return expander.exp2(x); })
      .Case([&](math::ExpM1Op) { return expander.expm1(x); })
      .Case([&](math::LogOp) { return expander.log(x); })
      .Case([&](math::Log2Op) { return expander.scaled(expander.log(x), log2e); })
      .Case([&](math::Log10Op) { return expander.scaled(expander.log(x), 0.434294481903251828); })
      .Case([&](math::Log1pOp) { return expander.log1p(x); })
      .Case([&](math::TanhOp) { return expander.tanh(x); })
      .Case([&](math::ErfOp) { return expander.erf(x); })
      .Case([&](math::RsqrtOp) { return expander.rsqrt(x); })
      .Default([](Operation *) { return Value(); });
}
