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

void PrintTo(const Case &c, std::ostream *out) {
  *out << fmt::format("{} x {} of {}, {} x {} keys, heads of {}, {}", c.heads, c.tokens, c.batch, c.groups, c.keys, c.headSize, c.element);
}

/// Cases whose names are their sizes.
std::string getName(const ::testing::TestParamInfo<Case> &info) {
  const Case &c = info.param;
  return fmt::format("{}_{}x{}x{}_{}x{}_{}_{}", info.index, c.batch, c.tokens, c.heads, c.keys, c.groups, c.headSize, c.element);
}

/// Attention and its gradients in one function; with positions as its last two arguments, if they are wanted.
std::string getSource(const Case &c, bool hasPositions) {
  std::string q = fmt::format("tensor<{}x{}x{}x{}x{}>", c.batch, c.tokens, c.heads, c.headSize, c.element);
  std::string k = fmt::format("tensor<{}x{}x{}x{}x{}>", c.batch, c.keys, c.groups, c.headSize, c.element);
  std::string lse = fmt::format("tensor<{}x{}x{}xf32>", c.batch, c.heads, c.tokens);
  std::string positions, types, arguments;
  if (hasPositions) {
    positions = "positions %i, %j ";
    types = fmt::format(", tensor<{}xi32>, tensor<{}xi32>", c.tokens, c.keys);
    arguments = fmt::format(", %i: tensor<{}xi32>, %j: tensor<{}xi32>", c.tokens, c.keys);
  }
  return fmt::format(R"(
func.func @f(%q: {0}, %k: {1}, %v: {1}, %do: {0}{6}) -> ({0}, {2}, {0}, {1}, {1}) attributes {{graph.layer = {{}}}} {{
  %o, %lse = graph.attention %q, %k, %v {4}scale 0.21 {3} : {0}, {1}{5} -> {2}
  %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse {4}scale 0.21 {3} : {0}, {1}, {2}{5} -> {0}, {1}
  return %o, %lse, %dq, %dk, %dv : {0}, {2}, {0}, {1}, {1}
}}
)",
                     q, k, lse, c.attributes, positions, types, arguments);
}

HarnessOptions getOptions(const Case &c) {
  HarnessOptions options;
  options.tolerance = c.element == "f32" ? 1e-5 : 1.5e-2;
  return options;
}

void checkOnProcessor(const Case &c, const codegen::CpuTarget &target) {
  HarnessOptions options = getOptions(c);
  options.targets = {"cpu"};
  options.target = target;
  checkFunction(getSource(c, /*hasPositions=*/false), options);
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
    {1, 70, 2, 70, 1, 40, "{causal}", "f16"},
    {1, 300, 2, 300, 1, 128, "{causal}", "bf16"},
};

class AttentionCases : public ::testing::TestWithParam<Case> {};

TEST_P(AttentionCases, EqualTheDefinition) {
  checkFunction(getSource(GetParam(), /*hasPositions=*/false), getOptions(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Masks, AttentionCases, ::testing::ValuesIn(kCases), getName);

/// Of a wide head neither both gradients of the keys nor, in f32, the operands that stay the same fit in a GPU's registers.
const Case kWideCases[] = {
    {1, 70, 2, 70, 1, 160, "{causal}", "f16"},
    {1, 70, 2, 70, 1, 192, "{causal, window = 40 : i64, softcap = 30.0 : f64}", "bf16"},
    {1, 150, 1, 150, 1, 192, "", "f32"},
    {1, 37, 2, 37, 1, 256, "{causal}", "bf16"},
    {1, 150, 1, 140, 1, 256, "{softcap = 30.0 : f64}", "bf16"},
    {1, 33, 1, 40, 1, 200, "", "f32"},
    {1, 70, 1, 70, 1, 256, "", "f32"},
};

INSTANTIATE_TEST_SUITE_P(WideHeads, AttentionCases, ::testing::ValuesIn(kWideCases), getName);

/// The cost model gives small problems small blocks, unless there is one compute unit for all of them.
TEST(AttentionTest, EqualsItsDefinitionInLargeBlocks) {
  const Case cases[] = {
      {1, 200, 4, 200, 2, 80, "{causal}", "bf16"},
      {1, 200, 4, 200, 4, 64, "{window = 40 : i64}", "f16"},
      {2, 70, 2, 70, 1, 80, "{causal, softcap = 2.0 : f64}", "f32"},
  };
  for (const Case &c : cases) {
    HarnessOptions options = getOptions(c);
    options.targets = {"gfx942", "gfx950"};
    checkFunction("module attributes {primus.hardware = {compute_units = 1 : i64}} {" + getSource(c, /*hasPositions=*/false) + "}",
                  options);
  }
}

/// Rows whose scores grow from block to block, by little and by much.
TEST(AttentionTest, MaximaMayGrowInEachBlock) {
  HarnessOptions options;
  options.tolerance = 2e-5;
  checkFunction(R"(
func.func @f(%q: tensor<1x256x1x32xf32>, %k: tensor<1x256x1x32xf32>, %v: tensor<1x256x1x32xf32>)
    -> (tensor<1x256x1x32xf32>, tensor<1x1x256xf32>) attributes {graph.layer = {}} {
  %number = graph.iota dim 0 : tensor<256xi32>
  %float = graph.convert %number : tensor<256xi32> -> tensor<256xf32>
  %step = graph.constant dense<0.02> : tensor<256xf32>
  %scaled = graph.mul %float, %step : tensor<256xf32>
  %growing = graph.broadcast %scaled dims [1] : tensor<256xf32> -> tensor<1x256x1x32xf32>
  %keys = graph.mul %k, %growing : tensor<1x256x1x32xf32>
  %o, %lse = graph.attention %q, %keys, %v scale 1.0 : tensor<1x256x1x32xf32>, tensor<1x256x1x32xf32> -> tensor<1x1x256xf32>
  return %o, %lse : tensor<1x256x1x32xf32>, tensor<1x1x256xf32>
}
)",
                options);
}

/// What ring attention merges.
TEST(AttentionTest, OutputsMayStayUnrounded) {
  checkFunction(R"(
func.func @f(%q: tensor<1x66x4x24xbf16>, %k: tensor<1x66x2x24xbf16>, %v: tensor<1x66x2x24xbf16>) -> tensor<1x66x4x24xf32> attributes {graph.layer = {}} {
  %o, %lse = graph.attention %q, %k, %v scale 0.21 {causal} : tensor<1x66x4x24xbf16>, tensor<1x66x2x24xbf16> -> tensor<1x66x4x24xf32>, tensor<1x4x66xf32>
  return %o : tensor<1x66x4x24xf32>
}
)",
                getOptions({1, 66, 4, 66, 2, 24, "{causal}", "bf16"}));
}

TEST(AttentionTest, RunsOnOlderProcessors) {
  for (const codegen::CpuTarget &target : allTargets()) {
    checkOnProcessor({1, 41, 4, 41, 2, 24, "{causal}", "bf16"}, target);
    checkOnProcessor({1, 41, 4, 41, 2, 24, "{causal}", "f32"}, target);
  }
}

/// A rank's tokens are two pieces of a sequence of which it has gathered all keys, or of whose keys it has other pieces.
const Case kPositionCases[] = {
    {1, 64, 2, 128, 1, 32, "{causal}", "bf16"},
    {1, 66, 4, 132, 2, 24, "{causal}", "f32"},
    {2, 38, 2, 76, 1, 7, "{causal, window = 20 : i64, softcap = 2.0 : f64}", "f32"},
    {1, 34, 2, 51, 2, 16, "{window = 5 : i64}", "f32"},
};

class AttentionByPositions : public ::testing::TestWithParam<Case> {};

TEST_P(AttentionByPositions, EqualsTheDefinition) {
  const Case &c = GetParam();
  HarnessOptions options = getOptions(c);
  // The second and the last-but-one eighth of the sequence beside all of it, eighths swapped.
  options.integers = [&](int64_t index, int64_t size) {
    int64_t piece = size / 2;
    return size == c.tokens ? (index < piece ? index + 9 : index - piece + 70) : (index < piece ? index + size - piece : index - piece);
  };
  checkFunction(getSource(c, /*hasPositions=*/true), options);
  // Any order, with some of the keys never seen and some tokens that see none.
  options.integers = {};
  options.integerBound = 100;
  checkFunction(getSource(c, /*hasPositions=*/true), options);
}

INSTANTIATE_TEST_SUITE_P(Ranks, AttentionByPositions, ::testing::ValuesIn(kPositionCases), getName);

TEST(AttentionTest, TokensBeforeAllKeysGetZeros) {
  Case c{1, 40, 2, 72, 1, 16, "{causal}", "f32"};
  HarnessOptions options = getOptions(c);
  options.integers = [&](int64_t index, int64_t size) { return size == c.tokens ? index : index + 33; };
  checkFunction(getSource(c, /*hasPositions=*/true), options);
  // No key at all.
  options.integers = [&](int64_t index, int64_t size) { return size == c.tokens ? index : index + 100; };
  checkFunction(getSource(c, /*hasPositions=*/true), options);
}

} // namespace
