//===- LowerCollective.h - Collectives of values as those of buffers -*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/step/StepDialect.h"

#include "mlir/IR/Builders.h"

namespace primus::step {

/// The collective that computes the result of `op` in the buffer `target` from its operand in `source`, which are the same for an all_reduce in
/// place. `instance` names the layer, if it is known.
CollectiveOp lowerCollective(mlir::OpBuilder &builder, graph::CollectiveOpInterface op, mlir::Value source, mlir::Value target,
                             llvm::StringRef instance = "");

} // namespace primus::step
