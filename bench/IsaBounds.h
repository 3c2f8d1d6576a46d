//===- IsaBounds.h - What bounds a kernel's main loop ------------*- C++ -*-===//
//
// Reads the assembly of a gfx942 or gfx950 kernel. Its main loop is the innermost loop with the most work in the matrix
// units, or else the most instructions. Cycles of an iteration, for a SIMD and per wave on it:
//
//   matrix   what its MFMA instructions occupy the matrix unit (codegen/hip/Mfma.h)
//   vector   4 for each vector instruction (64 lanes on 16), more for transcendental ones (ir/kernel/GpuArchitecture.h)
//            and 32-bit products; a matrix instruction is issued in 4, too
//   lds      bytes over the 128 that LDS moves per cycle for all four SIMDs of a compute unit
//   global   bytes over the 64 that a compute unit gets from the caches per cycle
//   issue    4 for each instruction: a wave issues in order, one at a time; waves on a SIMD overlap
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/hip/Metadata.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace primus::bench {

struct LoopBounds {
  enum Unit { Matrix, Vector, Lds, Global, Issue };
  static constexpr std::array<const char *, 5> names = {"matrix", "vector", "lds", "global", "issue"};

  /// By unit, per iteration and wave.
  std::array<double, 5> cycles{};
  unsigned matrixInstructions = 0;
  /// The loop's instructions as assembly spells them.
  std::vector<std::string> loop;
  /// Waves that a SIMD holds, by registers and LDS, and how many of them belong to one workgroup.
  unsigned occupancy = 1, groupWaves = 1;
  /// Of a transcendental instruction.
  double transcendentalCycles = 16;

  /// The unit that takes longest.
  Unit getBound() const;
  /// The share of the matrix unit's time that is used if nothing but the bounds costs time.
  double getMatrixShare() const { return cycles[Matrix] / cycles[getBound()]; }
};

/// What one instruction adds, as assembly spells it.
LoopBounds getInstructionCost(llvm::StringRef text, double transcendentalCycles);

/// Of the kernel `symbol` in an assembly file, which takes `resources` of a compute unit of `chip`; nothing if it has
/// no loop.
std::optional<LoopBounds> readLoopBounds(llvm::StringRef assembly, llvm::StringRef symbol,
                                         const codegen::hip::KernelResources &resources, llvm::StringRef chip);

} // namespace primus::bench
