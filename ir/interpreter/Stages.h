//===- Stages.h - Executes the programs of a pipeline's ranks ----*- C++ -*-===//

#pragma once

#include "ir/interpreter/Interpreter.h"

#include <deque>
#include <map>

namespace primus::interpreter {

/// Runs a module with a program per rank of the mesh axis `pp` (after graph-split-stages), with the interface of
/// Interpreter: programs are named without the rank. Ranks take turns: each goes on until it waits for a message.
class StagedInterpreter {
public:
  explicit StagedInterpreter(mlir::ModuleOp module, Mode mode = Mode::Exact);

  mlir::LogicalResult initializeVariables(uint64_t seed);
  /// A variable's value on the ranks whose programs use it; null, after an error, if they differ, and if none does. Of a
  /// gradient to which several contribute, the sum.
  TensorRef getVariable(llvm::StringRef name) const;
  /// Runs a program on all ranks, each of which gives these results. Fails, with an error at the op that waits, where the
  /// programs do not fit together.
  mlir::FailureOr<llvm::SmallVector<Tensor>> run(llvm::StringRef program, llvm::ArrayRef<Tensor> inputs);

private:
  class Execution;

  mlir::ModuleOp module;
  std::vector<std::unique_ptr<Interpreter>> ranks;
};

} // namespace primus::interpreter
