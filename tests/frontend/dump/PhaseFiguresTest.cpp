//===- PhaseFiguresTest.cpp - Figures of small modules, by hand ------------===//

#include "frontend/dump/PhaseFigures.h"
#include "passes/Passes.h"
#include "tests/ir/interpreter/Run.h"

using namespace mlir;
using namespace primus;
using namespace primus::cli;
using namespace primus::testing;

namespace {

using PhaseFiguresTest = IrTest;

TEST_F(PhaseFiguresTest, CountsEveryCallAndMicrobatch) {
  OwningOpRef<ModuleOp> module = parse(R"(module {
    graph.variable @w : tensor<16x16xf32> role parameter init #graph.init<"ones">
    func.func private @l.forward(%x: tensor<8x16xf32>, %w: tensor<16x16xf32>) -> tensor<8x16xf32> {
      %h = graph.matmul "mk,nk->mn" %x, %w : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
      %e = graph.exp %h : tensor<8x16xf32>
      %y = graph.add %e, %x : tensor<8x16xf32>
      return %y : tensor<8x16xf32>
    }
    func.func @train_step(%x: tensor<3x8x16xf32>) -> tensor<8x16xf32> {
      %w = graph.load @w : tensor<16x16xf32>
      %sum = graph.schedule microbatches 3 (%t = %x) : (tensor<3x8x16xf32>) -> tensor<8x16xf32> {
        %a = graph.call @l.forward(%t, %w) instance "layers.0" : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
        %b = graph.call @l.forward(%a, %w) instance "layers.1" : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
        graph.yield %b : tensor<8x16xf32>
      }
      return %sum : tensor<8x16xf32>
    }
  })");
  ASSERT_TRUE(module) << messages;
  PhaseFigures figures = PhaseFigures::of(*module, "train");
  EXPECT_EQ(figures.ops, 14);
  EXPECT_EQ(figures.kinds.at("graph.call"), 2);
  EXPECT_EQ(figures.functions, 2);
  const int64_t tile = 8 * 16 * 4, weight = 16 * 16 * 4;
  EXPECT_EQ(figures.flops, 6 * (2 * 8 * 16 * 16 + 8 * 16 + 8 * 16));
  EXPECT_EQ(figures.bytes, 6 * ((2 * tile + weight) + 2 * tile + 3 * tile));
  // The variable, the input of three microbatches and the output; then %a and, in the second call, %h and %e. What the body yields is the result.
  EXPECT_EQ(figures.peakBytes, weight + 3 * tile + tile + tile + 2 * tile);
  EXPECT_FALSE(figures.peakIsPlanned);

  PhaseFigures before = figures;
  before.ops = 20;
  before.kinds["graph.neg"] = 6;
  before.name = "model";
  std::string text = figures.describe(&before);
  EXPECT_NE(text.find("// Phase 3, train: "), std::string::npos) << text;
  EXPECT_NE(text.find("ops          14 (-6)"), std::string::npos) << text;
  EXPECT_NE(text.find("functions    2 (unchanged)"), std::string::npos) << text;
  EXPECT_NE(text.find("// Gone since phase model:\n//   graph.neg 6\n"), std::string::npos) << text;
  EXPECT_EQ(figures.describe(nullptr).find("unchanged"), std::string::npos);
}

TEST_F(PhaseFiguresTest, ReadsThePlan) {
  DialectRegistry registry;
  registerDialects(registry);
  context.appendDialectRegistry(registry);
  context.loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = parse(R"(module {
    kernel.func @k(%x: memref<8xf32>) grid [1] attributes {kernel.flops = 7 : i64, kernel.bytes = 40 : i64} {
      kernel.return
    }
    step.function @f(%x: memref<8xf32>) scratch 0 {
      step.launch @k(%x) : memref<8xf32>
      step.return
    }
    step.program @train_step(%x: memref<8xf32> {step.name = "x", step.offset = 0 : i64}) arena 64 {
      step.loop 5 {
        step.call @f(%x) instance "f" : memref<8xf32>
        step.return
      }
      step.fill %x : memref<8xf32>
      step.return
    }
  })");
  ASSERT_TRUE(module) << messages;
  PhaseFigures figures = PhaseFigures::of(*module, "step");
  EXPECT_EQ(figures.kernels, 1);
  EXPECT_EQ(figures.flops, 35);
  EXPECT_EQ(figures.bytes, 5 * 40 + 32);
  EXPECT_EQ(figures.peakBytes, 64);
  EXPECT_TRUE(figures.peakIsPlanned);
  EXPECT_EQ(figures.toJson()["peak_bytes"], 64);
}

} // namespace
