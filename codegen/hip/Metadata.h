//===- Metadata.h - What a code object says of its kernel --------*- C++ -*-===//

#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>

namespace primus::codegen::hip {

/// What a kernel takes of a compute unit (LLVM: AMDGPUUsage, "Code Object V5 Metadata").
struct KernelResources {
  /// Per lane, as allocated: those for arithmetic, and the accumulators beside them.
  int64_t vectorRegisters = 0, accumulatorRegisters = 0;
  int64_t scalarRegisters = 0;
  int64_t ldsBytes = 0;
  /// Per lane.
  int64_t scratchBytes = 0;
  /// Registers that did not fit, of all kinds.
  int64_t spills = 0;
  /// Lanes of a workgroup.
  int64_t workgroupSize = 0;
  /// Explicit arguments and whatever is hidden behind them.
  int64_t kernargBytes = 0;
};

/// Reads the metadata of a linked code object that holds one kernel.
llvm::Expected<KernelResources> readMetadata(llvm::StringRef codeObject);

/// Waves that fit on a SIMD at a time, as registers and LDS allow. A SIMD of gfx942 and gfx950 has room for 8 waves and 512 registers per
/// lane, handed out by eights; four of them share the compute unit's LDS.
int64_t getWavesPerSimd(const KernelResources &resources, llvm::StringRef chip);

} // namespace primus::codegen::hip
