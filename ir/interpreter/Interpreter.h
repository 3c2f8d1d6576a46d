//===- Interpreter.h - Executes modules of the graph dialect -----*- C++ -*-===//
//
// Slow, obvious, and the judge of passes and kernels: it runs a module of any graph phase by the definitions of its
// ops. Composites are not known to it; they are decomposed first.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/interpreter/Tensor.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <functional>
#include <memory>

namespace primus::interpreter {

enum class Mode {
  /// f64 throughout: a change of float type is the identity. Phases and layouts agree in it to about 1e-9.
  Exact,
  /// Each op's result is rounded to its element type. Sums are formed in f64 and rounded once.
  Faithful,
};

/// Runs functions of a module and keeps its variables between runs. The module must outlive the interpreter and not
/// change meanwhile. Errors are diagnostics at the op that they concern.
class Interpreter {
public:
  /// Values are shared between variables, frames and calls, and never change.
  using TensorRef = std::shared_ptr<const Tensor>;
  /// Told of each op after it ran, with what it read and computed; an op with a body or callee comes after the ops in there. Ops
  /// are those of the interpreter's own copies of functions, in which composites are decomposed; they live as long as it does. An
  /// observer may replace results, by values of the same type.
  using Observer = std::function<void(mlir::Operation *op, llvm::ArrayRef<TensorRef> operands,
                                      llvm::MutableArrayRef<TensorRef> results)>;

  explicit Interpreter(mlir::ModuleOp module, Mode mode = Mode::Exact);

  /// Gives a variable a value, of its shape and element type.
  mlir::LogicalResult setVariable(llvm::StringRef name, Tensor value);
  /// A variable's value, or null if it has none yet.
  const Tensor *getVariable(llvm::StringRef name) const;
  /// Gives every variable its first value, with the code that the runtime uses.
  mlir::LogicalResult initializeVariables(uint64_t seed);
  /// Sets who is told of ops from now on; none if empty.
  void setObserver(Observer newObserver) { observer = std::move(newObserver); }

  /// Runs a function of the module and returns its results.
  mlir::FailureOr<llvm::SmallVector<Tensor>> run(llvm::StringRef function, llvm::ArrayRef<Tensor> inputs);

private:
  /// The values of one function's SSA values; schedules see those of the function around them.
  using Frame = llvm::DenseMap<mlir::Value, TensorRef>;
  using Results = mlir::FailureOr<llvm::SmallVector<TensorRef>>;

  /// The primitive form of a function, made at its first call; null after an error.
  mlir::func::FuncOp getFunction(mlir::Operation *user, llvm::StringRef name);
  /// The declaration of a variable; null after an error.
  graph::VariableOp findVariable(mlir::Operation *user, llvm::StringRef name);

  Results call(mlir::Operation *user, llvm::StringRef name, llvm::ArrayRef<TensorRef> inputs);
  /// Runs a block's ops and returns the operands of its terminator.
  Results runBlock(mlir::Block &block, llvm::ArrayRef<TensorRef> arguments, Frame &frame);
  static void releaseOperands(mlir::Operation &op, Frame &frame);
  Results runOp(mlir::Operation *op, llvm::ArrayRef<TensorRef> operands, Frame &frame);
  Results runPrimitive(mlir::Operation *op, llvm::ArrayRef<TensorRef> operands);

  // Structure.cpp: one per op that is neither a primitive nor a composite.
  Results runLoad(graph::LoadOp load);
  Results runStore(graph::StoreOp store, llvm::ArrayRef<TensorRef> operands);
  Results runSchedule(graph::ScheduleOp schedule, llvm::ArrayRef<TensorRef> operands, Frame &frame);
  Results runFusion(graph::FusionOp fusion, llvm::ArrayRef<TensorRef> operands);

  /// Rounds to the element type where the mode asks for it.
  void round(Tensor &tensor) const;

  mlir::ModuleOp module;
  Mode mode;
  mlir::SymbolTable symbols;
  llvm::StringMap<mlir::OwningOpRef<mlir::func::FuncOp>> functions;
  llvm::StringMap<TensorRef> variables;
  Observer observer;
  /// Calls in progress, to stop recursion.
  unsigned depth = 0;
};

} // namespace primus::interpreter
