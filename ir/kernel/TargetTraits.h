//===- TargetTraits.h - What kernel generators know of a target --*- C++ -*-===//

#pragma once

#include "ir/kernel/GpuArchitecture.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace primus::kernel {

/// The tile of a product in place of the one that the cost model would choose.
struct TileOverride {
  /// Sizes of the products that it is for; 0: any. Bits of an element; 0: any.
  int64_t m, n, k, bits;
  std::array<int64_t, 2> tile, waves;
};

/// Facts from which a generator chooses tile sizes. Kept on the module as `primus.target` (a string),
/// `primus.cpu_features` (an array of LLVM's names without signs) and, for a GPU, `primus.hardware` (a dictionary, whose
/// entries all may lack: compute_units (i64), clock and memory_bandwidth (f64, per second), and matmul_tiles, an array
/// of arrays of i64: m, n, k, bits, rows, columns, waves along rows, along columns), so that a dumped phase compiles
/// alone.
struct TargetTraits {
  /// cpu, gfx942, gfx950.
  std::string name = "cpu";
  /// Lanes of f32 in a vector register (CPU): 16 with AVX-512, 8 with AVX2. The wavefront's width on a GPU.
  int64_t lanes = 16;
  /// Rows and columns of the accumulators of a product in one instance: the CPU's micro-kernel, or an MFMA instruction.
  int64_t dotRows = 8, dotColumns = 32;
  /// The right operand of a product is packed into panels first; else a kernel reads it where it lies.
  bool packs = true;
  /// The CPU has AVX512-BF16's dot product of pairs, or the GPU bf16 MFMA.
  bool bf16Dot = true;
  /// Of a GPU; null for a CPU.
  const GpuArchitecture *gpu = nullptr;
  GpuChip chip = {};
  llvm::SmallVector<TileOverride> tiles;

  bool isGpu() const { return name != "cpu"; }

  /// From LLVM feature names without signs, e.g. {"avx512f", "avx512bf16"}.
  static TargetTraits forCpu(llvm::ArrayRef<std::string> features);
  static TargetTraits get(mlir::ModuleOp module);
};

} // namespace primus::kernel
