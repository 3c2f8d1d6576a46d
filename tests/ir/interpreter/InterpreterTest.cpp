//===- InterpreterTest.cpp - Primitives, structure and errors -------------===//

#include "tests/ir/interpreter/Run.h"

using namespace mlir;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

class InterpreterTest : public IrTest {
protected:
  using Values = std::vector<double>;

  /// Results of a function without inputs.
  std::vector<Values> evaluate(const std::string &body, Mode mode = Mode::Exact) {
    std::vector<Values> values;
    for (const Tensor &result : run("func.func @f() -> " + body, {}, mode))
      values.push_back(result.values);
    return values;
  }

  /// Runs @f of a module that must not run, and returns the message.
  std::string fail(const std::string &text, ArrayRef<Tensor> inputs = {}) {
    auto module = parse(text);
    EXPECT_TRUE(module && failed(Interpreter(*module).run("f", inputs)));
    return messages;
  }
};

TEST_F(InterpreterTest, MovesElements) {
  auto results = evaluate(R"((tensor<3x2xi32>, tensor<2x2xi32>, tensor<3x4xi32>, tensor<2x4xi32>, tensor<2x2x3xi32>) {
    %x = graph.constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi32>
    %t = graph.transpose %x perm [1, 0] : tensor<2x3xi32> -> tensor<3x2xi32>
    %s = graph.slice %x at [0, 1] : tensor<2x3xi32> -> tensor<2x2xi32>
    %p = graph.pad %x at [1, 0] : tensor<2x3xi32> -> tensor<3x4xi32>
    %r = graph.slice %x at [0, 0] : tensor<2x3xi32> -> tensor<2x1xi32>
    %c = graph.concat %r, %x dim 1 : (tensor<2x1xi32>, tensor<2x3xi32>) -> tensor<2x4xi32>
    %b = graph.broadcast %x dims [1, 2] : tensor<2x3xi32> -> tensor<2x2x3xi32>
    return %t, %s, %p, %c, %b : tensor<3x2xi32>, tensor<2x2xi32>, tensor<3x4xi32>, tensor<2x4xi32>, tensor<2x2x3xi32>
  })");
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(results[0], (Values{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(results[1], (Values{2, 3, 5, 6}));
  EXPECT_EQ(results[2], (Values{0, 0, 0, 0, 1, 2, 3, 0, 4, 5, 6, 0}));
  EXPECT_EQ(results[3], (Values{1, 1, 2, 3, 4, 4, 5, 6}));
  EXPECT_EQ(results[4], (Values{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6}));
}

TEST_F(InterpreterTest, ReducesGathersAndScatters) {
  auto results = evaluate(R"((tensor<3xf32>, tensor<2xf32>, tensor<2x3xf32>, tensor<2x2xf32>, tensor<2x3xi32>) {
    %x = graph.constant dense<[[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]> : tensor<2x3xf32>
    %sum = graph.reduce sum %x dims [0] : tensor<2x3xf32> -> tensor<3xf32>
    %max = graph.reduce max %x dims [1] : tensor<2x3xf32> -> tensor<2xf32>
    %i = graph.constant dense<[1, 2]> : tensor<2xi32>
    %rows = graph.gather %x, %i : (tensor<2x3xf32>, tensor<2xi32>) -> tensor<2x3xf32>
    %j = graph.constant dense<[[0, 0], [1, -1]]> : tensor<2x2xi32>
    %u = graph.constant dense<[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]> : tensor<2x2x2xf32>
    %sums = graph.scatter %j, %u : (tensor<2x2xi32>, tensor<2x2x2xf32>) -> tensor<2x2xf32>
    %iota = graph.iota dim 1 : tensor<2x3xi32>
    return %sum, %max, %rows, %sums, %iota
      : tensor<3xf32>, tensor<2xf32>, tensor<2x3xf32>, tensor<2x2xf32>, tensor<2x3xi32>
  })");
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(results[0], (Values{5, 3, -3}));
  EXPECT_EQ(results[1], (Values{3, 5}));
  EXPECT_EQ(results[2], (Values{4, 5, -6, 0, 0, 0}));
  EXPECT_EQ(results[3], (Values{4, 6, 5, 6}));
  EXPECT_EQ(results[4], (Values{0, 1, 2, 0, 1, 2}));
}

TEST_F(InterpreterTest, MultipliesLikeLoops) {
  // Every role of a letter, in mixed order, and sizes beyond the blocks of the fast path.
  constexpr int b = 2, m = 7, k = 5, n = 600;
  Tensor lhs = random({k, b, m}, 0), rhs = random({n, k, b}, 1);
  auto results = run(R"(func.func @f(%a: tensor<5x2x7xf32>, %b: tensor<600x5x2xf32>) -> tensor<600x2x7xf32> {
    %c = graph.matmul "kbm,nkb->nbm" %a, %b : (tensor<5x2x7xf32>, tensor<600x5x2xf32>) -> tensor<600x2x7xf32>
    return %c : tensor<600x2x7xf32>
  })",
                     {lhs, rhs});
  ASSERT_EQ(results.size(), 1u);
  Values expected;
  for (int column = 0; column < n; ++column)
    for (int i = 0; i < b; ++i)
      for (int row = 0; row < m; ++row) {
        double sum = 0;
        for (int depth = 0; depth < k; ++depth)
          sum += lhs.values[(depth * b + i) * m + row] * rhs.values[(column * k + depth) * b + i];
        expected.push_back(sum);
      }
  EXPECT_LT(relativeError(results[0].values, expected), 1e-15);
}

TEST_F(InterpreterTest, PropagatesNotANumber) {
  auto results = evaluate(R"((tensor<2xf32>, tensor<2xf32>, tensor<f32>) {
    %nan = graph.constant dense<[0x7FC00000, 1.0]> : tensor<2xf32>
    %one = graph.constant dense<[1.0, 0x7FC00000]> : tensor<2xf32>
    %max = graph.maximum %nan, %one : tensor<2xf32>
    %min = graph.minimum %nan, %one : tensor<2xf32>
    %most = graph.reduce max %nan dims [0] : tensor<2xf32> -> tensor<f32>
    return %max, %min, %most : tensor<2xf32>, tensor<2xf32>, tensor<f32>
  })");
  for (const Values &values : results)
    for (double value : values)
      EXPECT_TRUE(std::isnan(value));
}

TEST_F(InterpreterTest, ModesDifferInRoundingOnly) {
  const char *body = R"((tensor<f32>, tensor<bf16>, tensor<f32>) {
    %third = graph.constant dense<0.333333333333333333> : tensor<f64>
    %a = graph.convert %third : tensor<f64> -> tensor<f32>
    %b = graph.convert %third : tensor<f64> -> tensor<bf16>
    %c = graph.convert %b : tensor<bf16> -> tensor<f32>
    %d = graph.mul %c, %c : tensor<f32>
    return %a, %b, %d : tensor<f32>, tensor<bf16>, tensor<f32>
  })";
  auto exact = evaluate(body), faithful = evaluate(body, Mode::Faithful);
  ASSERT_EQ(exact.size(), 3u);
  ASSERT_EQ(faithful.size(), 3u);
  const double third = 0.333333333333333333, narrow = 0.333984375;
  EXPECT_EQ(exact[0], Values{third});
  EXPECT_EQ(exact[1], Values{third});
  EXPECT_EQ(exact[2], Values{third * third});
  EXPECT_EQ(faithful[0], Values{static_cast<float>(third)});
  EXPECT_EQ(faithful[1], Values{narrow});
  EXPECT_EQ(faithful[2], Values{static_cast<float>(narrow * narrow)});
}

TEST_F(InterpreterTest, SumsRoundOnce) {
  // 1 + 4096 * 2^-13: in bf16 each addend alone would be lost.
  auto results = evaluate(R"((tensor<bf16>) {
    %one = graph.constant dense<1.0> : tensor<1xbf16>
    %small = graph.constant dense<1.220703125e-04> : tensor<4096xbf16>
    %all = graph.concat %one, %small dim 0 : (tensor<1xbf16>, tensor<4096xbf16>) -> tensor<4097xbf16>
    %sum = graph.reduce sum %all dims [0] : tensor<4097xbf16> -> tensor<bf16>
    return %sum : tensor<bf16>
  })",
                          Mode::Faithful);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0], Values{1.5});
}

constexpr const char *kProgram = R"(
  graph.variable @weight : tensor<2xf32> role parameter init #graph.init<"constant", {value = 3.0 : f64}>
  graph.variable @weight.grad : tensor<2xf32> role gradient init #graph.init<"zeros">
  func.func @layer(%x: tensor<2xf32>, %w: tensor<2xf32>) -> tensor<2xf32> {
    %y = graph.fusion "elementwise" (%a = %x, %b = %w) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32> {
      %e = graph.mul %a, %b : tensor<2xf32>
      graph.yield %e : tensor<2xf32>
    }
    return %y : tensor<2xf32>
  }
  func.func @f(%x: tensor<3x2xf32>) -> tensor<f32> {
    %bias = graph.constant dense<1.0> : tensor<f32>
    %sum = graph.schedule microbatches 3 (%slice = %x) : (tensor<3x2xf32>) -> tensor<f32> {
      %w = graph.load @weight : tensor<2xf32>
      %old = graph.load @weight.grad : tensor<2xf32>
      %y = graph.call @layer(%slice, %w) instance "layers.0" : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      %new = graph.add %old, %slice : tensor<2xf32>
      graph.store %new, @weight.grad : tensor<2xf32>
      %l = graph.reduce sum %y dims [0] : tensor<2xf32> -> tensor<f32>
      %biased = graph.add %l, %bias : tensor<f32>
      graph.yield %biased : tensor<f32>
    }
    return %sum : tensor<f32>
  })";

TEST_F(InterpreterTest, RunsSchedulesCallsAndVariables) {
  auto module = parse(kProgram);
  ASSERT_TRUE(module);
  Interpreter interpreter(*module);
  ASSERT_TRUE(succeeded(interpreter.initializeVariables(1))) << messages;
  Tensor x = tensor({3, 2}, {1, 2, 3, 4, 5, 6});
  auto results = interpreter.run("f", {x});
  ASSERT_TRUE(succeeded(results)) << messages;
  EXPECT_EQ((*results)[0].values, Values{3 * 21 + 3});
  EXPECT_EQ(interpreter.getVariable("weight.grad")->values, (Values{9, 12}));
  // State stays between runs.
  ASSERT_TRUE(succeeded(interpreter.setVariable("weight", tensor({2}, {1, 0}))));
  results = interpreter.run("f", {x});
  ASSERT_TRUE(succeeded(results)) << messages;
  EXPECT_EQ((*results)[0].values, Values{9 + 3});
  EXPECT_EQ(interpreter.getVariable("weight.grad")->values, (Values{18, 24}));
  EXPECT_EQ(interpreter.getVariable("bias"), nullptr);
}

TEST_F(InterpreterTest, InitialValuesAreTheRuntimes) {
  auto module = parse(R"(
    graph.variable @w : tensor<3x5xf32> role parameter init #graph.init<"normal", {std = 0.02 : f64}> {stream = 4}
    graph.variable @cos : tensor<4x2xf32> role constant
      init #graph.init<"rope_cos", {inv_freq = array<f64: 1.0, 0.01>, scale = 1.0 : f64}>)");
  ASSERT_TRUE(module);
  Interpreter interpreter(*module);
  ASSERT_TRUE(succeeded(interpreter.initializeVariables(7))) << messages;
  for (int i = 0; i < 15; ++i)
    EXPECT_EQ(interpreter.getVariable("w")->values[i],
              static_cast<float>(0.02 * primus::runtime::standardNormal(7, 4, i)));
  EXPECT_EQ(interpreter.getVariable("cos")->values[7], static_cast<float>(std::cos(double(3.0f * 0.01f))));
}

TEST_F(InterpreterTest, ReportsErrors) {
  auto expectMessage = [&](const std::string &part) {
    EXPECT_NE(messages.find(part), std::string::npos) << messages;
    messages.clear();
  };
  fail("func.func @g() { return }");
  expectMessage("cannot run 'f': the module has no function of that name with a body");
  fail("func.func private @f()");
  expectMessage("cannot run 'f'");
  fail("func.func @f(%x: tensor<2xf32>) { return }");
  expectMessage("'f' takes 1 inputs, not 0");
  fail("func.func @f(%x: tensor<2xf32>) { return }", {tensor({3}, {1, 2, 3})});
  expectMessage("input #0 of 'f' has type 'tensor<2xf32>', but got 'tensor<3xf32>'");
  fail("func.func @f() { graph.call @f() instance \"a\" : () -> ()\n return }");
  expectMessage("functions must not be recursive");
  fail("graph.variable @v : tensor<f32> role parameter init #graph.init<\"zeros\">\n"
       "func.func @f() { graph.load @v : tensor<f32>\n return }");
  expectMessage("reads 'v' before it has a value");
  fail(R"(func.func @f() {
    %a = graph.constant dense<[1, 0]> : tensor<2xi32>
    graph.div %a, %a : tensor<2xi32>
    return
  })");
  expectMessage("divides an integer by zero");
  fail("func.func private @g()\nfunc.func @f() { func.call @g() : () -> ()\n return }");
  expectMessage("'func.call' cannot be interpreted");
  fail("func.func @f() { graph.constant dense_resource<none> : tensor<2xf32>\n return }");
  expectMessage("has elements that cannot be read");
  fail("func.func @f() { graph.iota dim 0 : tensor<1000000x1000000xi32>\n return }");
  expectMessage("it has more than 2^31 elements");

  auto module = parse("graph.variable @v : tensor<4xf32> role parameter init #graph.init<\"gaussian\">\n"
                      "graph.variable @w : tensor<2xf32> role parameter init #graph.init<\"normal\", {std = \"x\"}>");
  ASSERT_TRUE(module);
  Interpreter interpreter(*module);
  EXPECT_TRUE(failed(interpreter.initializeVariables(1)));
  expectMessage("unknown initializer 'gaussian'");
  EXPECT_TRUE(failed(interpreter.setVariable("v", tensor({2}, {1, 2}))));
  expectMessage("cannot take a value of type 'tensor<2xf32>'");
  EXPECT_TRUE(failed(interpreter.setVariable("x", tensor({2}, {1, 2}))));
  expectMessage("the module has no variable 'x'");
}

} // namespace
