//===- ModelBuilder.h - From a TrainingSpec to the model phase ----*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "passes/Plan.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace primus::models {

/// What is built beside the program @forward, which computes the loss.
struct ModelPrograms {
  Goal goal = Goal::Training;
  /// @sample(tokens, position): the logits of one position.
  bool sample = true;
  /// @logits(tokens): those of all positions, f32 [batch * tokens, padded vocabulary].
  bool logits = false;
};

/// Builds phase `model`: variables, one function per distinct layer and the programs, for the tensors of one microbatch. A
/// spec that asks for what no building block can do yet is reported on the context's diagnostics.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
buildModel(const spec::TrainingSpec &spec, mlir::MLIRContext *context, const ModelPrograms &programs = {});

/// Model FLOPs of one training step of a module in phase `model`: the matrix products of all microbatches, forward and twice as much backward;
/// causal attention counts half, recomputation not at all. A double: 64 bits do not hold those of the largest models.
double countModelFlops(mlir::ModuleOp module);

/// Notes them on the module, as an integer where 64 bits hold them, and reads them in any phase.
void setModelFlops(mlir::ModuleOp module, double flops);
std::optional<double> getModelFlops(mlir::ModuleOp module);

/// Elements of all parameters of a module in phase `model`: a tied table counts once, rows that only pad the vocabulary do not.
int64_t countParameters(mlir::ModuleOp module, const spec::Model &model);

} // namespace primus::models
