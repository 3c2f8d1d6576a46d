//===- TargetTraits.h - What kernel generators know of a target --*- C++ -*-===//

#pragma once

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace primus::kernel {

/// Facts from which a generator chooses tile sizes. Kept on the module as `primus.target` (a string) and
/// `primus.cpu_features` (an array of LLVM's names without signs), so that a dumped phase compiles alone.
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

  /// From LLVM feature names without signs, e.g. {"avx512f", "avx512bf16"}.
  static TargetTraits forCpu(llvm::ArrayRef<std::string> features);
  static TargetTraits get(mlir::ModuleOp module);
};

} // namespace primus::kernel
