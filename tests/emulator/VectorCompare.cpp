//===- VectorCompare.cpp - Comparisons to lane masks ----------------------===//

#include "tests/emulator/Lanes.h"

#include "llvm/ADT/Twine.h"

using namespace primus::emulator;

namespace {
template <auto F, typename A, typename B, bool WritesExec>
void compare(Wave &wave, const Instruction &instruction) {
  RawSource<BitsOf<A>> a;
  RawSource<BitsOf<B>> b;
  LaneMask mask = wave.exec(), result = 0;
  readSource(wave, instruction, 0, sizeof(A) == 2, a, mask);
  readSource(wave, instruction, 1, sizeof(B) == 2, b, mask);
  const Modifiers modifiers = instruction.modifiers;
  for (unsigned lane = 0; lane < kLanes; ++lane)
    result |= LaneMask(F(getValue<A>(a.bits[lane], modifiers, 0), getValue<B>(b.bits[lane], modifiers, 1))) << lane;
  LaneMask dirty = (a.dirty | b.dirty) & mask;
  writeLaneMask(wave, instruction.results[0], result, mask, dirty);
  if constexpr (WritesExec) {
    Operand exec = instruction.results[0];
    exec.index = kExecLo;
    writeLaneMask(wave, exec, result, mask, dirty);
  }
}

template <typename T, auto F>
void add(OperationTable &table, llvm::StringRef name, llvm::StringRef type) {
  table.add(("v_cmp_" + name + "_" + type).str(), {compare<F, T, T, false>, InstructionClass::Vector, false});
  table.add(("v_cmpx_" + name + "_" + type).str(), {compare<F, T, T, true>, InstructionClass::Vector, false});
}

template <typename T>
void addOrdered(OperationTable &table, llvm::StringRef type) {
  add<T, [](T, T) { return false; }>(table, "f", type);
  add<T, [](T a, T b) { return a < b; }>(table, "lt", type);
  add<T, [](T a, T b) { return a == b; }>(table, "eq", type);
  add<T, [](T a, T b) { return a <= b; }>(table, "le", type);
  add<T, [](T a, T b) { return (a > b); }>(table, "gt", type);
  add<T, [](T a, T b) { return a >= b; }>(table, "ge", type);
}

template <typename T>
void addIntegers(OperationTable &table, llvm::StringRef type) {
  addOrdered<T>(table, type);
  add<T, [](T a, T b) { return a != b; }>(table, "ne", type);
  add<T, [](T, T) { return true; }>(table, "t", type);
}

/// The numbers of the categories that v_cmp_class tells apart, as bits of its mask.
template <typename T>
bool isOfClass(T value, uint32_t classes) {
  double wide = double(value);
  bool negative = std::signbit(wide), isSignaling = false, isSubnormal = false;
  if constexpr (std::is_same_v<T, float>) {
    isSignaling = !(std::bit_cast<uint32_t>(value) & 0x400000);
    isSubnormal = wide != 0 && std::fabs(wide) < 0x1p-126;
  } else if constexpr (std::is_same_v<T, Half>) {
    isSignaling = !(value.bits & 0x200);
    isSubnormal = wide != 0 && std::fabs(wide) < 0x1p-14;
  } else {
    isSignaling = !(std::bit_cast<uint64_t>(value) & (uint64_t(1) << 51));
    isSubnormal = std::fpclassify(value) == FP_SUBNORMAL;
  }
  unsigned number;
  if (wide != wide)
    return classes >> (isSignaling ? 0 : 1) & 1;
  if (std::isinf(wide))
    number = 0;
  else
    number = wide == 0 ? 3 : isSubnormal ? 2 : 1;
  return classes >> (negative ? 2 + number : 9 - number) & 1;
}

template <typename T>
void addFloats(OperationTable &table, llvm::StringRef type) {
  addOrdered<T>(table, type);
  add<T, [](T a, T b) { return a < b || (a > b); }>(table, "lg", type);
  add<T, [](T a, T b) { return a == a && b == b; }>(table, "o", type);
  add<T, [](T a, T b) { return a != a || b != b; }>(table, "u", type);
  add<T, [](T a, T b) { return !(a >= b); }>(table, "nge", type);
  add<T, [](T a, T b) { return !(a < b || a > b); }>(table, "nlg", type);
  add<T, [](T a, T b) { return !(a > b); }>(table, "ngt", type);
  add<T, [](T a, T b) { return !(a <= b); }>(table, "nle", type);
  add<T, [](T a, T b) { return !(a == b); }>(table, "neq", type);
  add<T, [](T a, T b) { return !(a < b); }>(table, "nlt", type);
  add<T, [](T, T) { return true; }>(table, "tru", type);
  constexpr auto ofClass = [](T value, uint32_t classes) { return isOfClass(value, classes); };
  table.add(("v_cmp_class_" + type).str(), {compare<ofClass, T, uint32_t, false>, InstructionClass::Vector, false});
  table.add(("v_cmpx_class_" + type).str(), {compare<ofClass, T, uint32_t, true>, InstructionClass::Vector, false});
}
} // namespace

void primus::emulator::addCompareOperations(OperationTable &table) {
  addIntegers<int16_t>(table, "i16");
  addIntegers<uint16_t>(table, "u16");
  addIntegers<int32_t>(table, "i32");
  addIntegers<uint32_t>(table, "u32");
  addIntegers<int64_t>(table, "i64");
  addIntegers<uint64_t>(table, "u64");
  addFloats<Half>(table, "f16");
  addFloats<float>(table, "f32");
  addFloats<double>(table, "f64");
}
