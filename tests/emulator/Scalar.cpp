//===- Scalar.cpp - Scalar arithmetic, bits and comparisons ---------------===//
//
// scalar<F> executes an instruction from a function of its sources; a last parameter `bool &` is the condition code SCC.
// Poison is found as for vector instructions (Lanes.h).
//
//===----------------------------------------------------------------------===//

#include "tests/emulator/Wave.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

#include <bit>
#include <tuple>
#include <type_traits>

using namespace primus::emulator;

namespace {
using u32 = uint32_t;
using i32 = int32_t;
using u64 = uint64_t;
using i64 = int64_t;

template <typename T>
using Plain = std::remove_reference_t<T>;

template <typename R, typename... As>
struct Run {
  static constexpr bool usesScc = (std::is_same_v<As, bool &> || ...);
  static constexpr unsigned sourceCount = sizeof...(As) - usesScc;

  template <auto F>
  static void run(Wave &wave, const Instruction &instruction) {
    runWith<F>(wave, instruction, std::index_sequence_for<As...>());
  }

private:
  template <auto F, size_t... K>
  static void runWith(Wave &wave, const Instruction &instruction, std::index_sequence<K...>) {
    Wave::Value values[] = {(std::is_same_v<As, bool &> ? Wave::Value{wave.scalar[kScc], wave.scalarShadow[kScc] & 1}
                                                        : wave.readScalar(instruction.sources[K], sizeof(Plain<As>) == 8 ? 2 : 1))...};
    u64 poison = (values[K].shadow | ...);
    bool scc = false;
    auto evaluate = [&](u64 filling) {
      auto fill = [&](const Wave::Value &value) { return (value.bits & ~value.shadow) | (filling & value.shadow); };
      scc = fill(Wave::Value{wave.scalar[kScc], wave.scalarShadow[kScc] & 1}) & 1;
      auto argument = [&]<typename A>(const Wave::Value &value, std::type_identity<A>) -> A {
        if constexpr (std::is_same_v<A, bool &>)
          return scc;
        else
          return static_cast<A>(fill(value));
      };
      if constexpr (std::is_void_v<R>) {
        F(argument(values[K], std::type_identity<As>())...);
        return u64(0);
      } else {
        R result = F(argument(values[K], std::type_identity<As>())...);
        return u64(std::make_unsigned_t<R>(result));
      }
    };
    u64 result = evaluate(0), shadow = 0;
    bool condition = scc, isConditionPoison = false;
    if (poison)
      for (u64 filling : {~u64(0), u64(0x5555555555555555), u64(0xaaaaaaaaaaaaaaaa), u64(0x123456789abcdef1)}) {
        shadow |= evaluate(filling) ^ result;
        isConditionPoison |= scc != condition;
      }
    if constexpr (!std::is_void_v<R>)
      wave.writeScalar(instruction.results[0], {result, shadow}, sizeof(R) == 8 ? 2 : 1);
    if constexpr (usesScc)
      wave.writeScc(condition, isConditionPoison);
  }
};

template <typename F>
struct Signature;
template <typename C, typename R, typename... As>
struct Signature<R (C::*)(As...) const> : Run<R, As...> {};

template <auto F>
void add(OperationTable &table, llvm::StringRef name) {
  table.add(name, {Signature<decltype(&decltype(F)::operator())>::template run<F>, InstructionClass::Scalar});
}

/// The result is not zero.
template <typename T>
T nonZero(T value, bool &scc) {
  scc = value != 0;
  return value;
}
template <typename T>
T extract(T value, u32 field) {
  unsigned offset = field & (8 * sizeof(T) - 1), width = field >> 16 & 0x7f;
  using U = std::make_unsigned_t<T>;
  constexpr unsigned bits = 8 * sizeof(T);
  if (width == 0)
    return 0;
  T shifted = value >> offset;
  return width >= bits ? shifted : T(U(shifted) << (bits - width)) >> (bits - width);
}
template <typename T>
u32 count(T value, T skipped) {
  T bits = value ^ skipped;
  return bits ? std::countl_zero(bits) : ~0u;
}

template <typename U>
void addBits(OperationTable &table, llvm::StringRef type) {
  using S = std::make_signed_t<U>;
  auto named = [&](llvm::StringRef name, llvm::StringRef kind = "b") { return ("s_" + name + "_" + kind + type).str(); };
  constexpr unsigned mask = 8 * sizeof(U) - 1;
  add<[](U a) { return a; }>(table, named("mov"));
  add<[](U a, bool &scc) { return nonZero(U(~a), scc); }>(table, named("not"));
  add<[](U a, U b, bool &scc) { return nonZero(U(a & b), scc); }>(table, named("and"));
  add<[](U a, U b, bool &scc) { return nonZero(U(a | b), scc); }>(table, named("or"));
  add<[](U a, U b, bool &scc) { return nonZero(U(a ^ b), scc); }>(table, named("xor"));
  add<[](U a, U b, bool &scc) { return nonZero(U(a & ~b), scc); }>(table, named("andn2"));
  add<[](U a, U b, bool &scc) { return nonZero(U(a | ~b), scc); }>(table, named("orn2"));
  add<[](U a, U b, bool &scc) { return nonZero(U(~(a & b)), scc); }>(table, named("nand"));
  add<[](U a, U b, bool &scc) { return nonZero(U(~(a | b)), scc); }>(table, named("nor"));
  add<[](U a, U b, bool &scc) { return nonZero(U(~(a ^ b)), scc); }>(table, named("xnor"));
  add<[](U a, u32 b, bool &scc) { return nonZero(U(a << (b & mask)), scc); }>(table, named("lshl"));
  add<[](U a, u32 b, bool &scc) { return nonZero(U(a >> (b & mask)), scc); }>(table, named("lshr"));
  add<[](S a, u32 b, bool &scc) { return nonZero(S(a >> (b & mask)), scc); }>(table, named("ashr", "i"));
  add<[](u32 a, u32 b) { return U(((U(1) << (a & mask)) - 1) << (b & mask)); }>(table, named("bfm"));
  add<[](U a, u32 b, bool &scc) { return nonZero(extract<U>(a, b), scc); }>(table, named("bfe", "u"));
  add<[](S a, u32 b, bool &scc) { return nonZero(extract<S>(a, b), scc); }>(table, named("bfe", "i"));
  add<[](U a, U b, bool &scc) { return scc ? a : b; }>(table, named("cselect"));
  add<[](U a) {
    U reversed = 0;
    for (unsigned bit = 0; bit <= mask; ++bit)
      reversed |= (a >> bit & 1) << (mask - bit);
    return reversed;
  }>(table, named("brev"));
  add<[](U a, bool &scc) { return nonZero(u32(std::popcount(a)), scc); }>(table, ("s_bcnt1_i32_b" + type).str());
  add<[](U a, bool &scc) { return nonZero(u32(std::popcount(U(~a))), scc); }>(table, ("s_bcnt0_i32_b" + type).str());
  add<[](U a) { return a ? u32(std::countr_zero(a)) : ~0u; }>(table, ("s_ff1_i32_b" + type).str());
  add<[](U a) { return ~a ? u32(std::countr_one(a)) : ~0u; }>(table, ("s_ff0_i32_b" + type).str());
  add<[](U a) { return count<U>(a, 0); }>(table, ("s_flbit_i32_b" + type).str());
  add<[](S a) { return count<U>(U(a), a < 0 ? U(~U(0)) : U(0)); }>(table, sizeof(U) == 4 ? "s_flbit_i32" : "s_flbit_i32_i64");
  add<[](U a, U b, bool &scc) { scc = a == b; }>(table, named("cmp_eq", "u"));
  add<[](U a, U b, bool &scc) { scc = a != b; }>(table, named("cmp_lg", "u"));
  add<[](U a, u32 b, bool &scc) { scc = !(a >> (b & mask) & 1); }>(table, named("bitcmp0"));
  add<[](U a, u32 b, bool &scc) { scc = (a >> (b & mask)) & 1; }>(table, named("bitcmp1"));
}

template <typename T>
void addOrder(OperationTable &table, llvm::StringRef type) {
  auto named = [&](llvm::StringRef name) { return ("s_" + name + "_" + type).str(); };
  add<[](T a, T b, bool &scc) { scc = a == b; }>(table, named("cmp_eq"));
  add<[](T a, T b, bool &scc) { scc = a != b; }>(table, named("cmp_lg"));
  add<[](T a, T b, bool &scc) { scc = (a > b); }>(table, named("cmp_gt"));
  add<[](T a, T b, bool &scc) { scc = a >= b; }>(table, named("cmp_ge"));
  add<[](T a, T b, bool &scc) { scc = a < b; }>(table, named("cmp_lt"));
  add<[](T a, T b, bool &scc) { scc = a <= b; }>(table, named("cmp_le"));
  add<[](T a, T b, bool &scc) { return scc = a < b, scc ? a : b; }>(table, named("min"));
  add<[](T a, T b, bool &scc) { return scc = (a > b), scc ? a : b; }>(table, named("max"));
}

void addArithmetic(OperationTable &table) {
  add<[](u32 a, u32 b, bool &scc) { return scc = ((u64(a) + b) >> 32), a + b; }>(table, "s_add_u32");
  add<[](u32 a, u32 b, bool &scc) { return scc = a < b, a - b; }>(table, "s_sub_u32");
  add<[](u32 a, u32 b, bool &scc) {
    u64 sum = u64(a) + b + scc;
    scc = (sum >> 32);
    return u32(sum);
  }>(table, "s_addc_u32");
  add<[](u32 a, u32 b, bool &scc) {
    u64 needed = u64(b) + scc;
    u32 difference = a - b - scc;
    scc = (needed > a);
    return difference;
  }>(table, "s_subb_u32");
  add<[](i32 a, i32 b, bool &scc) {
    i64 sum = i64(a) + b;
    scc = sum != i32(sum);
    return i32(sum);
  }>(table, "s_add_i32");
  add<[](i32 a, i32 b, bool &scc) {
    i64 difference = i64(a) - b;
    scc = difference != i32(difference);
    return i32(difference);
  }>(table, "s_sub_i32");
  add<[](i32 a, bool &scc) { return nonZero(a < 0 ? i32(-u32(a)) : a, scc); }>(table, "s_abs_i32");
  add<[](u32 a, u32 b, bool &scc) { return nonZero(a > b ? a - b : b - a, scc); }>(table, "s_absdiff_i32");
  add<[](u32 a, u32 b) { return a * b; }>(table, "s_mul_i32");
  add<[](u32 a, u32 b) { return u32(u64(a) * b >> 32); }>(table, "s_mul_hi_u32");
  add<[](i32 a, i32 b) { return u32(u64(i64(a) * b) >> 32); }>(table, "s_mul_hi_i32");
  add<[](u32 a) { return i32(int8_t(a)); }>(table, "s_sext_i32_i8");
  add<[](u32 a) { return i32(int16_t(a)); }>(table, "s_sext_i32_i16");
  add<[](u32 a, u32 b) { return (a & 0xffff) | b << 16; }>(table, "s_pack_ll_b32_b16");
  add<[](u32 a, u32 b) { return (a & 0xffff) | (b & 0xffff0000); }>(table, "s_pack_lh_b32_b16");
  add<[](u32 a, u32 b) { return (a >> 16) | (b & 0xffff0000); }>(table, "s_pack_hh_b32_b16");
  add<[](u32 a, u32 b, bool &scc) { u64 sum = (u64(a) << 1) + b; return scc = (sum >> 32), u32(sum); }>(table, "s_lshl1_add_u32");
  add<[](u32 a, u32 b, bool &scc) { u64 sum = (u64(a) << 2) + b; return scc = (sum >> 32), u32(sum); }>(table, "s_lshl2_add_u32");
  add<[](u32 a, u32 b, bool &scc) { u64 sum = (u64(a) << 3) + b; return scc = (sum >> 32), u32(sum); }>(table, "s_lshl3_add_u32");
  add<[](u32 a, u32 b, bool &scc) { u64 sum = (u64(a) << 4) + b; return scc = (sum >> 32), u32(sum); }>(table, "s_lshl4_add_u32");
}

/// An instruction with a 16-bit constant in its encoding, as the instruction `operation` on (result, constant).
template <void (*Operation)(Wave &, const Instruction &), bool IsSigned>
void withConstant(Wave &wave, const Instruction &instruction) {
  Instruction full = instruction;
  full.sources[0] = instruction.definitions ? instruction.results[0] : instruction.sources[0];
  full.sources[1] = {};
  full.sources[1].kind = Operand::Constant;
  full.sources[1].constant = IsSigned ? u64(i64(int16_t(instruction.bits(0, 16)))) : instruction.bits(0, 16);
  Operation(wave, full);
}
template <auto F, bool IsSigned>
void addWithConstant(OperationTable &table, llvm::StringRef name) {
  table.add(name, {withConstant<Signature<decltype(&decltype(F)::operator())>::template run<F>, IsSigned>, InstructionClass::Scalar});
}

void addConstantForms(OperationTable &table) {
  addWithConstant<[](i32, i32 b) { return b; }, true>(table, "s_movk_i32");
  addWithConstant<[](i32 a, i32 b, bool &scc) {
    i64 sum = i64(a) + b;
    scc = sum != i32(sum);
    return i32(sum);
  }, true>(table, "s_addk_i32");
  addWithConstant<[](i32 a, i32 b) { return u32(a) * u32(b); }, true>(table, "s_mulk_i32");
  addWithConstant<[](i32 a, i32 b, bool &scc) { return scc ? b : a; }, true>(table, "s_cmovk_i32");
  addWithConstant<[](i32 a, i32 b, bool &scc) { scc = a == b; }, true>(table, "s_cmpk_eq_i32");
  addWithConstant<[](i32 a, i32 b, bool &scc) { scc = a != b; }, true>(table, "s_cmpk_lg_i32");
  addWithConstant<[](i32 a, i32 b, bool &scc) { scc = (a > b); }, true>(table, "s_cmpk_gt_i32");
  addWithConstant<[](i32 a, i32 b, bool &scc) { scc = a >= b; }, true>(table, "s_cmpk_ge_i32");
  addWithConstant<[](i32 a, i32 b, bool &scc) { scc = a < b; }, true>(table, "s_cmpk_lt_i32");
  addWithConstant<[](i32 a, i32 b, bool &scc) { scc = a <= b; }, true>(table, "s_cmpk_le_i32");
  addWithConstant<[](u32 a, u32 b, bool &scc) { scc = a == b; }, false>(table, "s_cmpk_eq_u32");
  addWithConstant<[](u32 a, u32 b, bool &scc) { scc = a != b; }, false>(table, "s_cmpk_lg_u32");
  addWithConstant<[](u32 a, u32 b, bool &scc) { scc = (a > b); }, false>(table, "s_cmpk_gt_u32");
  addWithConstant<[](u32 a, u32 b, bool &scc) { scc = a >= b; }, false>(table, "s_cmpk_ge_u32");
  addWithConstant<[](u32 a, u32 b, bool &scc) { scc = a < b; }, false>(table, "s_cmpk_lt_u32");
  addWithConstant<[](u32 a, u32 b, bool &scc) { scc = a <= b; }, false>(table, "s_cmpk_le_u32");
}

/// Moves the condition into SCC, keeping what was there: cmov and bitset read their result.
template <typename T, auto F>
void updateResult(Wave &wave, const Instruction &instruction) {
  Instruction full = instruction;
  full.sources[1] = instruction.results[0];
  Signature<decltype(&decltype(F)::operator())>::template run<F>(wave, full);
}

/// `operation` with the execution mask, which is saved in the result.
template <auto F>
void saveExec(Wave &wave, const Instruction &instruction) {
  Wave::Value source = wave.readScalar(instruction.sources[0], 2);
  u64 exec = wave.exec(), result = F(source.bits, exec);
  // Poisoned bits may be masked away.
  u64 poison = (F(source.bits | source.shadow, exec) ^ F(source.bits & ~source.shadow, exec));
  wave.writeScalar(instruction.results[0], {exec, 0}, 2);
  Operand mask = instruction.results[0];
  mask.index = kExecLo;
  wave.writeScalar(mask, {result, poison}, 2);
  wave.writeScc(result != 0);
}
template <auto F>
void addSaveExec(OperationTable &table, llvm::StringRef name) {
  table.add(("s_" + name + "_saveexec_b64").str(), {saveExec<F>, InstructionClass::Scalar});
}
} // namespace

void primus::emulator::addScalarOperations(OperationTable &table) {
  addBits<u32>(table, "32");
  addBits<u64>(table, "64");
  addOrder<i32>(table, "i32");
  addOrder<u32>(table, "u32");
  addArithmetic(table);
  addConstantForms(table);
  table.add("s_cmov_b32", {updateResult<u32, [](u32 a, u32 old, bool &scc) { return scc ? a : old; }>, InstructionClass::Scalar});
  table.add("s_cmov_b64", {updateResult<u64, [](u64 a, u64 old, bool &scc) { return scc ? a : old; }>, InstructionClass::Scalar});
  table.add("s_bitset0_b32", {updateResult<u32, [](u32 a, u32 old) { return old & ~(1u << (a & 31)); }>, InstructionClass::Scalar});
  table.add("s_bitset1_b32", {updateResult<u32, [](u32 a, u32 old) { return old | 1u << (a & 31); }>, InstructionClass::Scalar});
  addSaveExec<[](u64 a, u64 exec) { return a & exec; }>(table, "and");
  addSaveExec<[](u64 a, u64 exec) { return a | exec; }>(table, "or");
  addSaveExec<[](u64 a, u64 exec) { return a ^ exec; }>(table, "xor");
  addSaveExec<[](u64 a, u64 exec) { return a & ~exec; }>(table, "andn2");
  addSaveExec<[](u64 a, u64 exec) { return a | ~exec; }>(table, "orn2");
  addSaveExec<[](u64 a, u64 exec) { return ~a & exec; }>(table, "andn1");
  addSaveExec<[](u64 a, u64 exec) { return ~a | exec; }>(table, "orn1");
  addSaveExec<[](u64 a, u64 exec) { return ~(a & exec); }>(table, "nand");
  addSaveExec<[](u64 a, u64 exec) { return ~(a | exec); }>(table, "nor");
  addSaveExec<[](u64 a, u64 exec) { return ~(a ^ exec); }>(table, "xnor");
}
