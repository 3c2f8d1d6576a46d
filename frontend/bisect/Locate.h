//===- Locate.h - The first op that two modules compute differently -*- C++ -*-===//
//
// Two forms of one model, before and after a pass, ran on the same inputs, and something differs. Calls of layers' functions correspond by
// function, instance and occurrence. Within a function values correspond by what they are: on inputs without structure two values
// that agree to many digits are the same quantity, whatever became of the ops around them. The culprit is sought among the values without
// a counterpart that a differing result depends on: the first that, given the value of the same name from before, makes the
// function's results what they were.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/bisect/Finding.h"
#include "frontend/bisect/Trace.h"

namespace primus::bisect {

/// A module and what its steps computed.
struct TracedModule {
  mlir::ModuleOp module;
  const Trace &trace;
};

/// Finds where `after` leaves `before`; the finding's pass is the caller's to fill in. If no call differs, it says so in its note.
/// Errors are diagnostics.
mlir::FailureOr<Finding> locate(const TracedModule &before, const TracedModule &after, interpreter::Mode mode, double tolerance);

/// The interpreter runs copies of functions in which composites are decomposed. This is the composite of the module's own function that
/// an op of such a copy is a part of; empty if the op is there itself.
std::string findComposite(mlir::ModuleOp module, llvm::StringRef function, mlir::Operation *op);

} // namespace primus::bisect
