//===- CpuTarget.h - The processor that kernels are compiled for -*- C++ -*-===//

#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace primus::codegen {

/// An x86-64 processor, described by the LLVM names of those features that generated code may use: the AVX2 family, which is
/// required, the AVX-512 family (F, BW, CD, DQ, VL: all or none) and AVX512-BF16.
struct CpuTarget {
  /// Sorted, without signs, e.g. {"avx2", "bmi2", "f16c", "fma"}.
  std::vector<std::string> features;

  /// What this machine has and is fast at; an error when it lacks a required feature.
  static llvm::Expected<CpuTarget> host();
  /// From a list as of `--cpu-features`: names separated by commas, an optional sign before each (a leading `+` means the same as
  /// none, `-` removes), `native` for this machine's. Implied features are added. Errors name the first bad entry.
  static llvm::Expected<CpuTarget> parse(llvm::StringRef list);

  bool has(llvm::StringRef feature) const;
  /// f32 elements per vector register.
  int64_t lanes() const { return has("avx512f") ? 16 : 8; }
  /// Vector registers.
  int64_t registers() const { return has("avx512f") ? 32 : 16; }
  /// "+avx2,+fma,...", as LLVM's TargetMachine wants it.
  std::string featureString() const;
};

} // namespace primus::codegen
