//===- PageSections.h - A module, cut for the page ----------------*- C++ -*-===//

#pragma once

#include "frontend/dump/FoldLines.h"

#include "mlir/IR/BuiltinOps.h"

namespace primus::cli {

/// One function-like op of a module, or a run of other ops.
struct PageSection {
  /// module (the attributes), state (variables), function, program or kernel.
  std::string kind;
  std::string name;
  std::vector<FoldedLines> lines;
  /// Ops; and of a function FLOPs of one call, calls in a step and the instances that they are for.
  int64_t ops = 0, flops = 0, calls = 0;
  std::string first = {}, last = {};
};

/// A kernel of a module in phase `step`. FLOPs and bytes are those of a launch.
struct PageKernel {
  struct Argument {
    /// Empty where it has none.
    std::string name;
    std::string type, access;
  };
  std::string name, family, definedBy;
  std::vector<int64_t> grid;
  std::vector<Argument> arguments;
  int64_t flops = 0, bytes = 0;
  /// In a step.
  int64_t launches = 0;
};

/// All of a module's top-level ops, in order, without locations and without the embedded spec. A step is one run of @train_step or, where there
/// is none yet, of the first program.
std::vector<PageSection> getSections(mlir::ModuleOp module);

/// The module's kernels, in order.
std::vector<PageKernel> getKernels(mlir::ModuleOp module);

} // namespace primus::cli
