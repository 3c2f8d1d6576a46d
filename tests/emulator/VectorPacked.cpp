//===- VectorPacked.cpp - Two halves or two floats at once (VOP3P) --------===//

#include "tests/emulator/Lanes.h"

#include "llvm/ADT/Twine.h"

using namespace primus::emulator;

namespace {
/// Element `part` (0 or 1) of the result takes this half of source `k`.
unsigned getHalf(const Modifiers &modifiers, unsigned part, unsigned k) {
  return (part ? modifiers.selectHigh : modifiers.select) >> k & 1;
}
bool isNegated(const Modifiers &modifiers, unsigned part, unsigned k) {
  return (part ? modifiers.negateHigh : modifiers.negate) >> k & 1;
}

template <typename T>
T getPart(uint32_t bits, const Modifiers &modifiers, unsigned part, unsigned k) {
  uint16_t half = bits >> (16 * getHalf(modifiers, part, k));
  if constexpr (isFloating<T>)
    half ^= isNegated(modifiers, part, k) ? 0x8000 : 0;
  return std::bit_cast<T>(half);
}

/// Both halves of a word, with the function F of T.
template <auto F, typename R, typename... Ts, size_t... K>
void packed(Wave &wave, const Instruction &instruction, std::index_sequence<K...>) {
  std::array<RawSource<uint32_t>, sizeof...(Ts)> sources;
  LaneMask mask = wave.exec(), dirty = 0;
  for (unsigned k = 0; k < sources.size(); ++k)
    readSource(wave, instruction, k, false, sources[k], mask);
  Modifiers modifiers = instruction.modifiers;
  alignas(64) std::array<uint32_t, kLanes> result{}, shadow{};
  for (unsigned part = 0; part < 2; ++part)
    for (unsigned lane = 0; lane < kLanes; ++lane)
      result[lane] |= (getBits<R>(F(getPart<Ts>(sources[K].bits[lane], modifiers, part, K)...), modifiers) & 0xffff) << (16 * part);
  LaneMask suspects = (sources[K].dirty | ...) & mask;
  for (unsigned lane = 0; suspects && lane < kLanes; ++lane) {
    if (!(suspects >> lane & 1))
      continue;
    for (unsigned part = 0; part < 2; ++part)
      for (unsigned k = 0; k < sources.size(); ++k)
        if ((sources[k].dirty >> lane & 1) && (sources[k].shadow[lane] >> (16 * getHalf(modifiers, part, k)) & 0xffff))
          shadow[lane] |= 0xffffu << (16 * part);
    dirty |= LaneMask(shadow[lane] != 0) << lane;
  }
  wave.writeVector(instruction.results[0].index, result.data(), mask, dirty, shadow.data());
}

template <typename F>
struct PackedSignature;
template <typename C, typename R, typename... Ts>
struct PackedSignature<R (C::*)(Ts...) const> {
  using Result = R;
  template <auto F>
  static void run(Wave &wave, const Instruction &instruction) {
    packed<F, R, Ts...>(wave, instruction, std::index_sequence_for<Ts...>());
  }
};

template <auto F>
void addPacked(OperationTable &table, llvm::StringRef name) {
  using S = PackedSignature<decltype(&decltype(F)::operator())>;
  using R = typename S::Result;
  table.add(("v_pk_" + name).str(), {S::template run<F>, InstructionClass::Vector, isFloating<R> || ResultTraits<R>::isExact});
}

/// Two floats in two registers; op_sel chooses the register of each source.
template <auto F, unsigned Count>
void packedFloats(Wave &wave, const Instruction &instruction) {
  alignas(64) std::array<uint32_t, kLanes> result[2], shadow;
  LaneMask mask = wave.exec(), dirty[2] = {};
  shadow.fill(~0u);
  for (unsigned part = 0; part < 2; ++part) {
    std::array<RawSource<uint32_t>, 3> sources;
    for (unsigned k = 0; k < Count; ++k) {
      // A constant is the same for both.
      Instruction one;
      one.sources[0] = instruction.sources[k];
      if (one.sources[0].words == 2)
        one.sources[0].index += getHalf(instruction.modifiers, part, k);
      readSource(wave, one, 0, false, sources[k], mask);
      dirty[part] |= sources[k].dirty & mask;
    }
    Modifiers modifiers;
    modifiers.negate = part ? instruction.modifiers.negateHigh : instruction.modifiers.negate;
    modifiers.clamp = instruction.modifiers.clamp;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      auto get = [&](unsigned k) { return getValue<float>(sources[k].bits[lane], modifiers, k); };
      if constexpr (Count == 2)
        result[part][lane] = getBits<float>(F(get(0), get(1)), modifiers);
      else
        result[part][lane] = getBits<float>(F(get(0), get(1), get(2)), modifiers);
    }
  }
  for (unsigned part = 0; part < 2; ++part)
    wave.writeVector(instruction.results[0].index + part, result[part].data(), mask, dirty[part], shadow.data());
}

/// The low word from the first source, the high word from the second; op_sel of each chooses the register.
void moveTwo(Wave &wave, const Instruction &instruction) {
  RawSource<uint32_t> sources[2];
  LaneMask mask = wave.exec();
  for (unsigned k = 0; k < 2; ++k) {
    Instruction one;
    one.sources[0] = instruction.sources[k];
    if (one.sources[0].words == 2)
      one.sources[0].index += instruction.modifiers.select >> k & 1;
    readSource(wave, one, 0, false, sources[k], mask);
  }
  for (unsigned k = 0; k < 2; ++k)
    wave.writeVector(instruction.results[0].index + k, sources[k].bits.data(), mask, sources[k].dirty & mask, sources[k].shadow.data());
}

/// A source that is a float, or with op_sel_hi the half that op_sel chooses. The bits neg_hi are absolute values here.
float getMixed(uint32_t bits, const Modifiers &modifiers, unsigned k) {
  float value = modifiers.selectHigh >> k & 1 ? fromHalf(bits >> (16 * (modifiers.select >> k & 1))) : std::bit_cast<float>(bits);
  value = modifiers.negateHigh >> k & 1 ? std::fabs(value) : value;
  return modifiers.negate >> k & 1 ? -value : value;
}

/// An inline constant, whose meaning depends on op_sel_hi: the disassembler takes it for a half.
Operand getFloatConstant(const Instruction &instruction, unsigned k) {
  Operand operand = instruction.sources[k];
  unsigned code = instruction.bits(32 + 9 * k, 9);
  const float floats[] = {0.5f, -0.5f, 1, -1, 2, -2, 4, -4, 0x1.45f306p-3f};
  if (operand.kind == Operand::Constant && code >= 240 && code <= 248)
    operand.constant = std::bit_cast<uint32_t>(floats[code - 240]);
  return operand;
}

enum class MixResult { Float, LowHalf, HighHalf };
template <MixResult Kind>
void mix(Wave &wave, const Instruction &instruction) {
  RawSource<uint32_t> sources[3];
  LaneMask mask = wave.exec(), dirty = 0;
  Modifiers modifiers = instruction.modifiers;
  for (unsigned k = 0; k < 3; ++k) {
    Instruction one;
    one.sources[0] = modifiers.selectHigh >> k & 1 ? instruction.sources[k] : getFloatConstant(instruction, k);
    readSource(wave, one, 0, false, sources[k], mask);
    for (unsigned lane = 0; sources[k].dirty && lane < kLanes; ++lane) {
      uint32_t used = modifiers.selectHigh >> k & 1 ? 0xffffu << (16 * (modifiers.select >> k & 1)) : ~0u;
      if ((sources[k].dirty >> lane & 1) && (sources[k].shadow[lane] & used))
        dirty |= LaneMask(1) << lane;
    }
  }
  alignas(64) std::array<uint32_t, kLanes> result, shadow;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    auto get = [&](unsigned k) { return getMixed(sources[k].bits[lane], modifiers, k); };
    Modifiers output;
    output.clamp = modifiers.clamp;
    float exact = std::fma(get(0), get(1), get(2));
    result[lane] = Kind == MixResult::Float ? getBits<float>(exact, output) : getBits<Half>(Half(exact), output);
    shadow[lane] = dirty >> lane & 1 ? ~0u : 0;
  }
  if constexpr (Kind != MixResult::Float) {
    const VectorRegister &old = wave.vector[instruction.results[0].index];
    unsigned first = Kind == MixResult::HighHalf ? 16 : 0;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      uint32_t part = 0xffffu << first;
      result[lane] = (result[lane] << first & part) | (old.lanes[lane] & ~part);
      shadow[lane] = (shadow[lane] & part) | (old.shadow[lane] & ~part);
      dirty = (dirty & ~(LaneMask(1) << lane)) | LaneMask(shadow[lane] != 0) << lane;
    }
  }
  wave.writeVector(instruction.results[0].index, result.data(), mask, dirty & mask, shadow.data());
}

/// c plus the products of the halves of a and b.
template <auto Convert>
void dot2(Wave &wave, const Instruction &instruction) {
  RawSource<uint32_t> sources[3];
  LaneMask mask = wave.exec();
  for (unsigned k = 0; k < 3; ++k)
    readSource(wave, instruction, k, false, sources[k], mask);
  alignas(64) std::array<uint32_t, kLanes> result, shadow;
  Modifiers modifiers = instruction.modifiers;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    float sum = getValue<float>(sources[2].bits[lane], modifiers, 2);
    for (unsigned part = 0; part < 2; ++part) {
      auto get = [&](unsigned k) { return Convert(getPart<Half>(sources[k].bits[lane], modifiers, part, k).bits); };
      sum = std::fma(get(0), get(1), sum);
    }
    result[lane] = std::bit_cast<uint32_t>(sum);
  }
  shadow.fill(~0u);
  wave.writeVector(instruction.results[0].index, result.data(), mask,
                   (sources[0].dirty | sources[1].dirty | sources[2].dirty) & mask, shadow.data());
}

float minimum(float a, float b) { return a != a ? b : b != b ? a : a < b || (a == b && std::signbit(a)) ? a : b; }
float maximum(float a, float b) { return a != a ? b : b != b ? a : a > b || (a == b && !std::signbit(a)) ? a : b; }
} // namespace

void primus::emulator::addPackedOperations(OperationTable &table) {
  using u16 = uint16_t;
  using i16 = int16_t;
  addPacked<[](Half a, Half b) { return Half(a + b); }>(table, "add_f16");
  addPacked<[](Half a, Half b) { return Half(a * b); }>(table, "mul_f16");
  addPacked<[](Half a, Half b) { return Half(minimum(a, b)); }>(table, "min_f16");
  addPacked<[](Half a, Half b) { return Half(maximum(a, b)); }>(table, "max_f16");
  addPacked<[](Half a, Half b, Half c) { return Half(addToOdd(float(a) * float(b), float(c))); }>(table, "fma_f16");
  addPacked<[](u16 a, u16 b) { return Exact<u16>{a + b}; }>(table, "add_u16");
  addPacked<[](u16 a, u16 b) { return Exact<u16>{a - b}; }>(table, "sub_u16");
  addPacked<[](i16 a, i16 b) { return Exact<i16>{a + b}; }>(table, "add_i16");
  addPacked<[](i16 a, i16 b) { return Exact<i16>{a - b}; }>(table, "sub_i16");
  addPacked<[](u16 a, u16 b) { return u16(uint32_t(a) * b); }>(table, "mul_lo_u16");
  addPacked<[](u16 a, u16 b, u16 c) { return Exact<u16>{int64_t(a) * b + c}; }>(table, "mad_u16");
  addPacked<[](i16 a, i16 b, i16 c) { return Exact<i16>{int64_t(a) * b + c}; }>(table, "mad_i16");
  addPacked<[](i16 a, i16 b) { return std::min(a, b); }>(table, "min_i16");
  addPacked<[](i16 a, i16 b) { return std::max(a, b); }>(table, "max_i16");
  addPacked<[](u16 a, u16 b) { return std::min(a, b); }>(table, "min_u16");
  addPacked<[](u16 a, u16 b) { return std::max(a, b); }>(table, "max_u16");
  addPacked<[](u16 a, u16 b) { return u16(b << (a & 15)); }>(table, "lshlrev_b16");
  addPacked<[](u16 a, u16 b) { return u16(b >> (a & 15)); }>(table, "lshrrev_b16");
  addPacked<[](u16 a, i16 b) { return i16(b >> (a & 15)); }>(table, "ashrrev_i16");
  table.add("v_pk_add_f32", {packedFloats<[](float a, float b) { return a + b; }, 2>, InstructionClass::Vector});
  table.add("v_pk_mul_f32", {packedFloats<[](float a, float b) { return a * b; }, 2>, InstructionClass::Vector});
  table.add("v_pk_fma_f32", {packedFloats<[](float a, float b, float c) { return std::fma(a, b, c); }, 3>, InstructionClass::Vector});
  table.add("v_pk_mov_b32", {moveTwo, InstructionClass::Vector, false});
  for (const char *prefix : {"v_fma_mix", "v_mad_mix"}) {
    table.add((llvm::Twine(prefix) + "_f32").str(), {mix<MixResult::Float>, InstructionClass::Vector});
    table.add((llvm::Twine(prefix) + "lo_f16").str(), {mix<MixResult::LowHalf>, InstructionClass::Vector});
    table.add((llvm::Twine(prefix) + "hi_f16").str(), {mix<MixResult::HighHalf>, InstructionClass::Vector});
  }
  table.add("v_dot2_f32_f16", {dot2<[](uint16_t bits) { return fromHalf(bits); }>, InstructionClass::Vector, false});
  table.add("v_dot2_f32_bf16", {dot2<[](uint16_t bits) { return fromBfloat(bits); }>, InstructionClass::Vector, false});
}
