//===- Interpreter.h - Executes modules of the graph dialect -----*- C++ -*-===//
//
// Slow, obvious, and the judge of passes and kernels: it runs a module of any graph phase by the definitions of its
// ops. Composites are not known to it; they are decomposed first. A module that is placed on a mesh (phase `placed` and
// later) runs on all ranks of the mesh, one op on all of them before the next.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/interpreter/Ranks.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <functional>

namespace primus::interpreter {

enum class Mode {
  /// f64 throughout: a change of float type is the identity. Phases and layouts agree in it to about 1e-9.
  Exact,
  /// Each op's result is rounded to its element type. Sums are formed in f64 and rounded once.
  Faithful,
};

/// Runs functions of a module and keeps its variables between runs. The module must outlive the interpreter and not
/// change meanwhile. Errors are diagnostics at the op that they concern. Inputs, results and variables are whole tensors
/// on the outside, whatever their layouts.
class Interpreter {
public:
  using TensorRef = interpreter::TensorRef;
  /// Told of each op after it ran, with what it read and computed; an op with a body or callee comes after the ops in there. Ops
  /// are those of the interpreter's own copies of functions, in which composites are decomposed; they live as long as it does. An
  /// observer may replace results, by values of the same type. Of several ranks it is told one after the other.
  using Observer = std::function<void(mlir::Operation *op, llvm::ArrayRef<TensorRef> operands,
                                      llvm::MutableArrayRef<TensorRef> results)>;

  explicit Interpreter(mlir::ModuleOp module, Mode mode = Mode::Exact);
  /// On the ranks of `mesh`, whatever the module's attribute says.
  Interpreter(mlir::ModuleOp module, Mode mode, graph::MeshAttr mesh) : module(module), mode(mode), ranks(mesh), symbols(module) {}

  /// Gives a variable a value, of its (whole) shape and element type.
  mlir::LogicalResult setVariable(llvm::StringRef name, Tensor value);
  /// A variable's value; null if it has none yet, or after an error if ranks that should have the same part differ.
  TensorRef getVariable(llvm::StringRef name) const;
  /// What one rank has of a variable; null if it has no value yet.
  TensorRef getVariable(llvm::StringRef name, int64_t rank) const;
  /// Gives every variable its first value, with the code that the runtime uses.
  mlir::LogicalResult initializeVariables(uint64_t seed);
  /// Sets who is told of ops from now on; none if empty.
  void setObserver(Observer newObserver) { observer = std::move(newObserver); }

  /// The type of the whole tensor of which a rank has a part of this type.
  mlir::RankedTensorType getWholeType(mlir::RankedTensorType type) const { return ranks.getWholeType(type); }

  /// Runs a function of the module and returns its results.
  mlir::FailureOr<llvm::SmallVector<Tensor>> run(llvm::StringRef function, llvm::ArrayRef<Tensor> inputs);

private:
  friend class StagedInterpreter;

  /// The values of one function's SSA values; schedules see those of the function around them.
  using Frame = llvm::DenseMap<mlir::Value, RankValues>;
  using Results = mlir::FailureOr<llvm::SmallVector<RankValues>>;

  /// The primitive form of a function, made at its first call; null after an error.
  mlir::func::FuncOp getFunction(mlir::Operation *user, llvm::StringRef name);
  /// The declaration of a variable; null after an error.
  graph::VariableOp findVariable(mlir::Operation *user, llvm::StringRef name);

  Results call(mlir::Operation *user, llvm::StringRef name, llvm::ArrayRef<RankValues> inputs);
  /// Runs a block's ops and returns the operands of its terminator.
  Results runBlock(mlir::Block &block, llvm::ArrayRef<RankValues> arguments, Frame &frame);
  /// Tells the observer of an op that ran.
  void observe(mlir::Operation *op, llvm::ArrayRef<RankValues> operands, llvm::MutableArrayRef<RankValues> results);
  static void releaseOperands(mlir::Operation &op, Frame &frame);
  Results runOp(mlir::Operation *op, llvm::ArrayRef<RankValues> operands, Frame &frame);
  Results runPrimitive(mlir::Operation *op, llvm::ArrayRef<RankValues> operands);
  Results runCollective(graph::CollectiveOpInterface op, const RankValues &operand);

  // Structure.cpp: one per op that is neither a primitive nor a composite.
  Results runLoad(graph::LoadOp load);
  Results runStore(graph::StoreOp store, llvm::ArrayRef<RankValues> operands);
  Results runMicrobatch(graph::MicrobatchOp microbatch, const RankValues &operand);
  Results runSchedule(graph::ScheduleOp schedule, llvm::ArrayRef<RankValues> operands, Frame &frame);
  Results runFusion(graph::FusionOp fusion, llvm::ArrayRef<RankValues> operands);

  /// What the ranks have of a tensor by the layout of `type`, their type.
  mlir::FailureOr<RankValues> distribute(mlir::Operation *user, const Tensor &whole, mlir::Type type) const;

  /// Rounds to the element type where the mode asks for it.
  void round(Tensor &tensor) const;

  mlir::ModuleOp module;
  Mode mode;
  Ranks ranks;
  mlir::SymbolTable symbols;
  llvm::StringMap<mlir::OwningOpRef<mlir::func::FuncOp>> functions;
  llvm::StringMap<RankValues> variables;
  Observer observer;
  /// Calls in progress, to stop recursion.
  unsigned depth = 0;
};

} // namespace primus::interpreter
