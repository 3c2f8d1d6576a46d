//===- VectorTest.cpp - Arithmetic in lanes against independent expectations -===//

#include "tests/emulator/TestCode.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/APSInt.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

using namespace llvm;
using namespace primus::emulator;

namespace {
using Words = std::vector<uint32_t>;

/// All patterns of 16 bits.
Words allHalves() {
  Words values(65536);
  for (uint32_t i = 0; i < values.size(); ++i)
    values[i] = i;
  return values;
}

/// Floats that stand near every edge: powers of two and their neighbours, ties of the 16-bit formats, integers' limits, NaNs.
Words someFloats() {
  Words values;
  for (uint32_t exponent = 0; exponent < 256; ++exponent)
    for (uint32_t mantissa : {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x2fffu, 0x3000u, 0x7fffu, 0x8000u, 0x8001u, 0x18000u, 0x7fffffu, 0x400000u})
      for (uint32_t sign : {0u, 1u})
        values.push_back(sign << 31 | exponent << 23 | mantissa);
  values.resize(values.size() / 64 * 64);
  return values;
}

/// The bits of a number in another format, as LLVM's arithmetic rounds it.
uint64_t convert(const fltSemantics &from, uint64_t bits, const fltSemantics &to) {
  APFloat value(from, APInt(APFloat::getSizeInBits(from), bits));
  bool lossy;
  value.convert(to, APFloat::rmNearestTiesToEven, &lossy);
  return value.bitcastToAPInt().getZExtValue();
}
bool isNanHalf(uint32_t bits) { return (bits & 0x7fff) > 0x7c00; }
bool isNanFloat(uint32_t bits) { return (bits & 0x7fffffff) > 0x7f800000; }
float asFloat(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t asBits(float value) { return std::bit_cast<uint32_t>(value); }
} // namespace

TEST(VectorConvert, everyHalfToFloat) {
  Words halves = allHalves();
  Words floats = runLanes(Chip::Gfx942, "v_cvt_f32_f16_e32 v40, v10", {halves})[0];
  for (size_t i = 0; i < halves.size(); ++i) {
    uint32_t expected = convert(APFloat::IEEEhalf(), halves[i], APFloat::IEEEsingle());
    if (isNanHalf(halves[i]))
      ASSERT_TRUE(isNanFloat(floats[i])) << i;
    else
      ASSERT_EQ(floats[i], expected) << i;
  }
}

TEST(VectorConvert, floatToHalfRoundsToEven) {
  Words floats = someFloats();
  Words halves = runLanes(Chip::Gfx942, "v_cvt_f16_f32_e32 v40, v10", {floats})[0];
  for (size_t i = 0; i < floats.size(); ++i) {
    if (isNanFloat(floats[i]))
      ASSERT_TRUE(isNanHalf(halves[i])) << std::hex << floats[i];
    else
      ASSERT_EQ(halves[i], convert(APFloat::IEEEsingle(), floats[i], APFloat::IEEEhalf())) << std::hex << floats[i];
  }
}

TEST(VectorConvert, pairsTowardsZero) {
  Words floats = someFloats();
  Words halves = runLanes(Chip::Gfx942, "v_cvt_pkrtz_f16_f32 v40, v10, -v10", {floats})[0];
  for (size_t i = 0; i < floats.size(); ++i) {
    if (isNanFloat(floats[i]))
      continue;
    APFloat value(asFloat(floats[i]));
    bool lossy;
    value.convert(APFloat::IEEEhalf(), APFloat::rmTowardZero, &lossy);
    uint32_t expected = value.bitcastToAPInt().getZExtValue();
    ASSERT_EQ(halves[i], expected | (expected ^ 0x8000) << 16) << std::hex << floats[i];
  }
}

TEST(VectorConvert, floatToBfloatOnGfx950) {
  Words floats = someFloats();
  auto results = runLanes(Chip::Gfx950, "v_cvt_pk_bf16_f32 v40, v10, -v10\nv_cvt_f32_bf16_sdwa v41, v40 src0_sel:WORD_1", {floats}, 2);
  for (size_t i = 0; i < floats.size(); ++i) {
    if (isNanFloat(floats[i]))
      continue;
    uint32_t expected = convert(APFloat::IEEEsingle(), floats[i], APFloat::BFloat());
    ASSERT_EQ(results[0][i], expected | (expected ^ 0x8000) << 16) << std::hex << floats[i];
    ASSERT_EQ(results[1][i], (expected ^ 0x8000) << 16) << std::hex << floats[i];
  }
}

TEST(VectorConvert, smallFormatsBothFlavours) {
  struct Flavour {
    Chip chip;
    const fltSemantics &fp8, &bf8;
  };
  for (const Flavour &flavour : {Flavour{Chip::Gfx942, APFloat::Float8E4M3FNUZ(), APFloat::Float8E5M2FNUZ()},
                                 Flavour{Chip::Gfx950, APFloat::Float8E4M3FN(), APFloat::Float8E5M2()}}) {
    for (bool isBf8 : {false, true}) {
      const fltSemantics &format = isBf8 ? flavour.bf8 : flavour.fp8;
      std::string name = isBf8 ? "bf8" : "fp8";
      Words bytes(256);
      for (uint32_t i = 0; i < 256; ++i)
        bytes[i] = i << 8;
      Words widened = runLanes(flavour.chip, "v_cvt_f32_" + name + "_sdwa v40, v10 src0_sel:BYTE_1", {bytes})[0];
      for (uint32_t i = 0; i < 256; ++i) {
        APFloat value(format, APInt(8, i));
        if (value.isNaN())
          EXPECT_TRUE(isNanFloat(widened[i])) << name << " " << i;
        else
          EXPECT_EQ(widened[i], convert(format, i, APFloat::IEEEsingle())) << name << " " << i;
      }
      Words floats = someFloats();
      Words narrowed = runLanes(flavour.chip, "v_mov_b32 v40, 0\nv_cvt_pk_" + name + "_f32 v40, v10, -v10 op_sel:[0,0,1]", {floats})[0];
      for (size_t i = 0; i < floats.size(); ++i) {
        APFloat value(asFloat(floats[i])), negative(-asFloat(floats[i]));
        bool lossy;
        value.convert(format, APFloat::rmNearestTiesToEven, &lossy);
        negative.convert(format, APFloat::rmNearestTiesToEven, &lossy);
        uint32_t low = narrowed[i] >> 16 & 0xff, high = narrowed[i] >> 24;
        ASSERT_EQ(narrowed[i] & 0xffff, 0u);
        if (value.isNaN()) {
          ASSERT_TRUE(APFloat(format, APInt(8, low)).isNaN()) << name << " " << asFloat(floats[i]);
          continue;
        }
        ASSERT_EQ(low, value.bitcastToAPInt().getZExtValue()) << name << " " << asFloat(floats[i]);
        ASSERT_EQ(high, negative.bitcastToAPInt().getZExtValue()) << name << " " << asFloat(floats[i]);
      }
    }
  }
}

TEST(VectorConvert, floatToIntegerSaturates) {
  Words floats = someFloats();
  auto results = runLanes(Chip::Gfx942, "v_cvt_i32_f32 v40, v10\nv_cvt_u32_f32 v41, v10\nv_cvt_flr_i32_f32 v42, v10", {floats}, 3);
  for (size_t i = 0; i < floats.size(); ++i) {
    APFloat value(asFloat(floats[i]));
    bool exact;
    APSInt asSigned(32, false), asUnsigned(32, true), asFloor(32, false);
    // Out of range LLVM gives the nearest integer, and 0 for NaN.
    value.convertToInteger(asSigned, APFloat::rmTowardZero, &exact);
    value.convertToInteger(asUnsigned, APFloat::rmTowardZero, &exact);
    value.convertToInteger(asFloor, APFloat::rmTowardNegative, &exact);
    ASSERT_EQ(results[0][i], uint32_t(asSigned.getZExtValue())) << asFloat(floats[i]);
    ASSERT_EQ(results[1][i], uint32_t(asUnsigned.getZExtValue())) << asFloat(floats[i]);
    ASSERT_EQ(results[2][i], uint32_t(asFloor.getZExtValue())) << asFloat(floats[i]);
  }
}

TEST(VectorFloat, halvesAgreeWithLlvmsArithmetic) {
  std::mt19937 random(3);
  Words a(16384), b(16384), c(16384);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = random() & 0xffff;
    b[i] = random() & 0xffff;
    c[i] = random() & 0xffff;
  }
  auto results = runLanes(Chip::Gfx942, "v_mov_b32 v43, -1\nv_add_f16 v40, v10, v11\nv_mul_f16 v41, v10, v11\nv_sub_f16 v42, v10, v11\n"
                                        "v_fma_f16 v43, v10, v11, v12", {a, b, c}, 4);
  auto half = [](uint32_t bits) { return APFloat(APFloat::IEEEhalf(), APInt(16, bits)); };
  for (size_t i = 0; i < a.size(); ++i) {
    APFloat sum = half(a[i]), product = half(a[i]), difference = half(a[i]), fused = half(a[i]);
    sum.add(half(b[i]), APFloat::rmNearestTiesToEven);
    product.multiply(half(b[i]), APFloat::rmNearestTiesToEven);
    difference.subtract(half(b[i]), APFloat::rmNearestTiesToEven);
    fused.fusedMultiplyAdd(half(b[i]), half(c[i]), APFloat::rmNearestTiesToEven);
    const APFloat *expected[] = {&sum, &product, &difference, &fused};
    for (unsigned r = 0; r < 4; ++r) {
      // Arithmetic with two operands clears the high half, with three it keeps it.
      ASSERT_EQ(results[r][i] >> 16, r == 3 ? 0xffffu : 0u);
      if (expected[r]->isNaN())
        ASSERT_TRUE(isNanHalf(results[r][i]));
      else
        ASSERT_EQ(results[r][i] & 0xffff, expected[r]->bitcastToAPInt().getZExtValue()) << r << " " << i;
    }
  }
}

TEST(VectorFloat, modifiersOfTheEncoding) {
  Words x(64), y(64);
  for (unsigned i = 0; i < 64; ++i) {
    x[i] = asBits(float(int(i) - 32));
    y[i] = asBits(0.25f * float(i));
  }
  auto results = runLanes(Chip::Gfx942, "v_add_f32_e64 v40, |v10|, -v11\nv_mul_f32_e64 v41, v10, v11 mul:4\n"
                                        "v_add_f32_e64 v42, v10, v11 clamp\nv_fma_f32 v43, -|v10|, v11, 1.0 div:2", {x, y}, 4);
  for (unsigned i = 0; i < 64; ++i) {
    float a = asFloat(x[i]), b = asFloat(y[i]);
    EXPECT_EQ(asFloat(results[0][i]), std::fabs(a) - b);
    EXPECT_EQ(asFloat(results[1][i]), a * b * 4);
    EXPECT_EQ(asFloat(results[2][i]), std::min(std::max(a + b, 0.0f), 1.0f));
    EXPECT_EQ(asFloat(results[3][i]), (1 - std::fabs(a) * b) / 2);
  }
}

TEST(VectorFloat, minimumAndMaximumOfNansAndZeros) {
  Words x(64, 0), y(64, 0);
  const uint32_t nan = 0x7fc00000, zero = 0, minusZero = 0x80000000, one = 0x3f800000;
  const uint32_t cases[][4] = {{nan, one, one, one}, {one, nan, one, one}, {zero, minusZero, minusZero, zero}, {minusZero, zero, minusZero, zero}};
  for (unsigned i = 0; i < 4; ++i) {
    x[i] = cases[i][0];
    y[i] = cases[i][1];
  }
  auto results = runLanes(Chip::Gfx942, "v_min_f32 v40, v10, v11\nv_max_f32 v41, v10, v11", {x, y}, 2);
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(results[0][i], cases[i][2]) << i;
    EXPECT_EQ(results[1][i], cases[i][3]) << i;
  }
}

TEST(VectorFloat, comparisonsWriteOneBitPerLane) {
  Words x(64), y(64);
  for (unsigned i = 0; i < 64; ++i) {
    x[i] = i % 7 == 0 ? 0x7fc00000 : asBits(float(i));
    y[i] = asBits(float(63 - i));
  }
  auto results = runLanes(Chip::Gfx942, R"(
v_cmp_lt_f32_e32 vcc, v10, v11
v_cndmask_b32_e32 v40, 0, v1, vcc
v_cmp_nge_f32_e64 s[10:11], v10, v11
v_mov_b32 v41, 7
v_cndmask_b32_e64 v41, v41, 3, s[10:11]
v_cmp_class_f32_e64 s[12:13], v10, 3
v_cndmask_b32_e64 v42, 0, 1, s[12:13])", {x, y}, 3);
  for (unsigned i = 0; i < 64; ++i) {
    bool isNan = i % 7 == 0, isLess = !isNan && i < 63 - i;
    EXPECT_EQ(results[0][i], isLess ? 4 * i : 0) << i;
    EXPECT_EQ(results[1][i], isNan || i < 63 - i ? 3u : 7u) << i;
    EXPECT_EQ(results[2][i], isNan) << i;
  }
}

TEST(VectorInteger, bytesAndHalvesBySdwa) {
  std::mt19937 random(5);
  Words x(64), y(64);
  for (unsigned i = 0; i < 64; ++i) {
    x[i] = random();
    y[i] = random();
  }
  auto results = runLanes(Chip::Gfx942, R"(
v_add_u32_sdwa v40, v10, v11 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:BYTE_1 src1_sel:WORD_1
v_add_u32_sdwa v41, sext(v10), v11 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:BYTE_3 src1_sel:DWORD
v_mov_b32 v42, v11
v_mov_b32_sdwa v42, v10 dst_sel:BYTE_2 dst_unused:UNUSED_PRESERVE src0_sel:BYTE_0
v_mov_b32_sdwa v43, v10 dst_sel:WORD_1 dst_unused:UNUSED_PAD src0_sel:WORD_0
v_mov_b32_sdwa v44, v10 dst_sel:BYTE_1 dst_unused:UNUSED_SEXT src0_sel:BYTE_3)", {x, y}, 5);
  for (unsigned i = 0; i < 64; ++i) {
    EXPECT_EQ(results[0][i], (x[i] >> 8 & 0xff) + (y[i] >> 16));
    EXPECT_EQ(results[1][i], uint32_t(int8_t(x[i] >> 24)) + y[i]);
    EXPECT_EQ(results[2][i], (y[i] & 0xff00ffff) | (x[i] & 0xff) << 16);
    EXPECT_EQ(results[3][i], x[i] << 16);
    EXPECT_EQ(results[4][i], uint32_t(int32_t(int8_t(x[i] >> 24)) * 256));
  }
}

TEST(VectorInteger, carriesWideProductsAndBits) {
  std::mt19937 random(7);
  Words x(64), y(64);
  for (unsigned i = 0; i < 64; ++i) {
    x[i] = random();
    y[i] = random();
  }
  auto results = runLanes(Chip::Gfx942, R"(
v_add_co_u32_e32 v40, vcc, v10, v11
v_addc_co_u32_e64 v41, s[10:11], 0, 0, vcc
v_mov_b32 v20, v10
v_mov_b32 v21, v11
v_mad_u64_u32 v[42:43], s[10:11], v10, v11, v[20:21]
v_alignbit_b32 v44, v10, v11, 5
v_bfe_i32 v45, v10, 3, 7
v_perm_b32 v46, v10, v11, v40
v_add_u32_e64 v47, v10, v11 clamp)", {x, y}, 8);
  for (unsigned i = 0; i < 64; ++i) {
    uint64_t sum = uint64_t(x[i]) + y[i], wide = uint64_t(x[i]) * y[i] + (x[i] | uint64_t(y[i]) << 32);
    EXPECT_EQ(results[0][i], uint32_t(sum));
    EXPECT_EQ(results[1][i], uint32_t(sum >> 32));
    EXPECT_EQ(results[2][i] | uint64_t(results[3][i]) << 32, wide);
    EXPECT_EQ(results[4][i], x[i] << 27 | y[i] >> 5);
    EXPECT_EQ(int32_t(results[5][i]), int32_t(x[i] << 22) >> 25);
    EXPECT_EQ(results[7][i], sum >> 32 ? ~0u : uint32_t(sum));
    uint32_t expected = 0;
    for (unsigned byte = 0; byte < 4; ++byte) {
      uint32_t selector = uint32_t(sum) >> (8 * byte) & 0xff, value;
      if (selector < 4)
        value = y[i] >> (8 * selector) & 0xff;
      else if (selector < 8)
        value = x[i] >> (8 * (selector - 4)) & 0xff;
      else if (selector < 12)
        value = (selector < 10 ? y[i] : x[i]) >> (selector % 2 ? 31 : 15) & 1 ? 0xff : 0;
      else
        value = selector == 12 ? 0 : 0xff;
      expected |= value << (8 * byte);
    }
    EXPECT_EQ(results[6][i], expected);
  }
}

TEST(VectorPacked, halvesChosenByTheEncoding) {
  Words x(64), y(64);
  auto pack = [](float low, float high) {
    auto half = [](float value) { return uint32_t(convert(APFloat::IEEEsingle(), asBits(value), APFloat::IEEEhalf())); };
    return half(low) | half(high) << 16;
  };
  for (unsigned i = 0; i < 64; ++i) {
    x[i] = pack(i, 100 + i);
    y[i] = pack(2, -3);
  }
  auto results = runLanes(Chip::Gfx942, R"(
v_pk_mul_f16 v40, v10, v11
v_pk_mul_f16 v41, v10, v11 op_sel:[1,0] op_sel_hi:[0,1] neg_lo:[1,0] neg_hi:[0,1]
v_pk_fma_f16 v42, v10, v11, 1.0 op_sel_hi:[1,1,0]
v_fma_mix_f32 v43, v10, v11, 1.0 op_sel:[1,1,0] op_sel_hi:[1,1,0])", {x, y}, 4);
  for (unsigned i = 0; i < 64; ++i) {
    float low = i, high = 100 + i;
    EXPECT_EQ(results[0][i], pack(2 * low, -3 * high));
    EXPECT_EQ(results[1][i], pack(-high * 2, low * 3));
    EXPECT_EQ(results[2][i], pack(2 * low + 1, -3 * high + 1));
    EXPECT_EQ(asFloat(results[3][i]), -3 * high + 1);
  }
}

TEST(VectorPacked, twoFloatsInPairsOfRegisters) {
  Words x(64), y(64);
  for (unsigned i = 0; i < 64; ++i) {
    x[i] = asBits(float(i));
    y[i] = asBits(float(i) + 0.5f);
  }
  auto results = runLanes(Chip::Gfx942, R"(
v_pk_add_f32 v[40:41], v[10:11], v[10:11] op_sel:[0,1] op_sel_hi:[0,1]
v_pk_fma_f32 v[42:43], v[10:11], v[10:11], 1.0 op_sel_hi:[1,0,0] neg_hi:[1,0,0]
v_pk_mov_b32 v[44:45], v[10:11], v[10:11] op_sel:[1,0])", {x, y}, 6);
  for (unsigned i = 0; i < 64; ++i) {
    float a = i, b = i + 0.5f;
    EXPECT_EQ(asFloat(results[0][i]), a + b);
    EXPECT_EQ(asFloat(results[1][i]), a + b);
    EXPECT_EQ(asFloat(results[2][i]), a * a + 1);
    EXPECT_EQ(asFloat(results[3][i]), -b * a + 1);
    EXPECT_EQ(results[4][i], y[i]);
    EXPECT_EQ(results[5][i], x[i]);
  }
}
