//===- StepBlocks.h - Blocks of actions in tests -----------------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/kernel/KernelDialect.h"
#include "passes/step/ActionGraph.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include "gtest/gtest.h"

#include <optional>

namespace primus::testing {

/// Parses the actions of one function and knows their dependences.
class StepBlock {
public:
  /// `arguments` and `actions` are those of a step.function; ranks share the axes "fsdp" (2) and "tp" (4).
  StepBlock(const std::string &arguments, const std::string &actions) {
    context.loadDialect<mlir::arith::ArithDialect, mlir::memref::MemRefDialect, primus::graph::GraphDialect, primus::kernel::KernelDialect,
                        step::StepDialect>();
    std::string text = R"(module attributes {graph.mesh = #graph.mesh<"fsdp" = 2, "tp" = 4>} {
kernel.func @add(%x: memref<8xf32>, %y: memref<8xf32>) grid [1] attributes {kernel.flops = 100 : i64, kernel.bytes = 100 : i64} {
  %0 = arith.constant 0 : index
  %t = kernel.load %x[%0] dims [0] : memref<8xf32> -> tensor<8xf32>
  kernel.store %t, %y[%0] dims [0] : tensor<8xf32>, memref<8xf32>
  kernel.return
}
step.function @f()" + arguments + ") scratch 0 {\n" +
                       actions + "step.return\n}\n}\n";
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text;
    if (!module)
      return;
    analysis.emplace(*module);
    mlir::Block &block = module->lookupSymbol<step::FunctionOp>("f").getBody().front();
    auto operations = llvm::map_range(block.without_terminator(), [](mlir::Operation &op) { return &op; });
    dependences.emplace(llvm::to_vector(operations), *analysis);
  }

  const step::ActionGraph &getGraph() const { return *dependences; }

private:
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<step::AccessAnalysis> analysis;
  std::optional<step::ActionGraph> dependences;
};

} // namespace primus::testing
