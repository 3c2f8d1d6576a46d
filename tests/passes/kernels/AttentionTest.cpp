//===- AttentionTest.cpp - Flash attention against its definition ---------===//

#include "tests/passes/kernels/KernelHarness.h"

#include <fmt/format.h>

using namespace primus;
using namespace primus::test;

namespace {

struct Case {
  int64_t batch, tokens, heads, keys, groups, headSize;
  std::string attributes, element;
};

/// Attention and its gradients in one function.
std::string getSource(const Case &c) {
  std::string q = fmt::format("tensor<{}x{}x{}x{}x{}>", c.batch, c.tokens, c.heads, c.headSize, c.element);
  std::string k = fmt::format("tensor<{}x{}x{}x{}x{}>", c.batch, c.keys, c.groups, c.headSize, c.element);
  std::string lse = fmt::format("tensor<{}x{}x{}xf32>", c.batch, c.heads, c.tokens);
  return fmt::format(R"(
func.func @f(%q: {0}, %k: {1}, %v: {1}, %do: {0}) -> ({0}, {2}, {0}, {1}, {1}) attributes {{graph.layer = {{}}}} {{
  %o, %lse = graph.attention %q, %k, %v scale 0.21 {3} : {0}, {1} -> {2}
  %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.21 {3} : {0}, {1}, {2} -> {0}, {1}
  return %o, %lse, %dq, %dk, %dv : {0}, {2}, {0}, {1}, {1}
}}
)",
                     q, k, lse, c.attributes);
}

void check(const Case &c, const codegen::CpuTarget &target) {
  HarnessOptions options;
  options.tolerance = c.element == "f32" ? 1e-5 : 1.5e-2;
  options.target = target;
  checkFunction(getSource(c), options);
}

/// One case per thing that can be wrong; sizes that are no multiple of any tile wherever possible.
const Case kCases[] = {
    {1, 32, 1, 32, 1, 32, "", "f32"},
    {2, 64, 2, 64, 2, 64, "{causal}", "f32"},
    {1, 131, 4, 131, 2, 24, "{causal}", "f32"},
    {1, 131, 3, 131, 1, 24, "", "f32"},
    {1, 131, 2, 131, 2, 24, "{causal, window = 40 : i64}", "f32"},
    {2, 70, 2, 70, 1, 80, "{window = 9 : i64}", "f32"},
    {1, 41, 2, 41, 2, 16, "{causal, softcap = 2.0 : f64}", "f32"},
    {1, 5, 2, 9, 1, 7, "", "f32"},
    {1, 37, 2, 100, 1, 8, "", "f32"},
    {1, 131, 4, 131, 2, 24, "{causal}", "bf16"},
    {2, 64, 2, 64, 2, 128, "{causal, window = 32 : i64, softcap = 30.0 : f64}", "bf16"},
    {1, 33, 2, 50, 1, 7, "", "bf16"},
};

TEST(AttentionTest, EqualsItsDefinition) {
  for (const Case &c : kCases)
    check(c, hostTarget());
}

TEST(AttentionTest, RunsOnOlderProcessors) {
  for (const codegen::CpuTarget &target : allTargets()) {
    check({1, 41, 4, 41, 2, 24, "{causal}", "bf16"}, target);
    check({1, 41, 4, 41, 2, 24, "{causal}", "f32"}, target);
  }
}

} // namespace
