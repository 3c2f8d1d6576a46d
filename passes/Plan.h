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
  /// Divide the loss of each group of a microbatch, which are its data ranks' sequences, by its own count of valid tokens
  /// and take the mean of these means (upstream's default) instead of dividing the sum by the global count.
  bool perMicrobatchMean = false;
  /// Limit of the global gradient norm; 0 = none.
  double clip = 0;
  /// What ranks of the axes `fsdp` and `cp` share instead of each holding it whole (ZeRO): 0 nothing, 1 the optimizer's
  /// state, 2 gradients too, 3 parameters too. Entries of the attribute from here to `ring` exist only where set.
  int64_t zero = 0;
  /// Tensor parallel ranks split the positions of the residual stream between blocks.
  bool sequenceParallel = false;
  /// Context parallel ranks pass keys and values around a ring instead of gathering them.
  bool ring = false;
  /// AdamW (see graph.adamw).
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weightDecay = 0;
  /// The optimizer keeps its moments in bf16 instead of f32. Entries exist only where set.
  bool bf16FirstMoment = false, bf16SecondMoment = false;

  mlir::Type getFirstMomentType(mlir::Builder &builder) const;
  mlir::Type getSecondMomentType(mlir::Builder &builder) const;

  static mlir::FailureOr<Plan> get(mlir::ModuleOp module);
  void set(mlir::ModuleOp module) const;
};

} // namespace primus
