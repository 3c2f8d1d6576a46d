//===- Bisect.h - The first phase, pass and op that go wrong ------*- C++ -*-===//
//
// Runs one model after each phase on the same inputs and compares what the training step computes. Where two phases differ, the search
// goes on in the passes between them (by halves) and then among the values of the first call that differs.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/bisect/Finding.h"
#include "frontend/bisect/Trace.h"
#include "passes/Pipeline.h"

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <optional>

namespace primus::bisect {

struct BisectOptions {
  StepSetup setup;
  /// Run the graph phases in f64 (see interpreter::Mode), and with the types' own rounding.
  bool exact = true, faithful = true;
  /// Largest relative difference (see Difference.h); 0: the default of each comparison (see getTolerance).
  double tolerance = 0;
  /// Phases to compare; empty: all. Those between them are built, but not run.
  std::vector<std::string> phases;
  /// The phases, which tests may replace.
  llvm::ArrayRef<Phase> table = getPhases();
  /// Folder of compiled kernels from earlier runs; empty for none.
  std::string kernelCache;
  /// Told of what is done next.
  std::function<void(const std::string &)> progress = [](const std::string &) {};
};

/// One phase against the phase before it, in one mode.
struct PhaseComparison {
  std::string phase, before;
  /// "exact", "faithful" or "compiled".
  std::string mode;
  /// Largest relative differences; negative where nothing was compared.
  double loss = -1, gradients = -1, parameters = -1, kernels = -1;
  double tolerance = 0;
  bool differs = false;
  /// What is furthest apart, where something is.
  std::string worst;
};

struct BisectResult {
  /// Loss of the first step in the first mode.
  double loss = 0;
  std::vector<PhaseComparison> comparisons;
  /// Set if the last comparison differs.
  std::optional<Finding> finding;
};

/// Tolerance of a comparison of graph phases: f64 rounding in exact mode; in faithful mode sums that are formed in another order may end
/// at the neighbouring number of the element type, which the layers after it amplify. `module`: the later of the two.
double getTolerance(interpreter::Mode mode, mlir::ModuleOp module);

/// Bisects from `module`, which is in phase `from` of the options' table (model to fused). The module stays as it is. Fails, with
/// diagnostics, where a phase cannot be built or run.
mlir::FailureOr<BisectResult> bisectPhases(mlir::ModuleOp module, unsigned from, BisectOptions options);

/// The result as a table and what was found, for people.
std::string describe(const BisectResult &result);
/// The same for programs.
nlohmann::ordered_json toJson(const BisectResult &result);

} // namespace primus::bisect
