//===- StepFunctions.h - Reduction and update of parameters ------*- C++ -*-===//
//
// The parts of layers, and the functions of the whole step, that follow the backward pass. They see gradients in f32.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "passes/Plan.h"

#include "mlir/IR/Builders.h"

namespace primus {

/// A parameter as the functions of this file see it.
struct TrainedParameter {
  /// Name within the layer.
  std::string name;
  mlir::RankedTensorType type;
  /// Takes weight decay.
  bool decay = false;

  bool operator==(const TrainedParameter &) const = default;
};

/// @normalise(loss_sum, valid_tokens) -> (loss, inverse of valid_tokens). No valid token at all gives a loss of zero.
mlir::func::FuncOp buildNormalise(mlir::OpBuilder &builder, mlir::Location loc);

/// @clip(sum of squares) -> (grad_norm, scale), scale = min(1, clip / (grad_norm + 1e-6)), or 1 without a limit.
mlir::func::FuncOp buildClip(mlir::OpBuilder &builder, mlir::Location loc, double clip);

/// @<name>(gradients..., accumulators...) -> (accumulators plus gradients...). `names` and `types` are those of the
/// gradients.
mlir::func::FuncOp buildAccumulate(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef layer,
                                   llvm::StringRef name, llvm::ArrayRef<std::string> names,
                                   llvm::ArrayRef<mlir::Type> types);

/// @<name>(gradients..., scale, sum of squares) -> (gradients times scale..., the sum plus their squares).
mlir::func::FuncOp buildReduce(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef layer,
                               llvm::StringRef name, llvm::ArrayRef<TrainedParameter> parameters);

/// @<name>(parameters..., first moments..., second moments..., gradients..., scale, learning_rate, bias_correction1,
/// bias_correction2) -> (parameters..., first moments..., second moments...), by AdamW.
mlir::func::FuncOp buildUpdate(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef layer,
                               llvm::StringRef name, llvm::ArrayRef<TrainedParameter> parameters, const Plan &plan);

} // namespace primus
