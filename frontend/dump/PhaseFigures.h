//===- PhaseFigures.h - How large a phase's module is -------------*- C++ -*-===//

#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSet.h"

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
  /// moves its operands and results through memory, from `fused` on each kernel does. Of a pipeline: of the rank with most.
  double flops = 0, bytes = 0;
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

/// The programs of a whole step: @train_step, or from `placed` on one per rank of a pipeline. None before `train`.
llvm::SmallVector<mlir::Operation *> getStepPrograms(mlir::ModuleOp module);

/// The variables that a program loads or stores.
llvm::StringSet<> getVariables(mlir::func::FuncOp program);

/// Most bytes that are live at a time while a program runs; without one, those of variables. Of a pipeline's rank: with its
/// own variables.
int64_t estimatePeak(mlir::ModuleOp module, mlir::func::FuncOp program);

/// A whole number, as an integer where 64 bits can hold it.
nlohmann::ordered_json describeCount(double value);

/// "1.50 MiB".
std::string formatBytes(double bytes);

} // namespace primus::cli
