//===- Lanes.h - Vector instructions from functions of one lane -*- C++ -*-===//
//
// lanes<F> executes a vector instruction whose effect in one lane is the function F; the types of its parameters and of
// its result say how sources are read (float, double, Half, integers of 16, 32 and 64 bits) and how modifiers act.
//
// Poison: a poisoned bit of a float poisons the whole result. Functions of integers are evaluated with several fillings
// of the poisoned bits, and the bits of the result that differ are poison; so `x & 0xff` is clean when the low byte of x
// is. Some bits may pass as clean that are not (when all fillings agree), never the reverse.
//
// GCC 12 ends a template argument at a `>` in the body of a lambda, unless it stands in parentheses.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "tests/emulator/CrossLane.h"
#include "tests/emulator/FloatFormats.h"
#include "tests/emulator/Wave.h"

#include <tuple>
#include <type_traits>

namespace primus::emulator {

/// A binary16 value; arithmetic happens in float, which is wide enough for one correctly rounded operation.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float value) : bits(toHalf(value)) {}
  /// By way of double: for fused operations, whose exact result fits into one.
  explicit Half(double value);
  operator float() const { return fromHalf(bits); }
};

/// An exact integer result, which the clamp modifier saturates to T and which wraps without it.
template <typename T>
struct Exact {
  int64_t value;
};

template <typename T>
inline constexpr bool isFloating = std::is_floating_point_v<T> || std::is_same_v<T, Half>;
template <typename T>
struct ResultTraits {
  using Type = T;
  static constexpr bool isExact = false;
};
template <typename T>
struct ResultTraits<Exact<T>> {
  using Type = T;
  static constexpr bool isExact = true;
};
/// Registers as read and written for a value of type T.
template <typename T>
using BitsOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
template <typename T>
using IntegerOf = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;

/// One source in all lanes: after swizzles between lanes and selection of parts, before other modifiers.
template <typename Bits>
struct RawSource {
  alignas(64) std::array<Bits, kLanes> bits;
  alignas(64) std::array<Bits, kLanes> shadow; ///< of lanes in `dirty`; others are not initialised
  LaneMask dirty = 0;
};

/// Reads source `k`. `halves`: a 16-bit value, which op_sel may take from the high half. Lanes that a swizzle disables
/// are removed from `mask`.
template <typename Bits>
void readSource(const Wave &wave, const Instruction &instruction, unsigned k, bool halves, RawSource<Bits> &source, LaneMask &mask);
extern template void readSource(const Wave &, const Instruction &, unsigned, bool, RawSource<uint32_t> &, LaneMask &);
extern template void readSource(const Wave &, const Instruction &, unsigned, bool, RawSource<uint64_t> &, LaneMask &);

/// What is written beside a 16-bit result.
enum class HighHalf : uint8_t { Zero, Keep };

/// Writes a result of 16, 32 or 64 bits. `shadow` is read in dirty lanes only.
void writeResult(Wave &wave, const Instruction &instruction, unsigned bits, HighHalf high, const uint32_t *lanes, LaneMask mask,
                 LaneMask dirty, const uint32_t *shadow);
void writeResult(Wave &wave, const Operand &operand, const uint64_t *lanes, LaneMask mask, LaneMask dirty, const uint64_t *shadow);

/// The value of the bits of source `k`, with negation and absolute value.
template <typename T>
inline T getValue(BitsOf<T> bits, const Modifiers &modifiers, unsigned k) {
  auto narrow = static_cast<IntegerOf<T>>(bits);
  if constexpr (isFloating<T>) {
    constexpr IntegerOf<T> sign = IntegerOf<T>(1) << (8 * sizeof(T) - 1);
    IntegerOf<T> clear = modifiers.absolute >> k & 1 ? sign : 0, flip = modifiers.negate >> k & 1 ? sign : 0;
    narrow = (narrow & ~clear) ^ flip;
  }
  return std::bit_cast<T>(narrow);
}

/// The bits of a result after output scale and clamp.
template <typename R>
inline auto getBits(R result, const Modifiers &modifiers) {
  using T = typename ResultTraits<R>::Type;
  if constexpr (ResultTraits<R>::isExact) {
    int64_t value = result.value;
    if (modifiers.clamp)
      value = std::clamp<int64_t>(value, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
    return BitsOf<T>(IntegerOf<T>(value));
  } else {
    if constexpr (isFloating<T>) {
      if (modifiers.outputScale) {
        const float scales[] = {1, 2, 4, 0.5f};
        result = T(result * scales[modifiers.outputScale]);
      }
      if (modifiers.clamp)
        result = result > T(0.0f) ? (result < T(1.0f) ? result : T(1.0f)) : T(0.0f); // NaN gives 0
    }
    return BitsOf<T>(std::bit_cast<IntegerOf<T>>(result));
  }
}

namespace detail {
template <auto F, HighHalf High, typename R, typename... As, size_t... K>
void lanes(Wave &wave, const Instruction &instruction, std::index_sequence<K...>) {
  using T = typename ResultTraits<R>::Type;
  using Bits = BitsOf<T>;
  LaneMask mask = wave.exec();
  std::tuple<RawSource<BitsOf<As>>...> sources;
  (readSource(wave, instruction, K, sizeof(As) == 2, std::get<K>(sources), mask), ...);
  const Modifiers modifiers = instruction.modifiers;
  alignas(64) std::array<Bits, kLanes> result;
  if (modifiers.negate | modifiers.absolute | modifiers.clamp | modifiers.outputScale) {
    for (unsigned lane = 0; lane < kLanes; ++lane)
      result[lane] = getBits<R>(F(getValue<As>(std::get<K>(sources).bits[lane], modifiers, K)...), modifiers);
  } else {
    const Modifiers none;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      result[lane] = getBits<R>(F(getValue<As>(std::get<K>(sources).bits[lane], none, K)...), none);
  }
  LaneMask dirty = (std::get<K>(sources).dirty | ... | 0) & mask;
  alignas(64) std::array<Bits, kLanes> shadow;
  if (dirty) {
    constexpr bool isBitwise = !(isFloating<As> || ...);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      if (!(dirty >> lane & 1))
        continue;
      shadow[lane] = ~Bits(0);
      if constexpr (isBitwise) {
        shadow[lane] = 0;
        const uint64_t fillings[] = {0, ~uint64_t(0), 0x5555555555555555, 0xaaaaaaaaaaaaaaaa, 0x123456789abcdef1, 0x8000000180000001};
        for (uint64_t filling : fillings)
          shadow[lane] |= result[lane] ^
                          getBits<R>(F(getValue<As>((std::get<K>(sources).dirty >> lane & 1)
                                                        ? (std::get<K>(sources).bits[lane] & ~std::get<K>(sources).shadow[lane]) |
                                                              (BitsOf<As>(filling) & std::get<K>(sources).shadow[lane])
                                                        : std::get<K>(sources).bits[lane],
                                                    modifiers, K)...),
                                     modifiers);
      }
      if (!shadow[lane])
        dirty &= ~(LaneMask(1) << lane);
    }
  }
  if constexpr (sizeof(T) == 8)
    writeResult(wave, instruction.results[0], result.data(), mask, dirty, shadow.data());
  else
    writeResult(wave, instruction, 8 * sizeof(T), High, result.data(), mask, dirty, shadow.data());
}

template <typename F>
struct Signature;
template <typename C, typename R, typename... As>
struct Signature<R (C::*)(As...) const> {
  using Result = R;
  template <auto F, HighHalf High>
  static void run(Wave &wave, const Instruction &instruction) {
    lanes<F, High, R, As...>(wave, instruction, std::index_sequence_for<As...>());
  }
};
} // namespace detail

template <auto F, HighHalf High = HighHalf::Zero>
void lanes(Wave &wave, const Instruction &instruction) {
  detail::Signature<decltype(&decltype(F)::operator())>::template run<F, High>(wave, instruction);
}

/// The table's entry for lanes<F>.
template <auto F, HighHalf High = HighHalf::Zero>
Operation vectorOperation() {
  using R = typename detail::Signature<decltype(&decltype(F)::operator())>::Result;
  return {lanes<F, High>, InstructionClass::Vector, isFloating<R> || ResultTraits<R>::isExact};
}

/// Writes a lane mask (a comparison's result, a carry) to a pair of scalar registers; lanes outside `mask` become 0.
void writeLaneMask(Wave &wave, const Operand &operand, LaneMask value, LaneMask mask, LaneMask dirty);

} // namespace primus::emulator
