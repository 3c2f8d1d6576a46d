//===- Decomposition.cpp - From composites to primitives ------------------===//

#include "ir/graph/Decomposition.h"
#include "ir/graph/GraphDialect.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus::graph;

/// Replaces one composite by its definition.
static LogicalResult decomposeOne(Decomposable composite) {
  Operation *op = composite;
  OpBuilder builder(op);
  SmallVector<Value> values = composite.decompose(builder);
  if (values.size() != op->getNumResults())
    return op->emitOpError() << "has " << op->getNumResults() << " results, but its decomposition gives "
                             << values.size();
  for (auto [index, value, result] : llvm::enumerate(values, op->getResults()))
    if (!value || value.getType() != result.getType())
      return op->emitOpError() << "result #" << index << " has type " << result.getType()
                               << ", but its decomposition gives " << (value ? value.getType() : Type());
  op->replaceAllUsesWith(values);
  op->erase();
  return success();
}

LogicalResult primus::graph::decomposeComposites(Operation *root) {
  // Definitions nest a few levels deep; more means that one contains itself.
  constexpr int maxDepth = 16;
  for (int depth = 0; depth < maxDepth; ++depth) {
    SmallVector<Decomposable> composites;
    root->walk([&](Decomposable composite) { composites.push_back(composite); });
    if (composites.empty())
      return success();
    for (Decomposable composite : composites)
      if (failed(decomposeOne(composite)))
        return failure();
  }
  return root->emitError() << "composites are left after " << maxDepth
                           << " levels of decomposition: the definition of one contains itself";
}
