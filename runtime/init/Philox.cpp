//===- Philox.cpp - Counter-based random numbers --------------------------===//

#include "runtime/init/Philox.h"

#include <cmath>
#include <numbers>

double primus::runtime::standardNormal(uint64_t seed, uint64_t stream, uint64_t index) {
  PhiloxBlock bits = philox(seed, stream, index / 2);
  double radius = std::sqrt(-2.0 * std::log(uniformFromBits(bits[0], bits[1])));
  double angle = 2.0 * std::numbers::pi * uniformFromBits(bits[2], bits[3]);
  return radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
}
