//===- IsaSimulation.h - A main loop on a SIMD, issued in order --*- C++ -*-===//

#pragma once

#include "bench/IsaBounds.h"

namespace primus::bench {

/// The share of the matrix unit's time that is used when the loop's waves run on a SIMD of a compute unit whose other
/// SIMDs do the same. Each wave issues its instructions in order, one every four cycles; it waits where a unit is busy,
/// where a matrix instruction's result is read, at s_waitcnt and at barriers. In four cycles a SIMD issues at most one
/// instruction of a kind (vector and matrix ones are of one kind, then LDS, memory, scalar), to the wave of the highest
/// priority that has one ready: that of s_setprio, then age. Matrix instructions run beside others, but not beside packed
/// arithmetic on f32. LDS and caches serve accesses in order, at their rates; latencies are of the order that
/// microbenchmarks of these chips report, with loads that the cache of the chip answers.
///
/// Sources: AMD, "AMD Instinct MI300 Instruction Set Architecture" (s_setprio: priority and age) and "AMD Graphics Cores
/// Next Architecture" (white paper: one instruction of a kind at a time, from different waves); LLVM, SIPreEmitPeephole
/// (packed arithmetic is taken apart to be issued beside matrix instructions).
double simulateLoop(const LoopBounds &bounds);

} // namespace primus::bench
