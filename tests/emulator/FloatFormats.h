//===- FloatFormats.h - Small floating-point formats ------------*- C++ -*-===//

#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace primus::emulator {

/// IEEE binary16 to binary32, exactly.
inline float fromHalf(uint16_t bits) {
  uint32_t magnitude = uint32_t(bits & 0x7fff) << 13, sign = uint32_t(bits & 0x8000) << 16;
  // The exponent's bias differs by 112; a product adjusts it and normalises what is subnormal.
  float value = std::bit_cast<float>(magnitude) * 0x1p112f;
  uint32_t finite = std::bit_cast<uint32_t>(value), special = magnitude | 0x7f800000;
  return std::bit_cast<float>(((bits & 0x7c00) == 0x7c00 ? special : finite) | sign);
}

/// To the nearest, ties to even; overflow gives infinity.
inline uint16_t toHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  uint32_t normal = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  // Adding 0.5 shifts a subnormal's bits into place, rounded by the addition.
  uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
  uint32_t result = magnitude < (113u << 23) ? subnormal : normal;
  result = magnitude >= 0x47800000 ? 0x7c00 : result;
  result = magnitude > 0x7f800000 ? 0x7e00 | (magnitude >> 13 & 0x3ff) : result;
  return sign | result;
}

/// a + b rounded to odd: a sum that is not exact has its last bit set, so that rounding it again to a format of at least
/// two bits less is as if the exact sum were rounded. Needs strict arithmetic, no contraction.
template <typename T>
T addToOdd(T a, T b) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  T sum = a + b, part = sum - a, error = (a - (sum - part)) + (b - part);
  Bits bits = std::bit_cast<Bits>(sum);
  Bits step = (error > 0) == (sum > 0) ? 1 : ~Bits(0);
  bool isInexact = error > 0 || error < 0;
  return std::bit_cast<T>(isInexact && !(bits & 1) ? bits + step : bits);
}

inline float fromBfloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

/// To the nearest, ties to even.
inline uint16_t toBfloat(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return (bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16 | 0x40) : rounded;
}

/// A format of at most eight bits. `isFnuz`: no infinity, no negative zero, whose pattern is the only NaN.
struct SmallFormat {
  int exponentBits, mantissaBits, bias;
  enum Special : uint8_t { Ieee, NanOnly, Fnuz, FiniteOnly } special;
  constexpr int bits() const { return 1 + exponentBits + mantissaBits; }
};
inline constexpr SmallFormat kFp8Ocp{4, 3, 7, SmallFormat::NanOnly}, kBf8Ocp{5, 2, 15, SmallFormat::Ieee},
    kFp8Fnuz{4, 3, 8, SmallFormat::Fnuz}, kBf8Fnuz{5, 2, 16, SmallFormat::Fnuz},
    kFp6{2, 3, 1, SmallFormat::FiniteOnly}, kBf6{3, 2, 3, SmallFormat::FiniteOnly}, kFp4{2, 1, 1, SmallFormat::FiniteOnly};

float fromSmall(const SmallFormat &format, uint8_t bits);
/// To the nearest, ties to even. Overflow gives the format's infinity or NaN; formats without either saturate.
uint8_t toSmall(const SmallFormat &format, float value);

} // namespace primus::emulator
