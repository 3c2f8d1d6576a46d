//===- Accesses.h - What actions read and write ------------------*- C++ -*-===//

#pragma once

#include "ir/step/StepDialect.h"

#include "llvm/ADT/DenseMap.h"

namespace primus::step {

/// Bytes [begin, end) of a buffer (a step.buffer, or an argument) that an action reads or writes.
struct Access {
  mlir::Value root;
  int64_t begin, end;
  bool reads, writes;

  bool overlaps(const Access &other) const { return root == other.root && begin < other.end && other.begin < end; }
  /// The two accesses must keep their order.
  bool conflicts(const Access &other) const { return overlaps(other) && (writes || other.writes); }
};

/// Knows what the kernels and functions of a module do with their arguments; each is looked at once.
class AccessAnalysis {
public:
  explicit AccessAnalysis(mlir::ModuleOp module);

  /// What an action touches while it runs. A loop touches what its body does, buffers of its own apart; a wait touches what its
  /// exchange reads and writes. Arguments of a function for which some call passes one buffer count as one.
  llvm::SmallVector<Access> getAccesses(mlir::Operation *action);

private:
  struct ArgumentUse {
    bool reads = false, writes = false;
  };
  llvm::ArrayRef<ArgumentUse> getUses(llvm::StringRef callee);
  llvm::SmallVector<Access> collect(mlir::Operation *action);

  mlir::SymbolTable symbols;
  llvm::StringMap<llvm::SmallVector<ArgumentUse>> known;
  /// Arguments that share a buffer with an earlier one of their function: that one.
  llvm::DenseMap<mlir::Value, mlir::Value> aliases;
};

/// The exchange for which a wait is; null if its block has none before it.
ExchangeOpInterface findExchange(WaitOp wait);

} // namespace primus::step
