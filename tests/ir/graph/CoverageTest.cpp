//===- CoverageTest.cpp - No op without a test ----------------------------===//
//
// A new op fails these tests until it has a row among the cases, or a definition in the interpreter.
//
//===----------------------------------------------------------------------===//

#include "ir/interpreter/Primitives.h"
#include "tests/ir/graph/GradientCheck.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class Coverage : public GradientCheck {
protected:
  Coverage() {
    for (const auto &cases : {getPrimitiveGradientCases(), getCompositeGradientCases()})
      for (const GradientCase &gradientCase : cases)
        if (OwningOpRef<ModuleOp> module = build(gradientCase))
          module->walk([&](Operation *op) { built.insert(op->getName().getStringRef()); });
  }

  ArrayRef<RegisteredOperationName> getGraphOps() { return context.getRegisteredOperationsByDialect("graph"); }

  /// Ops that the cases and their derivatives consist of.
  llvm::StringSet<> built;
};

TEST_F(Coverage, EveryDerivativeIsTested) {
  for (RegisteredOperationName op : getGraphOps())
    if (op.hasInterface<graph::Differentiable>()) {
      EXPECT_TRUE(built.contains(op.getStringRef())) << op.getStringRef().str() << " has no gradient case";
    }
}

TEST_F(Coverage, EveryDefinitionIsTested) {
  // Those without a derivative, in DecompositionTest.cpp.
  built.insert("graph.adamw");
  built.insert("graph.cross_entropy_part");
  built.insert("graph.pack");
  for (const char *op : {"graph.amax", "graph.quantize", "graph.dequantize", "graph.scaled_matmul"})
    built.insert(op);
  for (RegisteredOperationName op : getGraphOps())
    if (op.hasInterface<graph::Decomposable>()) {
      EXPECT_TRUE(built.contains(op.getStringRef())) << op.getStringRef().str() << " occurs in no case";
    }
}

TEST_F(Coverage, EveryOpCanBeInterpreted) {
  const llvm::StringSet<> structure = {"graph.variable", "graph.load",   "graph.store", "graph.call",
                                       "graph.schedule", "graph.fusion", "graph.yield", "graph.microbatch",
                                       // Of stages, by StagedInterpreter.
                                       "graph.send", "graph.receive", "graph.sum_stages"};
  for (RegisteredOperationName op : getGraphOps())
    EXPECT_TRUE(op.hasInterface<graph::Decomposable>() || op.hasInterface<graph::CollectiveOpInterface>() ||
                interpreter::findPrimitive(op.getStringRef()) || structure.contains(op.getStringRef()))
        << op.getStringRef().str();
}

} // namespace
