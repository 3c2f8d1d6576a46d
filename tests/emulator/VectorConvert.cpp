//===- VectorConvert.cpp - Between formats of numbers ---------------------===//

#include "tests/emulator/Lanes.h"

#include <limits>

using namespace primus::emulator;

namespace {
/// Towards zero; beyond the range the nearest integer, and 0 for a NaN.
template <typename I>
I toInteger(double value) {
  if (value != value)
    return 0;
  constexpr double low = double(std::numeric_limits<I>::min()), high = double(std::numeric_limits<I>::max());
  return value <= low ? std::numeric_limits<I>::min() : value >= high ? std::numeric_limits<I>::max() : I(value);
}

/// Towards zero: never from a finite number to infinity.
uint32_t toHalfTowardsZero(float value) {
  uint16_t half = toHalf(value);
  if (std::isfinite(value) && std::fabs(fromHalf(half)) > std::fabs(value))
    --half;
  return half;
}

template <bool IsFnuz>
constexpr SmallFormat fp8 = IsFnuz ? kFp8Fnuz : kFp8Ocp;
template <bool IsFnuz>
constexpr SmallFormat bf8 = IsFnuz ? kBf8Fnuz : kBf8Ocp;

uint64_t pack(float low, float high) { return std::bit_cast<uint32_t>(low) | uint64_t(std::bit_cast<uint32_t>(high)) << 32; }

/// gfx942 has the formats without negative zero and infinity, gfx950 those of the Open Compute Project.
template <bool IsFnuz>
void addFp8(OperationTable &table) {
  table.add("v_cvt_f32_fp8", vectorOperation<[](uint32_t a) { return fromSmall(fp8<IsFnuz>, uint8_t(a)); }>());
  table.add("v_cvt_f32_bf8", vectorOperation<[](uint32_t a) { return fromSmall(bf8<IsFnuz>, uint8_t(a)); }>());
  table.add("v_cvt_pk_f32_fp8", vectorOperation<[](uint32_t a) {
              return pack(fromSmall(fp8<IsFnuz>, uint8_t(a)), fromSmall(fp8<IsFnuz>, uint8_t(a >> 8)));
            }>());
  table.add("v_cvt_pk_f32_bf8", vectorOperation<[](uint32_t a) {
              return pack(fromSmall(bf8<IsFnuz>, uint8_t(a)), fromSmall(bf8<IsFnuz>, uint8_t(a >> 8)));
            }>());
  table.add("v_cvt_pk_fp8_f32", vectorOperation<[](float a, float b) {
              return uint16_t(toSmall(fp8<IsFnuz>, a) | toSmall(fp8<IsFnuz>, b) << 8);
            }, HighHalf::Keep>());
  table.add("v_cvt_pk_bf8_f32", vectorOperation<[](float a, float b) {
              return uint16_t(toSmall(bf8<IsFnuz>, a) | toSmall(bf8<IsFnuz>, b) << 8);
            }, HighHalf::Keep>());
}
} // namespace

void primus::emulator::addConvertOperations(OperationTable &table) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(name, operation); };
  add("v_cvt_f32_i32", vectorOperation<[](int32_t a) { return float(a); }>());
  add("v_cvt_f32_u32", vectorOperation<[](uint32_t a) { return float(a); }>());
  add("v_cvt_f64_i32", vectorOperation<[](int32_t a) { return double(a); }>());
  add("v_cvt_f64_u32", vectorOperation<[](uint32_t a) { return double(a); }>());
  add("v_cvt_f16_i16", vectorOperation<[](int16_t a) { return Half(float(a)); }>());
  add("v_cvt_f16_u16", vectorOperation<[](uint16_t a) { return Half(float(a)); }>());
  add("v_cvt_f32_ubyte0", vectorOperation<[](uint32_t a) { return float(a & 0xff); }>());
  add("v_cvt_f32_ubyte1", vectorOperation<[](uint32_t a) { return float(a >> 8 & 0xff); }>());
  add("v_cvt_f32_ubyte2", vectorOperation<[](uint32_t a) { return float(a >> 16 & 0xff); }>());
  add("v_cvt_f32_ubyte3", vectorOperation<[](uint32_t a) { return float(a >> 24); }>());
  add("v_cvt_i32_f32", vectorOperation<[](float a) { return toInteger<int32_t>(a); }>());
  add("v_cvt_u32_f32", vectorOperation<[](float a) { return toInteger<uint32_t>(a); }>());
  add("v_cvt_i32_f64", vectorOperation<[](double a) { return toInteger<int32_t>(a); }>());
  add("v_cvt_u32_f64", vectorOperation<[](double a) { return toInteger<uint32_t>(a); }>());
  add("v_cvt_i16_f16", vectorOperation<[](Half a) { return toInteger<int16_t>(a); }>());
  add("v_cvt_u16_f16", vectorOperation<[](Half a) { return toInteger<uint16_t>(a); }>());
  add("v_cvt_flr_i32_f32", vectorOperation<[](float a) { return toInteger<int32_t>(std::floor(a)); }>());
  add("v_cvt_rpi_i32_f32", vectorOperation<[](float a) { return toInteger<int32_t>(std::floor(double(a) + 0.5)); }>());
  add("v_cvt_f32_f64", vectorOperation<[](double a) { return float(a); }>());
  add("v_cvt_f64_f32", vectorOperation<[](float a) { return double(a); }>());
  add("v_cvt_f16_f32", vectorOperation<[](float a) { return Half(a); }>());
  add("v_cvt_f32_f16", vectorOperation<[](Half a) { return float(a); }>());
  add("v_cvt_pkrtz_f16_f32",
      vectorOperation<[](float a, float b) { return toHalfTowardsZero(a) | toHalfTowardsZero(b) << 16; }>());
  add("v_cvt_pk_u16_u32", vectorOperation<[](uint32_t a, uint32_t b) {
        return std::min(a, 0xffffu) | std::min(b, 0xffffu) << 16;
      }>());
  add("v_cvt_pk_i16_i32", vectorOperation<[](int32_t a, int32_t b) {
        auto narrow = [](int32_t value) { return uint32_t(uint16_t(std::clamp(value, -32768, 32767))); };
        return narrow(a) | narrow(b) << 16;
      }>());
  if (table.chip == Chip::Gfx942) {
    addFp8<true>(table);
    return;
  }
  addFp8<false>(table);
  add("v_cvt_f32_bf16", vectorOperation<[](uint16_t a) { return fromBfloat(a); }>());
  add("v_cvt_pk_bf16_f32",
      vectorOperation<[](float a, float b) { return uint32_t(toBfloat(a)) | uint32_t(toBfloat(b)) << 16; }>());
  add("v_cvt_pk_f16_f32", vectorOperation<[](float a, float b) { return uint32_t(toHalf(a)) | uint32_t(toHalf(b)) << 16; }>());
}
