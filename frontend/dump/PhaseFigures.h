//===- PhaseFigures.h - How large a phase's module is -------------*- C++ -*-===//

#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <nlohmann/json.hpp>

#include <map>

namespace primus::cli {

/// Figures of one phase's module, for the header of its dump and for the report.
struct PhaseFigures {
  std::string name;
  /// All ops of the module, and how many of each kind (by op name).
  int64_t ops = 0;
  std::map<std::string, int64_t> kinds;
  /// Layers' functions and programs; kernels (from `step` on).
  int64_t functions = 0, kernels = 0;
  /// Floating-point operations and bytes read and written by one run of the program: every call and microbatch counts. Before `fused` each op
  /// moves its operands and results through memory, from `fused` on each kernel does.
  int64_t flops = 0, bytes = 0;
  /// Bytes of memory on a rank: the planned arena in `step`; before, variables and live values in program order, nothing computed in place.
  int64_t peakBytes = 0;
  bool peakIsPlanned = false;
  /// Of this phase's passes and verifier.
  double seconds = 0;

  /// The figures of a module for its whole step, or, before `train`, its forward pass.
  static PhaseFigures of(mlir::ModuleOp module, llvm::StringRef phase);

  /// {name, ops, kinds, functions, kernels, flops, bytes, peak_bytes, peak_planned, seconds}.
  nlohmann::ordered_json toJson() const;
  /// Comment lines for the head of a dump, with the changes against the phase before (null: none is known).
  std::string describe(const PhaseFigures *before) const;
};

/// "1.50 MiB".
std::string formatBytes(int64_t bytes);

} // namespace primus::cli
