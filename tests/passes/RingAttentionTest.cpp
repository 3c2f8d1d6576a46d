//===- RingAttentionTest.cpp - A ring computes what gathering does --------===//

#include "passes/Passes.h"
#include "tests/ir/interpreter/Run.h"

#include "mlir/Pass/PassManager.h"

#include <fmt/format.h>

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

struct Case {
  int64_t ranks;
  std::string attributes;
};

class RingAttentionTest : public IrTest, public ::testing::WithParamInterface<Case> {
protected:
  /// Attention and its gradient over 16 tokens, in the order of context parallelism, and 4 heads in 2 groups, which two
  /// more ranks share.
  std::string getSource() const {
    int64_t local = 16 / GetParam().ranks;
    return fmt::format(R"(
#plan = {{microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 16 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, ring = true, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}}
#split = #graph.layout<mesh, [[], ["cp"], ["tp"], []]>
#whole = #graph.layout<mesh, [[], [], ["tp"], []]>
#sums = #graph.layout<mesh, [[], [], ["tp"], []], partial = {{cp : sum}}>
#rows = #graph.layout<mesh, [[], ["tp"], ["cp"]]>
#own = #graph.layout<mesh, [["cp"]]>
#all = #graph.layout<mesh, [[]]>
!q = tensor<2x{0}x2x4xf32, #split>
!k = tensor<2x{0}x1x4xf32, #split>
!ks = tensor<2x16x1x4xf32, #whole>
!dks = tensor<2x16x1x4xf32, #sums>
!lse = tensor<2x2x{0}xf32, #rows>
!i = tensor<{0}xi32, #own>
!j = tensor<16xi32, #all>
module attributes {{graph.placed, graph.plan = #plan, graph.mesh = #graph.mesh<"cp" = {1}, "tp" = 2>}} {{
  graph.variable @positions : !i role constant init #graph.init<"positions", {{ranks = {1}.0 : f64}}>
  func.func @f(%q: !q, %k: !k, %v: !k, %do: !q) -> (!q, !lse, !q, !k, !k) {{
    %i = graph.load @positions : !i
    %j = graph.all_gather %i over ["cp"] dim 0 : !i -> !j
    %ks = graph.all_gather %k over ["cp"] dim 1 : !k -> !ks
    %vs = graph.all_gather %v over ["cp"] dim 1 : !k -> !ks
    %o, %lse = graph.attention %q, %ks, %vs positions %i, %j scale 0.5 {2} : !q, !ks, !i, !j -> !lse
    %dq, %dks, %dvs = graph.attention_grad %do, %q, %ks, %vs, %o, %lse positions %i, %j scale 0.5 {2} : !q, !ks, !lse, !i, !j -> !q, !dks
    %dk = graph.reduce_scatter sum %dks over ["cp"] dim 1 : !dks -> !k
    %dv = graph.reduce_scatter sum %dvs over ["cp"] dim 1 : !dks -> !k
    return %o, %lse, %dq, %dk, %dv : !q, !lse, !q, !k, !k
  }}
}})",
                       local, GetParam().ranks, GetParam().attributes);
  }

  SmallVector<interpreter::Tensor> runModule(ModuleOp module) {
    SmallVector<interpreter::Tensor> inputs = {random({2, 16, 4, 4}, 0), random({2, 16, 2, 4}, 1),
                                               random({2, 16, 2, 4}, 2), random({2, 16, 4, 4}, 3)};
    interpreter::Interpreter interpreter(module);
    EXPECT_TRUE(succeeded(interpreter.initializeVariables(0)));
    auto results = interpreter.run("f", inputs);
    EXPECT_TRUE(succeeded(results)) << messages;
    return succeeded(results) ? *results : SmallVector<interpreter::Tensor>();
  }
};

TEST_P(RingAttentionTest, EqualsGathering) {
  auto module = parse(getSource());
  ASSERT_TRUE(module);
  auto expected = runModule(*module);
  PassManager passes(&context);
  passes.addPass(createRingAttention());
  ASSERT_TRUE(succeeded(passes.run(*module))) << messages;
  int64_t gathers = 0, permutes = 0;
  module->walk([&](graph::AllGatherOp) { ++gathers; });
  module->walk([&](graph::PermuteOp) { ++permutes; });
  // Forward, keys, values and positions move once less than there are ranks; backward, too, and the two gradients make
  // the full round.
  EXPECT_EQ(gathers, 0);
  EXPECT_EQ(permutes, 6 * (GetParam().ranks - 1) + 2 * GetParam().ranks);
  auto actual = runModule(*module);
  ASSERT_EQ(actual.size(), expected.size());
  for (auto [i, value] : llvm::enumerate(actual))
    EXPECT_LT(relativeError(value.values, expected[i].values), 1e-12) << "result " << i;
}

INSTANTIATE_TEST_SUITE_P(Cases, RingAttentionTest,
                         ::testing::Values(Case{2, "{causal}"}, Case{4, "{causal}"}, Case{4, "{causal, window = 5 : i64}"},
                                           Case{2, ""}, Case{4, "{causal, softcap = 2.0 : f64}"}));

} // namespace
