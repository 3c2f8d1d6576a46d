//===- Pipeline.h - The table of phases --------------------------*- C++ -*-===//
//
// One table drives --emit, --dump, --stop-after, --start-from, the documentation and the tests.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace primus {

struct Phase {
  /// Name on the command line and in dumps.
  llvm::StringLiteral name;
  llvm::StringLiteral summary;
  /// Extension of the dump: json, textproto, mlir; empty where the phase has no text.
  llvm::StringLiteral extension;
  /// Adds the passes that lead from the phase before to this one; null where the frontend or a code generator builds it.
  void (*build)(mlir::OpPassManager &passes);
  /// Checks what the phase promises, with located errors; null where there is no IR.
  mlir::LogicalResult (*verify)(mlir::ModuleOp module);
};

/// All phases, in order: config, spec, model, train, fp8, sharded, placed, fused, step, objects.
llvm::ArrayRef<Phase> getPhases();

/// Index of a phase, or std::nullopt.
std::optional<unsigned> findPhase(llvm::StringRef name);

/// Runs the passes and the verifier of each IR phase after `from` up to and including `to` (indices into getPhases()).
/// `observe` is called after each phase, also for `from` itself if it is an IR phase.
mlir::LogicalResult runPhases(mlir::ModuleOp module, unsigned from, unsigned to,
                              llvm::function_ref<void(const Phase &, mlir::ModuleOp)> observe = {});

} // namespace primus
