//===- DelayedState.h - Scales that follow from earlier steps ----*- C++ -*-===//
//
// Each instance of a layer has three variables, with an element per tensor that its functions quantise: the scale of this
// step, the largest values that this step has met so far, and those of the last steps. Forward and backward functions take
// the first two and return the second, which begins with the largest values of the weights; behind the schedule the next
// scales are computed from the third. Each rank has largest values of its own until then: one reduction does for all layers
// and microbatches.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/fp8/Recipe.h"

#include "llvm/ADT/MapVector.h"

namespace primus::fp8 {

class DelayedState {
public:
  /// `backward` may be null.
  DelayedState(mlir::func::FuncOp forward, mlir::func::FuncOp backward, const Setting &setting)
      : setting(setting), forward{forward}, backward{backward} {}

  /// Announces an operand of a product of one of the two functions. All come before the first is quantised.
  void add(const Operand &operand);
  /// Quantises an operand by its scale, and measures it.
  Quantised quantize(mlir::OpBuilder &builder, mlir::func::FuncOp function, const Operand &operand);
  /// Completes functions and calls; declares the variables of each instance.
  void finish();
  /// The part that measures the layer's weights; null if none does.
  mlir::func::FuncOp getMeasure() const { return measure; }

private:
  /// One function of the pair: its arguments, and what it measures, by tensor.
  struct Part {
    mlir::func::FuncOp function;
    mlir::Value scale = {}, amax = {};
    llvm::MapVector<unsigned, mlir::Value> measured = {};
  };
  using Key = std::tuple<mlir::StringAttr, unsigned, mlir::Type>;

  Key getKey(const Operand &operand) const;
  /// The forward function's argument that an operand is, if it is a copy of a variable; a step measures those once.
  std::optional<unsigned> findWeight(const Operand &operand);
  mlir::RankedTensorType vectorType() const;
  void addArguments(Part &part);
  void addResult(Part &part);
  mlir::func::FuncOp buildMeasure(mlir::ArrayRef<graph::VariableOp> variables);
  mlir::func::FuncOp buildRescale();
  mlir::Value measureWeights(mlir::OpBuilder &builder, graph::CallOp forwardCall);
  void updateCall(graph::CallOp call, mlir::func::FuncOp rescale);
  std::string getVariable(llvm::StringRef instance, llvm::StringRef what) const;
  void declare(llvm::StringRef instance);

  Setting setting;
  Part forward, backward;
  /// The tensors, in order, and the greatest value of each one's format.
  llvm::MapVector<Key, unsigned> slots;
  llvm::SmallVector<float> largest;
  /// Of the weights among them: the forward function's arguments.
  llvm::MapVector<unsigned, unsigned> weights;
  mlir::func::FuncOp measure;
};

/// Says that each rank has a value of its own for an argument, of which the largest counts.
void setMaximum(mlir::func::FuncOp function, unsigned index);

/// Joins the largest values of all ranks: once for all layers of a program, or of a stage of its pipeline.
void reduceMaxima(mlir::ModuleOp module);

} // namespace primus::fp8
