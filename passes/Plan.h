//===- Plan.h - What the passes know of the run ------------------*- C++ -*-===//
//
// The frontend writes it on the module as the attribute `graph.plan`, so that a dumped phase compiles alone.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinOps.h"

namespace primus {

enum class Recompute { None, Selective, Full };

/// What follows the forward pass.
enum class Goal {
  /// Gradients and the optimizer: the program @train_step.
  Training,
  /// Gradients, neither clipped nor applied: the program @gradients.
  Gradients,
  /// Nothing.
  Forward
};

struct Plan {
  /// The attribute has no entry for Training, which is the usual.
  Goal goal = Goal::Training;
  /// Microbatches per step on one rank.
  int64_t microbatches = 1;
  /// Sequences per microbatch and tokens per sequence.
  int64_t microBatchSize = 1;
  int64_t sequenceLength = 1;
  /// Full: a layer keeps its inputs only and its backward function computes the rest again.
  Recompute recompute = Recompute::None;
  /// How many layers, from the first, are recomputed; 0 = all.
  int64_t recomputeLayers = 0;
  /// Divide each microbatch's loss by its own count of valid tokens (upstream's default) instead of the sum by the global count.
  bool perMicrobatchMean = false;
  /// Limit of the global gradient norm; 0 = none.
  double clip = 0;
  /// AdamW (see graph.adamw).
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weightDecay = 0;

  static mlir::FailureOr<Plan> get(mlir::ModuleOp module);
  void set(mlir::ModuleOp module) const;
};

} // namespace primus
