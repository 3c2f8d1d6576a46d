//===- Trace.h - A module's training step, run and written down ---*- C++ -*-===//

#pragma once

#include "frontend/bisect/Difference.h"
#include "frontend/bisect/Inputs.h"

#include <map>

namespace primus::bisect {

/// What every run of a bisection starts from.
struct StepSetup {
  /// Of the variables and the tokens.
  uint64_t seed = 1234;
  /// Training steps, one after another.
  int64_t steps = 1;
  /// Tokens that occur.
  int64_t vocabulary = 0;
  /// Inputs that are not made up; the same in each step.
  GivenInputs given;
};

/// The tokens that a model knows, from its cross-entropy; 0 where phases have replaced it.
int64_t findVocabulary(mlir::ModuleOp module);

/// An input of a program.
struct ProgramInput {
  std::string name;
  mlir::RankedTensorType type;
};

/// The inputs of the program `train_step` for step `index` (from 0): those given, and others made up. Tokens and labels are uniform
/// below the vocabulary, every seventh label is ignored; the learning rate is 0.001 and Adam's corrections are those of the step. What is made
/// up depends on the seed and the step only. An input of another kind is an error at the module.
mlir::FailureOr<llvm::SmallVector<Tensor>> makeInputs(mlir::ModuleOp module, llvm::ArrayRef<ProgramInput> inputs,
                                                      const StepSetup &setup, int64_t index);

/// One graph.fusion that ran.
struct FusionRun {
  llvm::SmallVector<TensorRef> inputs, results;
};

/// One call of a layer's function that ran.
struct CallRun {
  std::string function, instance;
  /// How many calls of the same function for the same instance came before: counts microbatches and steps.
  int64_t occurrence = 0;
  llvm::SmallVector<TensorRef> inputs, results;
  /// In the function's order.
  std::vector<FusionRun> fusions;
};

/// A module's training steps.
struct Trace {
  /// Of each step.
  std::vector<double> losses, gradNorms;
  /// After the last step.
  std::map<std::string, TensorRef> variables;
  /// In execution order.
  std::vector<CallRun> calls;
};

/// Runs `train_step` in the interpreter. Errors are diagnostics.
mlir::FailureOr<Trace> traceSteps(mlir::ModuleOp module, interpreter::Mode mode, const StepSetup &setup);

/// Directions to move variables along.
using Directions = std::map<std::string, std::vector<double>>;

/// The loss of the first step by the program `forward` alone, as `train_step` should report it; with variables moved from their first
/// values by `distance` along `directions`. `calls` receives the calls of the first microbatch.
mlir::FailureOr<double> evaluateLoss(mlir::ModuleOp module, interpreter::Mode mode, const StepSetup &setup, const Directions &directions = {},
                                     double distance = 0, Trace *calls = nullptr);

} // namespace primus::bisect
