//===- VectorInteger.cpp - Arithmetic and bits of integers ----------------===//

#include "tests/emulator/Lanes.h"

#include "llvm/Support/MathExtras.h"

#include <bit>

using namespace primus::emulator;

namespace {
using u16 = uint16_t;
using i16 = int16_t;
using u32 = uint32_t;
using i32 = int32_t;
using u64 = uint64_t;
using i64 = int64_t;

i32 low24(i32 value) { return i32(u32(value) << 8) >> 8; }
u32 low24(u32 value) { return value & 0xffffff; }
u32 highOf(u64 product) { return product >> 32; }

template <typename T>
T median(T a, T b, T c) {
  return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

/// Byte `selector` of the eight bytes of high and low, or one of the constants (CDNA 3 ISA, V_PERM_B32).
u32 selectByte(u32 high, u32 low, u32 selector) {
  u64 bytes = u64(high) << 32 | low;
  selector &= 0xff;
  if (selector < 8)
    return bytes >> (8 * selector) & 0xff;
  if (selector < 12) // the sign of a half
    return bytes >> (16 * (selector - 8) + 15) & 1 ? 0xff : 0;
  return selector == 12 ? 0 : 0xff;
}

/// An addition or subtraction with carry out, and with carry in from the third source.
template <auto F, bool HasCarryIn>
void carry(Wave &wave, const Instruction &instruction) {
  RawSource<u32> a, b;
  LaneMask mask = wave.exec();
  readSource(wave, instruction, 0, false, a, mask);
  readSource(wave, instruction, 1, false, b, mask);
  Wave::Value carryIn;
  if constexpr (HasCarryIn)
    carryIn = wave.readScalar(instruction.sources[2], 2);
  alignas(64) std::array<u32, kLanes> result, shadow;
  LaneMask carryOut = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    // Bit 32 of the difference is its borrow.
    u64 exact = F(u64(a.bits[lane]), u64(b.bits[lane]), carryIn.bits >> lane & 1);
    result[lane] = exact;
    carryOut |= LaneMask(exact >> 32 & 1) << lane;
  }
  LaneMask dirty = (a.dirty | b.dirty | carryIn.shadow) & mask;
  shadow.fill(~0u);
  wave.writeVector(instruction.results[0].index, result.data(), mask, dirty, shadow.data());
  writeLaneMask(wave, instruction.results[1], carryOut, mask, dirty);
}

template <typename Narrow, typename Wide>
void multiplyAdd64(Wave &wave, const Instruction &instruction) {
  RawSource<u32> a, b;
  RawSource<u64> c;
  LaneMask mask = wave.exec();
  readSource(wave, instruction, 0, false, a, mask);
  readSource(wave, instruction, 1, false, b, mask);
  readSource(wave, instruction, 2, false, c, mask);
  alignas(64) std::array<u64, kLanes> result, shadow;
  LaneMask carryOut = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    __extension__ using Exact = std::conditional_t<std::is_signed_v<Wide>, __int128, unsigned __int128>;
    Exact sum = Exact(Wide(Narrow(a.bits[lane])) * Wide(Narrow(b.bits[lane]))) + Exact(Wide(c.bits[lane]));
    result[lane] = u64(sum);
    carryOut |= LaneMask(u64(sum >> 64) & 1) << lane;
  }
  LaneMask dirty = (a.dirty | b.dirty | c.dirty) & mask;
  shadow.fill(~u64(0));
  writeResult(wave, instruction.results[0], result.data(), mask, dirty, shadow.data());
  writeLaneMask(wave, instruction.results[1], carryOut, mask, dirty);
}

/// Bits of the mask below this lane, counted.
template <bool IsHigh>
void countBelow(Wave &wave, const Instruction &instruction) {
  RawSource<u32> bits, base;
  LaneMask mask = wave.exec();
  readSource(wave, instruction, 0, false, bits, mask);
  readSource(wave, instruction, 1, false, base, mask);
  alignas(64) std::array<u32, kLanes> result, shadow;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    LaneMask below = (LaneMask(1) << lane) - 1;
    result[lane] = base.bits[lane] + std::popcount(bits.bits[lane] & u32(IsHigh ? below >> 32 : below));
  }
  shadow.fill(~0u);
  wave.writeVector(instruction.results[0].index, result.data(), mask, (bits.dirty | base.dirty) & mask, shadow.data());
}

/// Any function of three bits; its table of eight entries lies in three fields of the encoding.
template <typename T>
void bitOperation(Wave &wave, const Instruction &instruction) {
  unsigned truth = instruction.bits(61, 3) | instruction.bits(8, 3) << 3 | instruction.bits(59, 2) << 6;
  RawSource<u32> a, b, c;
  LaneMask mask = wave.exec();
  readSource(wave, instruction, 0, sizeof(T) == 2, a, mask);
  readSource(wave, instruction, 1, sizeof(T) == 2, b, mask);
  readSource(wave, instruction, 2, sizeof(T) == 2, c, mask);
  auto evaluate = [&](u32 x, u32 y, u32 z) {
    u32 value = 0;
    for (unsigned entry = 0; entry < 8; ++entry)
      if (truth >> entry & 1)
        value |= (entry & 4 ? x : ~x) & (entry & 2 ? y : ~y) & (entry & 1 ? z : ~z);
    return u32(T(value));
  };
  alignas(64) std::array<u32, kLanes> result, shadow{};
  for (unsigned lane = 0; lane < kLanes; ++lane)
    result[lane] = evaluate(a.bits[lane], b.bits[lane], c.bits[lane]);
  LaneMask dirty = (a.dirty | b.dirty | c.dirty) & mask;
  for (unsigned lane = 0; dirty && lane < kLanes; ++lane) {
    // Poisoned are the bits that some filling of the sources' poisoned bits changes.
    auto shadowOf = [&](const RawSource<u32> &s) { return s.dirty >> lane & 1 ? s.shadow[lane] : 0; };
    for (unsigned choice = 1; choice < 8; ++choice)
      shadow[lane] |= result[lane] ^ evaluate(a.bits[lane] ^ (choice & 4 ? shadowOf(a) : 0), b.bits[lane] ^ (choice & 2 ? shadowOf(b) : 0),
                                              c.bits[lane] ^ (choice & 1 ? shadowOf(c) : 0));
    if (!shadow[lane])
      dirty &= ~(LaneMask(1) << lane);
  }
  writeResult(wave, instruction, 8 * sizeof(T), HighHalf::Keep, result.data(), mask, dirty, shadow.data());
}

void addWords(OperationTable &table) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(name, operation); };
  add("v_add_u32", vectorOperation<[](u32 a, u32 b) { return Exact<u32>{i64(a) + b}; }>());
  add("v_sub_u32", vectorOperation<[](u32 a, u32 b) { return Exact<u32>{i64(a) - b}; }>());
  add("v_subrev_u32", vectorOperation<[](u32 a, u32 b) { return Exact<u32>{i64(b) - a}; }>());
  add("v_add_i32", vectorOperation<[](i32 a, i32 b) { return Exact<i32>{i64(a) + b}; }>());
  add("v_sub_i32", vectorOperation<[](i32 a, i32 b) { return Exact<i32>{i64(a) - b}; }>());
  add("v_add3_u32", vectorOperation<[](u32 a, u32 b, u32 c) { return a + b + c; }>());
  add("v_xad_u32", vectorOperation<[](u32 a, u32 b, u32 c) { return (a ^ b) + c; }>());
  add("v_mul_lo_u32", vectorOperation<[](u32 a, u32 b) { return a * b; }>());
  add("v_mul_hi_u32", vectorOperation<[](u32 a, u32 b) { return highOf(u64(a) * b); }>());
  add("v_mul_hi_i32", vectorOperation<[](i32 a, i32 b) { return highOf(u64(i64(a) * b)); }>());
  add("v_mul_u32_u24", vectorOperation<[](u32 a, u32 b) { return low24(a) * low24(b); }>());
  add("v_mul_hi_u32_u24", vectorOperation<[](u32 a, u32 b) { return highOf(u64(low24(a)) * low24(b)); }>());
  add("v_mul_i32_i24", vectorOperation<[](i32 a, i32 b) { return u32(i64(low24(a)) * low24(b)); }>());
  add("v_mul_hi_i32_i24", vectorOperation<[](i32 a, i32 b) { return highOf(u64(i64(low24(a)) * low24(b))); }>());
  add("v_mad_u32_u24", vectorOperation<[](u32 a, u32 b, u32 c) { return low24(a) * low24(b) + c; }>());
  add("v_mad_i32_i24", vectorOperation<[](i32 a, i32 b, u32 c) { return u32(i64(low24(a)) * low24(b)) + c; }>());
  add("v_mad_u32_u16", vectorOperation<[](u16 a, u16 b, u32 c) { return u32(a) * b + c; }>());
  add("v_mad_i32_i16", vectorOperation<[](i16 a, i16 b, u32 c) { return u32(i32(a) * b) + c; }>());
  add("v_min_i32", vectorOperation<[](i32 a, i32 b) { return std::min(a, b); }>());
  add("v_max_i32", vectorOperation<[](i32 a, i32 b) { return std::max(a, b); }>());
  add("v_min_u32", vectorOperation<[](u32 a, u32 b) { return std::min(a, b); }>());
  add("v_max_u32", vectorOperation<[](u32 a, u32 b) { return std::max(a, b); }>());
  add("v_min3_i32", vectorOperation<[](i32 a, i32 b, i32 c) { return std::min(std::min(a, b), c); }>());
  add("v_max3_i32", vectorOperation<[](i32 a, i32 b, i32 c) { return std::max(std::max(a, b), c); }>());
  add("v_med3_i32", vectorOperation<[](i32 a, i32 b, i32 c) { return median(a, b, c); }>());
  add("v_min3_u32", vectorOperation<[](u32 a, u32 b, u32 c) { return std::min(std::min(a, b), c); }>());
  add("v_max3_u32", vectorOperation<[](u32 a, u32 b, u32 c) { return std::max(std::max(a, b), c); }>());
  add("v_med3_u32", vectorOperation<[](u32 a, u32 b, u32 c) { return median(a, b, c); }>());
  add("v_sad_u32", vectorOperation<[](u32 a, u32 b, u32 c) { return (a > b ? a - b : b - a) + c; }>());
}

void addBits(OperationTable &table) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(name, operation); };
  add("v_and_b32", vectorOperation<[](u32 a, u32 b) { return a & b; }>());
  add("v_or_b32", vectorOperation<[](u32 a, u32 b) { return a | b; }>());
  add("v_xor_b32", vectorOperation<[](u32 a, u32 b) { return a ^ b; }>());
  add("v_xnor_b32", vectorOperation<[](u32 a, u32 b) { return ~(a ^ b); }>());
  add("v_not_b32", vectorOperation<[](u32 a) { return ~a; }>());
  add("v_and_or_b32", vectorOperation<[](u32 a, u32 b, u32 c) { return (a & b) | c; }>());
  add("v_or3_b32", vectorOperation<[](u32 a, u32 b, u32 c) { return a | b | c; }>());
  add("v_lshlrev_b32", vectorOperation<[](u32 a, u32 b) { return b << (a & 31); }>());
  add("v_lshrrev_b32", vectorOperation<[](u32 a, u32 b) { return (b >> (a & 31)); }>());
  add("v_ashrrev_i32", vectorOperation<[](u32 a, i32 b) { return (b >> (a & 31)); }>());
  add("v_lshl_add_u32", vectorOperation<[](u32 a, u32 b, u32 c) { return (a << (b & 31)) + c; }>());
  add("v_add_lshl_u32", vectorOperation<[](u32 a, u32 b, u32 c) { return (a + b) << (c & 31); }>());
  add("v_lshl_or_b32", vectorOperation<[](u32 a, u32 b, u32 c) { return (a << (b & 31)) | c; }>());
  add("v_bfi_b32", vectorOperation<[](u32 a, u32 b, u32 c) { return (a & b) | (~a & c); }>());
  add("v_bfm_b32", vectorOperation<[](u32 a, u32 b) { return ((1u << (a & 31)) - 1) << (b & 31); }>());
  add("v_bfe_u32", vectorOperation<[](u32 a, u32 b, u32 c) { return (a >> (b & 31)) & ((1u << (c & 31)) - 1); }>());
  add("v_bfe_i32", vectorOperation<[](u32 a, u32 b, u32 c) {
        unsigned width = c & 31;
        return width == 0 ? 0 : (i32(u32(i64(i32(a)) >> (b & 31)) << (32 - width)) >> (32 - width));
      }>());
  add("v_alignbit_b32", vectorOperation<[](u32 a, u32 b, u32 c) { return u32((u64(a) << 32 | b) >> (c & 31)); }>());
  add("v_alignbyte_b32", vectorOperation<[](u32 a, u32 b, u32 c) { return u32((u64(a) << 32 | b) >> (8 * (c & 3))); }>());
  add("v_perm_b32", vectorOperation<[](u32 a, u32 b, u32 c) {
        return selectByte(a, b, c) | selectByte(a, b, c >> 8) << 8 | selectByte(a, b, c >> 16) << 16 | selectByte(a, b, c >> 24) << 24;
      }>());
  add("v_bfrev_b32", vectorOperation<[](u32 a) { return llvm::reverseBits(a); }>());
  add("v_ffbh_u32", vectorOperation<[](u32 a) { return a ? u32(std::countl_zero(a)) : ~0u; }>());
  add("v_ffbl_b32", vectorOperation<[](u32 a) { return a ? u32(std::countr_zero(a)) : ~0u; }>());
  add("v_ffbh_i32", vectorOperation<[](i32 a) {
        u32 differing = u32(a < 0 ? ~a : a);
        return differing ? u32(std::countl_zero(differing)) : ~0u;
      }>());
  add("v_bcnt_u32_b32", vectorOperation<[](u32 a, u32 b) { return u32(std::popcount(a)) + b; }>());
  table.add("v_mbcnt_lo_u32_b32", {countBelow<false>, InstructionClass::Vector, false});
  table.add("v_mbcnt_hi_u32_b32", {countBelow<true>, InstructionClass::Vector, false});
  if (table.chip == Chip::Gfx950) {
    table.add("v_bitop3_b32", {bitOperation<u32>, InstructionClass::Vector});
    table.add("v_bitop3_b16", {bitOperation<u16>, InstructionClass::Vector});
  }
}

void addDoubleWords(OperationTable &table) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(name, operation); };
  add("v_lshlrev_b64", vectorOperation<[](u32 a, u64 b) { return b << (a & 63); }>());
  add("v_lshrrev_b64", vectorOperation<[](u32 a, u64 b) { return (b >> (a & 63)); }>());
  add("v_ashrrev_i64", vectorOperation<[](u32 a, i64 b) { return (b >> (a & 63)); }>());
  add("v_lshl_add_u64", vectorOperation<[](u64 a, u32 b, u64 c) { return (a << (b & 7)) + c; }>());
  table.add("v_mad_u64_u32", {multiplyAdd64<u32, u64>, InstructionClass::Vector, false});
  table.add("v_mad_i64_i32", {multiplyAdd64<i32, i64>, InstructionClass::Vector, false});
  table.add("v_add_co_u32", {carry<[](u64 a, u64 b, u64) { return a + b; }, false>, InstructionClass::Vector, false});
  table.add("v_sub_co_u32", {carry<[](u64 a, u64 b, u64) { return a - b; }, false>, InstructionClass::Vector, false});
  table.add("v_subrev_co_u32", {carry<[](u64 a, u64 b, u64) { return b - a; }, false>, InstructionClass::Vector, false});
  table.add("v_addc_co_u32", {carry<[](u64 a, u64 b, u64 c) { return a + b + c; }, true>, InstructionClass::Vector, false});
  table.add("v_subb_co_u32", {carry<[](u64 a, u64 b, u64 c) { return a - b - c; }, true>, InstructionClass::Vector, false});
  table.add("v_subbrev_co_u32", {carry<[](u64 a, u64 b, u64 c) { return b - a - c; }, true>, InstructionClass::Vector, false});
}

void addHalfWords(OperationTable &table) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(name, operation); };
  add("v_add_u16", vectorOperation<[](u16 a, u16 b) { return Exact<u16>{a + b}; }>());
  add("v_sub_u16", vectorOperation<[](u16 a, u16 b) { return Exact<u16>{a - b}; }>());
  add("v_subrev_u16", vectorOperation<[](u16 a, u16 b) { return Exact<u16>{b - a}; }>());
  add("v_add_i16", vectorOperation<[](i16 a, i16 b) { return Exact<i16>{a + b}; }, HighHalf::Keep>());
  add("v_sub_i16", vectorOperation<[](i16 a, i16 b) { return Exact<i16>{a - b}; }, HighHalf::Keep>());
  add("v_mul_lo_u16", vectorOperation<[](u16 a, u16 b) { return u16(u32(a) * b); }>());
  add("v_mad_u16", vectorOperation<[](u16 a, u16 b, u16 c) { return Exact<u16>{i64(a) * b + c}; }, HighHalf::Keep>());
  add("v_mad_i16", vectorOperation<[](i16 a, i16 b, i16 c) { return Exact<i16>{i64(a) * b + c}; }, HighHalf::Keep>());
  add("v_mad_legacy_u16", vectorOperation<[](u16 a, u16 b, u16 c) { return Exact<u16>{i64(a) * b + c}; }>());
  add("v_mad_legacy_i16", vectorOperation<[](i16 a, i16 b, i16 c) { return Exact<i16>{i64(a) * b + c}; }>());
  add("v_lshlrev_b16", vectorOperation<[](u16 a, u16 b) { return u16(b << (a & 15)); }>());
  add("v_lshrrev_b16", vectorOperation<[](u16 a, u16 b) { return u16(b >> (a & 15)); }>());
  add("v_ashrrev_i16", vectorOperation<[](u16 a, i16 b) { return i16(b >> (a & 15)); }>());
  add("v_min_i16", vectorOperation<[](i16 a, i16 b) { return std::min(a, b); }>());
  add("v_max_i16", vectorOperation<[](i16 a, i16 b) { return std::max(a, b); }>());
  add("v_min_u16", vectorOperation<[](u16 a, u16 b) { return std::min(a, b); }>());
  add("v_max_u16", vectorOperation<[](u16 a, u16 b) { return std::max(a, b); }>());
  add("v_min3_i16", vectorOperation<[](i16 a, i16 b, i16 c) { return std::min(std::min(a, b), c); }, HighHalf::Keep>());
  add("v_max3_i16", vectorOperation<[](i16 a, i16 b, i16 c) { return std::max(std::max(a, b), c); }, HighHalf::Keep>());
  add("v_med3_i16", vectorOperation<[](i16 a, i16 b, i16 c) { return median(a, b, c); }, HighHalf::Keep>());
  add("v_min3_u16", vectorOperation<[](u16 a, u16 b, u16 c) { return std::min(std::min(a, b), c); }, HighHalf::Keep>());
  add("v_max3_u16", vectorOperation<[](u16 a, u16 b, u16 c) { return std::max(std::max(a, b), c); }, HighHalf::Keep>());
  add("v_med3_u16", vectorOperation<[](u16 a, u16 b, u16 c) { return median(a, b, c); }, HighHalf::Keep>());
  add("v_pack_b32_f16", vectorOperation<[](Half a, Half b) { return u32(a.bits) | u32(b.bits) << 16; }>());
}
} // namespace

void primus::emulator::addIntegerOperations(OperationTable &table) {
  addWords(table);
  addBits(table);
  addDoubleWords(table);
  addHalfWords(table);
}
