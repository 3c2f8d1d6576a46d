//===- IsaSimulation.h - A main loop on a SIMD, issued in order --*- C++ -*-===//

#pragma once

#include "bench/IsaBounds.h"

namespace primus::bench {

/// The share of the matrix unit's time that is used when the loop's waves run on a SIMD of a compute unit whose other
/// SIMDs do the same. Each wave issues its instructions in order, one every four cycles; it waits where a unit is busy,
/// where a matrix instruction's result is read, at s_waitcnt and at barriers. LDS and caches serve accesses in order, at
/// their rates; latencies are of the order that microbenchmarks of these chips report, with loads that the cache of
/// the chip answers.
double simulateLoop(const LoopBounds &bounds);

} // namespace primus::bench
