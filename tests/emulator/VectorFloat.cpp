//===- VectorFloat.cpp - Arithmetic on floats of 16, 32 and 64 bits -------===//

#include "tests/emulator/Lanes.h"

#include "llvm/ADT/Twine.h"

using namespace primus::emulator;

namespace {
float fused(float a, float b, float c) { return std::fma(a, b, c); }
double fused(double a, double b, double c) { return std::fma(a, b, c); }
/// The product of halves is exact in float.
Half fused(Half a, Half b, Half c) { return Half(addToOdd(float(a) * float(b), float(c))); }

bool isNan(float value) { return value != value; }
bool isNan(double value) { return value != value; }

/// As in IEEE mode: a number wins over a NaN, and -0 is less than +0.
template <typename T>
T minimum(T a, T b) {
  if (isNan(a))
    return b;
  if (isNan(b))
    return a;
  return a < b || (a == b && std::signbit(double(a))) ? a : b;
}
template <typename T>
T maximum(T a, T b) {
  if (isNan(a))
    return b;
  if (isNan(b))
    return a;
  return a > b || (a == b && !std::signbit(double(a))) ? a : b;
}
template <typename T>
T median(T a, T b, T c) {
  if (isNan(a) || isNan(b) || isNan(c))
    return minimum(minimum(a, b), c);
  return maximum(minimum(a, b), minimum(maximum(a, b), c));
}
/// NaN if any operand is one.
template <typename T>
T minimumOrNan(T a, T b) {
  return isNan(a) ? a : isNan(b) ? b : minimum(a, b);
}
template <typename T>
T maximumOrNan(T a, T b) {
  return isNan(a) ? a : isNan(b) ? b : maximum(a, b);
}

template <typename T>
void addArithmetic(OperationTable &table, llvm::StringRef type) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(("v_" + name + "_" + type).str(), operation); };
  add("add", vectorOperation<[](T a, T b) { return T(a + b); }>());
  add("mul", vectorOperation<[](T a, T b) { return T(a * b); }>());
  add("min", vectorOperation<[](T a, T b) { return minimum(a, b); }>());
  add("max", vectorOperation<[](T a, T b) { return maximum(a, b); }>());
  // The three-operand forms of 16 bits keep the other half of the register.
  add("fma", vectorOperation<[](T a, T b, T c) { return fused(a, b, c); }, HighHalf::Keep>());
  add("fmac", vectorOperation<[](T a, T b, T c) { return fused(a, b, c); }>());
}

template <typename T>
void addShortArithmetic(OperationTable &table, llvm::StringRef type) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(("v_" + name + "_" + type).str(), operation); };
  add("sub", vectorOperation<[](T a, T b) { return T(a - b); }>());
  add("subrev", vectorOperation<[](T a, T b) { return T(b - a); }>());
  add("fmaak", vectorOperation<[](T a, T b, T c) { return fused(a, b, c); }>());
  add("fmamk", vectorOperation<[](T a, T b, T c) { return fused(a, b, c); }>());
  add("min3", vectorOperation<[](T a, T b, T c) { return minimum(minimum(a, b), c); }, HighHalf::Keep>());
  add("max3", vectorOperation<[](T a, T b, T c) { return maximum(maximum(a, b), c); }, HighHalf::Keep>());
  add("med3", vectorOperation<[](T a, T b, T c) { return median(a, b, c); }, HighHalf::Keep>());
}

/// The biased exponent.
int getExponent(float value) { return std::bit_cast<uint32_t>(value) >> 23 & 0xff; }
int getExponent(double value) { return std::bit_cast<uint64_t>(value) >> 52 & 0x7ff; }

template <typename T>
struct Division;
template <>
struct Division<float> {
  static constexpr int scale = 64, largeGap = 96, tiny = 23, bias = 127, underflow = -150;
};
template <>
struct Division<double> {
  static constexpr int scale = 128, largeGap = 768, tiny = 53, bias = 1023, underflow = -1075;
};

/// Scales a numerator or denominator (`value`) so that Newton steps of denominator and numerator neither overflow nor
/// lose bits; `flag` asks v_div_fmas to scale back. (CDNA 3 ISA, V_DIV_SCALE_F32 and _F64; where its pseudocode would scale
/// a denominator out of the format's range, the sign of the exponent is the one that makes quotients come out right.)
template <typename T>
T scaleForDivision(T value, T denominator, T numerator, bool &flag) {
  using D = Division<T>;
  auto isDenormal = [](T x) { return std::fpclassify(x) == FP_SUBNORMAL; };
  flag = false;
  if (numerator == 0 || denominator == 0)
    return std::numeric_limits<T>::quiet_NaN();
  if (getExponent(numerator) - getExponent(denominator) >= D::largeGap) {
    flag = true;
    return value == denominator ? std::ldexp(value, D::scale) : value;
  }
  if (isDenormal(denominator))
    return std::ldexp(value, D::scale);
  bool smallReciprocal = isDenormal(T(1) / denominator), smallQuotient = isDenormal(numerator / denominator);
  if (smallReciprocal && smallQuotient) {
    flag = true;
    return value == denominator ? std::ldexp(value, -D::scale) : value;
  }
  if (smallReciprocal)
    return std::ldexp(value, -D::scale);
  if (smallQuotient) {
    flag = true;
    return value == numerator ? std::ldexp(value, D::scale) : value;
  }
  if (getExponent(numerator) <= D::tiny)
    return std::ldexp(value, D::scale);
  return value;
}

/// Reads the three sources of a step of a division; returns the lanes that read something undefined.
template <typename Bits>
LaneMask readDivision(Wave &wave, const Instruction &instruction, RawSource<Bits> (&sources)[3]) {
  LaneMask mask = wave.exec(), dirty = 0;
  for (unsigned k = 0; k < 3; ++k) {
    readSource(wave, instruction, k, false, sources[k], mask);
    dirty |= sources[k].dirty;
  }
  return dirty;
}

/// Writes the first result of a step of a division; in `dirty` lanes nothing of it is defined.
template <typename T>
void writeDivision(Wave &wave, const Instruction &instruction, const std::array<BitsOf<T>, kLanes> &result, LaneMask dirty) {
  LaneMask mask = wave.exec();
  alignas(64) std::array<BitsOf<T>, kLanes> shadow;
  shadow.fill(~BitsOf<T>(0));
  if constexpr (sizeof(T) == 8)
    writeResult(wave, instruction.results[0], result.data(), mask, dirty & mask, shadow.data());
  else
    wave.writeVector(instruction.results[0].index, result.data(), mask, dirty & mask, shadow.data());
}

template <typename T>
void divScale(Wave &wave, const Instruction &instruction) {
  RawSource<BitsOf<T>> sources[3];
  LaneMask mask = wave.exec(), flags = 0, dirty = readDivision(wave, instruction, sources);
  alignas(64) std::array<BitsOf<T>, kLanes> result;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    bool flag = false;
    auto get = [&](unsigned k) { return getValue<T>(sources[k].bits[lane], instruction.modifiers, k); };
    result[lane] = std::bit_cast<BitsOf<T>>(scaleForDivision<T>(get(0), get(1), get(2), flag));
    flags |= LaneMask(flag) << lane;
  }
  writeDivision<T>(wave, instruction, result, dirty);
  writeLaneMask(wave, instruction.results[1], flags, mask, dirty);
}

/// a b + c times a power of two, rounded once in float.
float fusedAndScaled(float a, float b, float c, int exponent) { return float(std::ldexp(addToOdd(double(a) * double(b), double(c)), exponent)); }
double fusedAndScaled(double a, double b, double c, int exponent) { return std::ldexp(std::fma(a, b, c), exponent); }

/// fma, scaled back in the lanes whose bit of the fourth source is set: down from a quotient that was scaled up for being
/// small, and the other way round. (The direction by the third source's exponent: RDNA 3 ISA, V_DIV_FMAS_F32.)
template <typename T>
void divFmas(Wave &wave, const Instruction &instruction) {
  RawSource<BitsOf<T>> sources[3];
  Wave::Value flags = wave.readScalar(instruction.sources[3], 2);
  LaneMask dirty = flags.shadow | readDivision(wave, instruction, sources);
  alignas(64) std::array<BitsOf<T>, kLanes> result;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    auto get = [&](unsigned k) { return getValue<T>(sources[k].bits[lane], instruction.modifiers, k); };
    T value = std::fma(get(0), get(1), get(2));
    if (flags.bits >> lane & 1)
      value = fusedAndScaled(get(0), get(1), get(2), getExponent(get(2)) > Division<T>::bias ? Division<T>::scale : -Division<T>::scale);
    result[lane] = std::bit_cast<BitsOf<T>>(value);
  }
  writeDivision<T>(wave, instruction, result, dirty);
}

/// The special cases of a quotient (CDNA 3 ISA, V_DIV_FIXUP_F32; the last one: RDNA 3 ISA).
template <typename T>
T fixDivision(T quotient, T denominator, T numerator) {
  bool negative = std::signbit(denominator) != std::signbit(numerator);
  auto sign = [&](T value) { return std::copysign(value, negative ? T(-1) : T(1)); };
  if (isNan(numerator))
    return numerator;
  if (isNan(denominator))
    return denominator;
  if ((denominator == 0 && numerator == 0) || (std::isinf(denominator) && std::isinf(numerator)))
    return -std::numeric_limits<T>::quiet_NaN();
  if (denominator == 0 || std::isinf(numerator))
    return sign(std::numeric_limits<T>::infinity());
  if (std::isinf(denominator) || numerator == 0)
    return sign(0);
  if (getExponent(numerator) - getExponent(denominator) < Division<T>::underflow)
    return sign(0);
  if (isNan(quotient)) // an intermediate result overflowed
    return sign(std::numeric_limits<T>::infinity());
  return sign(quotient);
}
} // namespace

void primus::emulator::addFloatOperations(OperationTable &table) {
  addArithmetic<float>(table, "f32");
  addArithmetic<Half>(table, "f16");
  addArithmetic<double>(table, "f64");
  addShortArithmetic<float>(table, "f32");
  addShortArithmetic<Half>(table, "f16");
  table.add("v_mul_legacy_f32", vectorOperation<[](float a, float b) { return a == 0 || b == 0 ? 0.0f : a * b; }>());
  if (table.chip == Chip::Gfx950) {
    table.add("v_minimum3_f32", vectorOperation<[](float a, float b, float c) { return minimumOrNan(minimumOrNan(a, b), c); }>());
    table.add("v_maximum3_f32", vectorOperation<[](float a, float b, float c) { return maximumOrNan(maximumOrNan(a, b), c); }>());
  }
  table.add("v_ldexp_f32", vectorOperation<[](float a, int32_t b) { return std::ldexp(a, b); }>());
  table.add("v_ldexp_f64", vectorOperation<[](double a, int32_t b) { return std::ldexp(a, b); }>());
  table.add("v_ldexp_f16", vectorOperation<[](Half a, int16_t b) { return Half(std::ldexp(double(a), b)); }>());

  // The legacy forms clear the other half.
  table.add("v_fma_legacy_f16", vectorOperation<[](Half a, Half b, Half c) { return fused(a, b, c); }>());
  table.add("v_div_fixup_legacy_f16", vectorOperation<[](Half q, Half d, Half n) { return Half(fixDivision<float>(q, d, n)); }>());
  table.add("v_div_scale_f32", {divScale<float>, InstructionClass::Vector, false});
  table.add("v_div_scale_f64", {divScale<double>, InstructionClass::Vector, false});
  table.add("v_div_fmas_f32", {divFmas<float>, InstructionClass::Vector, false});
  table.add("v_div_fmas_f64", {divFmas<double>, InstructionClass::Vector, false});
  table.add("v_div_fixup_f32", vectorOperation<[](float q, float d, float n) { return fixDivision(q, d, n); }>());
  table.add("v_div_fixup_f64", vectorOperation<[](double q, double d, double n) { return fixDivision(q, d, n); }>());
  table.add("v_div_fixup_f16",
            vectorOperation<[](Half q, Half d, Half n) { return Half(fixDivision<float>(q, d, n)); }, HighHalf::Keep>());

  table.add("v_dot2c_f32_f16", vectorOperation<[](uint32_t a, uint32_t b, float c) {
              auto half = [](uint32_t value, unsigned k) { return fromHalf(uint16_t(value >> (16 * k))); };
              return std::fma(half(a, 1), half(b, 1), std::fma(half(a, 0), half(b, 0), c));
            }>());
  table.add("v_dot2c_f32_bf16", vectorOperation<[](uint32_t a, uint32_t b, float c) {
              auto value = [](uint32_t bits, unsigned k) { return fromBfloat(uint16_t(bits >> (16 * k))); };
              return std::fma(value(a, 1), value(b, 1), std::fma(value(a, 0), value(b, 0), c));
            }>());
}
