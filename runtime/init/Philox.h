//===- Philox.h - Counter-based random numbers -------------------*- C++ -*-===//
//
// Philox4x32-10 of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". A block of 128 random bits is a
// function of a key and a counter, without any state: a value can be made anywhere, in any order, by any number of
// threads and ranks, and is the same.
//
//===----------------------------------------------------------------------===//

#pragma once

#include <array>
#include <cstdint>

namespace primus::runtime {

using PhiloxBlock = std::array<uint32_t, 4>;

/// The bare generator: ten rounds over a counter, words least significant first.
constexpr PhiloxBlock philox4x32(PhiloxBlock counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
    uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

/// Block `index` of stream `stream` of the generator seeded with `seed`. Streams of one seed never overlap.
constexpr PhiloxBlock philox(uint64_t seed, uint64_t stream, uint64_t index) {
  return philox4x32({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), static_cast<uint32_t>(stream),
                     static_cast<uint32_t>(stream >> 32)},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

/// A double in (0, 1] from 64 random bits, on a grid of 2^-53.
constexpr double uniformFromBits(uint32_t low, uint32_t high) {
  uint64_t bits = (uint64_t{high} << 32 | low) >> 11;
  return (static_cast<double>(bits) + 1.0) * 0x1p-53;
}

/// Normally distributed value number `index` of a stream (mean 0, variance 1), by the method of Box and Muller: values
/// 2k and 2k+1 are the cosine and the sine of block k.
double standardNormal(uint64_t seed, uint64_t stream, uint64_t index);

} // namespace primus::runtime
