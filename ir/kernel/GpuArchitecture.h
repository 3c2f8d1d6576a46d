//===- GpuArchitecture.h - Compute units of AMD GPUs -------------*- C++ -*-===//
//
// What all chips of one architecture have in common, and what a chip has beyond that. Sources: AMD, "AMD Instinct MI300
// Instruction Set Architecture", "AMD Instinct CDNA4 Instruction Set Architecture", "AMD CDNA 3 Architecture" and "AMD
// CDNA 4 Architecture" (white papers).
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinTypes.h"

#include <array>

namespace primus::kernel {

/// What differs between chips of one architecture.
struct GpuChip {
  int64_t computeUnits;
  /// Cycles and bytes of memory per second.
  double clock, memoryBandwidth;
};

struct GpuArchitecture {
  llvm::StringLiteral name;
  /// Of a compute unit, all of which one workgroup may have.
  int64_t ldsBytes;
  /// Operations (two per multiply-add) of the matrix units of a compute unit per cycle, on f16 and bf16, and on f32.
  int64_t narrowOperations, wideOperations;
  /// For which an exponential, a logarithm, a root or a reciprocal of the 64 lanes of a wave occupies a vector unit; other
  /// instructions take 4.
  int64_t transcendentalCycles;
  /// Of each line that the fastest instruction on elements of one byte takes, or two of them.
  int64_t byteMultiplyBytes;
  /// 8-bit floats are those without infinity and negative zero, not OCP's.
  bool isFnuz;
  /// Matrix instructions on 8-bit floats multiply each 32 values of k by powers of two.
  bool hasFactors;
  /// Where nothing else is said: MI300X and MI355X (their data sheets).
  GpuChip chip;

  /// Of a compute unit.
  static constexpr int64_t simds = 4;
  /// Registers of 32 bits that each lane of a wave may have, accumulators included; a SIMD has as many for all its waves,
  /// given out in units of `registerUnit`.
  static constexpr int64_t registers = 512, registerUnit = 8;
  static constexpr int64_t wavesPerSimd = 8;
  /// That LDS moves per cycle, for all SIMDs together.
  static constexpr int64_t ldsBytesPerCycle = 128;
  /// That a compute unit gets from the caches per cycle.
  static constexpr int64_t cacheBytesPerCycle = 64;

  int64_t getOperations(mlir::Type element) const {
    unsigned bits = element.getIntOrFloatBitWidth();
    return bits <= 8 ? 2 * narrowOperations : bits <= 16 ? narrowOperations : wideOperations;
  }
  /// Whether matrix instructions take these elements of the left and the right operand.
  bool multiplies(mlir::Type left, mlir::Type right) const;
  /// Of each line of an operand that one multiplication takes.
  int64_t getMultiplyBytes(mlir::Type element) const {
    return element.getIntOrFloatBitWidth() <= 8 ? byteMultiplyBytes : 32;
  }

  /// By LLVM's name; null for a chip that is not known.
  static const GpuArchitecture *find(llvm::StringRef name);
  static llvm::ArrayRef<GpuArchitecture> getAll();
};

/// Bytes along the contraction of each line (rows of the left operand, columns of the right one) that a product stages in
/// LDS at once, if it has `lines` of each operand, a line has `lineBytes` in all, and a workgroup of so many lanes loads
/// them. One multiplication takes `multiplyBytes` of each line. 0 where two stages do not fit in LDS or a lane would have nothing to load.
int64_t getStageBytes(const GpuArchitecture &gpu, std::array<int64_t, 2> lines, int64_t threads, int64_t lineBytes,
                      int64_t multiplyBytes);

} // namespace primus::kernel
