//===- FloatFormats.cpp - Small floating-point formats --------------------===//

#include "tests/emulator/FloatFormats.h"

#include <limits>

using namespace primus::emulator;

/// The pattern of the largest finite magnitude.
static uint8_t getLargest(const SmallFormat &format) {
  uint8_t all = (1 << (format.bits() - 1)) - 1;
  switch (format.special) {
  case SmallFormat::Ieee:
    return all - (1 << format.mantissaBits);
  case SmallFormat::NanOnly:
    return all - 1;
  case SmallFormat::Fnuz:
  case SmallFormat::FiniteOnly:
    break;
  }
  return all;
}

float primus::emulator::fromSmall(const SmallFormat &format, uint8_t bits) {
  uint8_t signBit = 1 << (format.bits() - 1);
  uint8_t magnitude = bits & (signBit - 1);
  bool negative = bits & signBit;
  if (format.special == SmallFormat::Fnuz && bits == signBit)
    return std::numeric_limits<float>::quiet_NaN();
  if (magnitude > getLargest(format)) {
    bool infinite = format.special == SmallFormat::Ieee && magnitude == getLargest(format) + 1;
    float value = infinite ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
    return negative ? -value : value;
  }
  int exponent = magnitude >> format.mantissaBits, mantissa = magnitude & ((1 << format.mantissaBits) - 1);
  if (exponent)
    mantissa |= 1 << format.mantissaBits;
  float value = std::ldexp(float(mantissa), (exponent ? exponent : 1) - format.bias - format.mantissaBits);
  return negative ? -value : value;
}

uint8_t primus::emulator::toSmall(const SmallFormat &format, float value) {
  uint8_t signBit = 1 << (format.bits() - 1), sign = std::signbit(value) ? signBit : 0, largest = getLargest(format);
  bool isFnuz = format.special == SmallFormat::Fnuz;
  uint8_t nan = isFnuz ? signBit : (signBit - 1) | sign;
  if (std::isnan(value))
    return format.special == SmallFormat::FiniteOnly ? largest | sign : nan;
  uint8_t overflow = isFnuz || format.special == SmallFormat::NanOnly ? nan
                     : format.special == SmallFormat::Ieee            ? (largest + 1) | sign
                                                                      : largest | sign;
  if (std::isinf(value))
    return overflow;
  float magnitude = std::fabs(value);
  int exponent = magnitude == 0 ? 1 - format.bias : std::max(std::ilogb(magnitude), 1 - format.bias);
  // Multiples of the last place; nearbyint rounds ties to even. A carry into the next exponent is right by itself.
  int units = int(std::nearbyint(std::ldexp(double(magnitude), format.mantissaBits - exponent)));
  int pattern = units + ((exponent + format.bias - 1) << format.mantissaBits);
  if (pattern > largest)
    return overflow;
  return pattern == 0 && isFnuz ? 0 : pattern | sign;
}
