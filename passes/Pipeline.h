//===- Pipeline.h - The table of phases --------------------------*- C++ -*-===//
//
// One table drives --emit, --dump, --stop-after, --start-from, the documentation and the tests.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

#include <functional>
#include <vector>

namespace primus {

/// A pass of some phase.
struct PhasePass {
  /// Its name on the command line.
  std::string argument;
  llvm::StringRef phase;
  /// Why the phase can't do without it; empty if it can.
  llvm::StringRef needed;
};

/// Where a phase puts its passes, in order. What a user disabled is left out.
class PassList {
public:
  /// Adds to `passes`, without those whose arguments are in `disabled`. `log`, if given, gets all, also the disabled ones; their phase stays empty.
  PassList(mlir::OpPassManager &passes, llvm::ArrayRef<std::string> disabled = {}, std::vector<PhasePass> *log = nullptr)
      : passes(passes), disabled(disabled), log(log) {}

  /// Adds a pass on modules. `needed` says why the phase can't do without it, for people; empty: a result without it is right, too.
  void add(std::unique_ptr<mlir::Pass> pass, llvm::StringLiteral needed = "");
  /// Adds a pass on each op of a kind.
  template <typename OpT> void addNested(std::unique_ptr<mlir::Pass> pass, llvm::StringLiteral needed = "") {
    if (accept(*pass, needed))
      passes.addNestedPass<OpT>(std::move(pass));
  }

private:
  bool accept(const mlir::Pass &pass, llvm::StringLiteral needed);

  mlir::OpPassManager &passes;
  llvm::ArrayRef<std::string> disabled;
  std::vector<PhasePass> *log;
};

struct Phase {
  /// Name on the command line and in dumps.
  llvm::StringLiteral name;
  llvm::StringLiteral summary;
  /// Extension of the dump: json, textproto, mlir; empty where the phase has no text.
  llvm::StringLiteral extension;
  /// Adds the passes that lead from the phase before to this one; null where the frontend or a code generator builds it.
  void (*build)(PassList passes);
  /// Checks what the phase promises, with located errors; null where there is no IR.
  mlir::LogicalResult (*verify)(mlir::ModuleOp module);
};

/// All phases, in order: config, spec, model, train, fp8, sharded, placed, fused, step, objects.
llvm::ArrayRef<Phase> getPhases();

/// Index of a phase, or std::nullopt.
std::optional<unsigned> findPhase(llvm::StringRef name);

/// The passes of all phases, in order.
std::vector<PhasePass> getPhasePasses();

/// How the passes of phases are run.
struct PhaseOptions {
  /// Arguments of passes to leave out. None may be a needed one.
  llvm::ArrayRef<std::string> disabledPasses;
  /// Called with each phase's passes before they run, to add instrumentation.
  std::function<void(const Phase &, mlir::PassManager &)> prepare;
};

/// Runs the passes and the verifier of each IR phase after `from` up to and including `to` (indices into getPhases()).
/// `observe` is called after each phase, also for `from` itself if it is an IR phase.
mlir::LogicalResult runPhases(mlir::ModuleOp module, unsigned from, unsigned to,
                              llvm::function_ref<void(const Phase &, mlir::ModuleOp)> observe = {},
                              const PhaseOptions &options = {});

} // namespace primus
