//===- Snapshots.h - A phase, pass by pass ------------------------*- C++ -*-===//

#pragma once

#include "passes/Pipeline.h"

#include "mlir/IR/OwningOpRef.h"

#include <vector>

namespace primus::bisect {

/// The module after a pass that changed it.
struct Snapshot {
  /// The pass's argument; "PASS on @FUNCTION" for one that ran on a function alone.
  std::string pass;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

/// Runs a phase's passes on the module. With `snapshots`, keeps a copy after each pass that changed something.
mlir::LogicalResult runPasses(const Phase &phase, mlir::ModuleOp module, std::vector<Snapshot> *snapshots = nullptr);

} // namespace primus::bisect
