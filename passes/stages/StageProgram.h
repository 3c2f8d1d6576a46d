//===- StageProgram.h - The program of one rank of a pipeline ----*- C++ -*-===//

#pragma once

#include "passes/stages/SplitBackward.h"
#include "passes/stages/StageMap.h"

#include "mlir/IR/IRMapping.h"

namespace primus::stages {

/// What the programs of all ranks share.
struct SharedFunctions {
  explicit SharedFunctions(mlir::ModuleOp module) : symbols(module) {}

  /// The halves of a backward function, made when first asked for.
  const BackwardHalves &getHalves(mlir::func::FuncOp backward);
  /// A function of the step that adds two tensors of that type, over the first.
  mlir::func::FuncOp getAdd(mlir::Location loc, mlir::RankedTensorType type);

  mlir::SymbolTable symbols;

private:
  llvm::DenseMap<mlir::Operation *, BackwardHalves> halves;
  llvm::DenseMap<mlir::Type, mlir::func::FuncOp> adds;
};

/// Adds an empty program `<whole>.<rank>` with the signature of `whole`, behind it, and maps the arguments.
mlir::func::FuncOp addRankProgram(mlir::func::FuncOp whole, int32_t rank, mlir::SymbolTable &symbols, mlir::IRMapping &mapping);

mlir::Value makeZero(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type);

/// Variables of a program that several ranks use.
struct SharedVariable {
  /// The rank that updates it, or, for a gradient, that reduces it.
  int32_t owner;
  llvm::SmallVector<int32_t> others;
  mlir::RankedTensorType type;
};

/// Variables by name, in the order of the module.
struct SharedVariables {
  llvm::MapVector<mlir::StringAttr, SharedVariable> gradients, parameters;

  static SharedVariables find(const StageMap &map, mlir::func::FuncOp program);
};

/// Builds the program of one rank from the one of the whole pipeline, which stays as it is:
/// - loads, gathering of parameters, zeros for gradients: what the rank's stages use
/// - the cells of the rank's row of the table, each with its calls for one microbatch
/// - sums over the stages of the loss and of the squares of gradients; gradients of parameters that several stages use
///   (tied embeddings) go to the rank that updates them, which sends the new values back
class StageProgram {
public:
  StageProgram(const StageMap &map, mlir::func::FuncOp whole, int32_t rank, SharedFunctions &shared,
               const SharedVariables &variables)
      : map(map), whole(whole), rank(rank), shared(shared), variables(variables), builder(whole.getContext()) {}

  /// Adds the program `<whole>.<rank>` behind the whole one.
  mlir::func::FuncOp build();

private:
  using Value = mlir::Value;

  /// A value outside of the schedule: an input, or a copy of what computes it.
  Value getOuter(Value value);
  /// A value of one microbatch.
  Value getInner(Value value, int32_t microbatch);
  Value cloneOnDemand(Value value, llvm::function_ref<Value(Value)> get, mlir::IRMapping &mapping);

  void startGradients();
  /// Gathers and converts the parameters of the rank's stages, while it waits for its first input.
  void prepareParameters();
  void addCell(const schedules::Action &action);
  void addCompute(const schedules::Action &action);
  void addCall(graph::CallOp call, const schedules::Action &action);
  /// The half of a backward call that a cell asks for.
  void addHalf(graph::CallOp call, mlir::func::FuncOp backward, const schedules::Action &action);
  void addLosses(int32_t microbatch);

  void exchangeGradients();
  void addUpdate();
  void exchangeParameters();
  Value load(mlir::StringAttr variable, mlir::RankedTensorType type);
  Value add(mlir::Location loc, Value a, Value b);

  const StageMap &map;
  mlir::func::FuncOp whole;
  int32_t rank;
  SharedFunctions &shared;
  const SharedVariables &variables;
  mlir::OpBuilder builder;
  mlir::IRMapping outer;
  std::vector<mlir::IRMapping> inner; ///< per microbatch
  /// Results of the halves of backward functions that only their other half uses: per call and microbatch.
  llvm::DenseMap<std::pair<mlir::Operation *, int32_t>, llvm::SmallVector<Value>> handed;
  /// Sums of what the schedule yields; null on ranks that do not compute it.
  llvm::SmallVector<Value> sums;
  /// What of each microbatch is in the sums.
  llvm::DenseSet<std::pair<Value, int32_t>> counted;
};

} // namespace primus::stages
