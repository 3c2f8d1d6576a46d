//===- Reduce.cpp - Sums and maxima over ranks ----------------------------===//

#include "runtime/communicators/Reduce.h"

#include <algorithm>
#include <bit>
#include <cstring>

using namespace primus;
using namespace primus::runtime;

namespace {

/// How numbers of a type lie in memory, and what they are reduced in.
template <typename Stored, typename Wide>
struct Plain {
  using Memory = Stored;
  using Accumulator = Wide;
  static Wide widen(Stored value) { return static_cast<Wide>(value); }
  static Stored narrow(Wide value) { return static_cast<Stored>(value); }
};

struct BFloat16 {
  using Memory = uint16_t;
  using Accumulator = float;
  static float widen(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }
  /// To the nearest, ties to even. A NaN stays one.
  static uint16_t narrow(float value) {
    auto bits = std::bit_cast<uint32_t>(value);
    bool isNaN = value != value;
    uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return static_cast<uint16_t>(isNaN ? bits >> 16 | 0x40 : rounded);
  }
};

} // namespace

template <Reduction reduction, typename Wide>
static Wide combine(Wide a, Wide b) {
  if constexpr (reduction == Reduction::Sum)
    return a + b;
  else
    return b > a || b != b ? b : a;
}

template <Reduction reduction, typename Type>
static void reduceAs(std::span<const std::byte *const> sources, std::byte *target, int64_t count) {
  using Memory = typename Type::Memory;
  using Wide = typename Type::Accumulator;
  // Stays in the first-level cache while the sources pass.
  constexpr int64_t blockElements = 1024;
  Wide sums[blockElements];
  for (int64_t begin = 0; begin < count; begin += blockElements) {
    int64_t size = std::min(blockElements, count - begin);
    auto *first = reinterpret_cast<const Memory *>(sources[0]) + begin;
    for (int64_t i = 0; i < size; ++i)
      sums[i] = Type::widen(first[i]);
    for (const std::byte *source : sources.subspan(1)) {
      auto *values = reinterpret_cast<const Memory *>(source) + begin;
      for (int64_t i = 0; i < size; ++i)
        sums[i] = combine<reduction>(sums[i], Type::widen(values[i]));
    }
    auto *results = reinterpret_cast<Memory *>(target) + begin;
    for (int64_t i = 0; i < size; ++i)
      results[i] = Type::narrow(sums[i]);
  }
}

template <Reduction reduction>
static void reduceTyped(executable::DataType type, std::span<const std::byte *const> sources, std::byte *target,
                        int64_t count) {
  switch (type) {
  case executable::F64:
    return reduceAs<reduction, Plain<double, double>>(sources, target, count);
  case executable::F16:
    return reduceAs<reduction, Plain<_Float16, float>>(sources, target, count);
  case executable::BF16:
    return reduceAs<reduction, BFloat16>(sources, target, count);
  // A sum of unsigned numbers wraps around as two's complement does; only the order of signed ones differs.
  case executable::I64:
    if constexpr (reduction == Reduction::Sum)
      return reduceAs<reduction, Plain<uint64_t, uint64_t>>(sources, target, count);
    return reduceAs<reduction, Plain<int64_t, int64_t>>(sources, target, count);
  case executable::I32:
    if constexpr (reduction == Reduction::Sum)
      return reduceAs<reduction, Plain<uint32_t, uint32_t>>(sources, target, count);
    return reduceAs<reduction, Plain<int32_t, int32_t>>(sources, target, count);
  default:
    return reduceAs<reduction, Plain<float, float>>(sources, target, count);
  }
}

void primus::runtime::reduceElements(Reduction reduction, executable::DataType type,
                                     std::span<const std::byte *const> sources, std::byte *target, int64_t count) {
  if (reduction == Reduction::Sum)
    reduceTyped<Reduction::Sum>(type, sources, target, count);
  else
    reduceTyped<Reduction::Max>(type, sources, target, count);
}
