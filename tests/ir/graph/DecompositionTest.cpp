//===- DecompositionTest.cpp - Definitions of composites against direct code ---===//
//
// Each composite's decomposition, run in the interpreter, against loops that are written from the formula.
//
//===----------------------------------------------------------------------===//

#include "tests/ir/interpreter/Run.h"

using namespace mlir;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

/// Constants in decompositions are f32.
constexpr double tolerance = 1e-6;

class Decomposition : public IrTest {
protected:
  void expectClose(const Tensor &actual, const std::vector<double> &expected) {
    EXPECT_LT(relativeError(actual.values, expected), tolerance);
  }
};

TEST_F(Decomposition, RmsNorm) {
  constexpr int rows = 3, width = 7;
  Tensor x = random({rows, width}, 0), weight = random({width}, 1);
  auto results = run(R"(func.func @f(%x: tensor<3x7xf32>, %w: tensor<7xf32>) -> (tensor<3x7xf32>, tensor<3xf32>) {
    %y, %rstd = graph.rms_norm %x, %w eps 0.01 {offset = 1.0 : f64}
      : (tensor<3x7xf32>, tensor<7xf32>) -> (tensor<3x7xf32>, tensor<3xf32>)
    return %y, %rstd : tensor<3x7xf32>, tensor<3xf32>
  })",
                     {x, weight});
  ASSERT_EQ(results.size(), 2u);
  std::vector<double> y, rstds;
  for (int row = 0; row < rows; ++row) {
    double squares = 0;
    for (int i = 0; i < width; ++i)
      squares += std::pow(x.values[row * width + i], 2);
    rstds.push_back(1 / std::sqrt(squares / width + 0.01));
    for (int i = 0; i < width; ++i)
      y.push_back(x.values[row * width + i] * rstds[row] * (1 + weight.values[i]));
  }
  expectClose(results[0], y);
  expectClose(results[1], rstds);
}

TEST_F(Decomposition, LayerNorm) {
  constexpr int rows = 3, width = 7;
  Tensor x = random({rows, width}, 0), weight = random({width}, 1), bias = random({width}, 2);
  auto results = run(R"(
  func.func @f(%x: tensor<3x7xf32>, %w: tensor<7xf32>, %b: tensor<7xf32>)
      -> (tensor<3x7xf32>, tensor<3xf32>, tensor<3xf32>) {
    %y, %mean, %rstd = graph.layer_norm %x, %w, %b eps 0.01
      : (tensor<3x7xf32>, tensor<7xf32>, tensor<7xf32>) -> (tensor<3x7xf32>, tensor<3xf32>, tensor<3xf32>)
    return %y, %mean, %rstd : tensor<3x7xf32>, tensor<3xf32>, tensor<3xf32>
  })",
                     {x, weight, bias});
  ASSERT_EQ(results.size(), 3u);
  std::vector<double> y, means, rstds;
  for (int row = 0; row < rows; ++row) {
    const double *in = x.values.data() + row * width;
    double mean = std::accumulate(in, in + width, 0.0) / width, variance = 0;
    for (int i = 0; i < width; ++i)
      variance += std::pow(in[i] - mean, 2) / width;
    means.push_back(mean);
    rstds.push_back(1 / std::sqrt(variance + 0.01));
    for (int i = 0; i < width; ++i)
      y.push_back((in[i] - mean) * rstds[row] * weight.values[i] + bias.values[i]);
  }
  expectClose(results[0], y);
  expectClose(results[1], means);
  expectClose(results[2], rstds);
}

TEST_F(Decomposition, Rope) {
  constexpr int batch = 2, tokens = 3, heads = 2, size = 8, pairs = 3;
  Tensor x = random({batch, tokens, heads, size}, 0), cosine = random({tokens, pairs}, 1),
         sine = random({tokens, pairs}, 2);
  for (bool interleaved : {false, true})
    for (bool inverse : {false, true}) {
      auto results = run(std::string("func.func @f(%x: tensor<2x3x2x8xf32>, %c: tensor<3x3xf32>, %s: tensor<3x3xf32>) "
                                     "-> tensor<2x3x2x8xf32> {\n %y = graph.rope ") +
                             (interleaved ? "interleaved" : "half") + (inverse ? " inverse" : "") +
                             " %x, %c, %s : tensor<2x3x2x8xf32>, tensor<3x3xf32>\n return %y : tensor<2x3x2x8xf32>\n}",
                         {x, cosine, sine});
      ASSERT_EQ(results.size(), 1u);
      std::vector<double> y = x.values;
      for (int row = 0; row < batch * tokens * heads; ++row)
        for (int pair = 0; pair < pairs; ++pair) {
          int token = row / heads % tokens;
          double c = cosine.values[token * pairs + pair], s = sine.values[token * pairs + pair] * (inverse ? -1 : 1);
          int first = row * size + (interleaved ? 2 * pair : pair), second = first + (interleaved ? 1 : pairs);
          y[first] = x.values[first] * c - x.values[second] * s;
          y[second] = x.values[second] * c + x.values[first] * s;
        }
      expectClose(results[0], y);
    }
}

TEST_F(Decomposition, Attention) {
  constexpr int batch = 2, tokens = 5, heads = 6, groups = 2, size = 4;
  constexpr double scale = 0.4;
  Tensor q = random({batch, tokens, heads, size}, 0), k = random({batch, tokens, groups, size}, 1),
         v = random({batch, tokens, groups, size}, 2);
  struct {
    const char *attributes;
    bool causal;
    int window;
    double softcap;
  } variants[] = {{"", false, 0, 0},
                  {"{causal}", true, 0, 0},
                  {"{causal, window = 2 : i64}", true, 2, 0},
                  {"{causal, softcap = 0.7 : f64}", true, 0, 0.7}};
  for (const auto &variant : variants) {
    auto results = run(std::string("func.func @f(%q: tensor<2x5x6x4xf32>, %k: tensor<2x5x2x4xf32>, "
                                   "%v: tensor<2x5x2x4xf32>) -> (tensor<2x5x6x4xf32>, tensor<2x6x5xf32>) {\n"
                                   " %o, %lse = graph.attention %q, %k, %v scale 0.4 ") +
                           variant.attributes +
                           " : tensor<2x5x6x4xf32>, tensor<2x5x2x4xf32> -> tensor<2x6x5xf32>\n"
                           " return %o, %lse : tensor<2x5x6x4xf32>, tensor<2x6x5xf32>\n}",
                       {q, k, v});
    ASSERT_EQ(results.size(), 2u);
    std::vector<double> out(q.values.size(), 0.0), lse(batch * heads * tokens);
    for (int b = 0; b < batch; ++b)
      for (int h = 0; h < heads; ++h)
        for (int i = 0; i < tokens; ++i) {
          int query = ((b * tokens + i) * heads + h) * size;
          auto key = [&](int j) { return ((b * tokens + j) * groups + h / (heads / groups)) * size; };
          std::vector<double> weights(tokens, 0.0);
          double sum = 0;
          for (int j = 0; j < tokens; ++j) {
            if ((variant.causal && j > i) || (variant.window && i - j >= variant.window))
              continue;
            const double *left = &q.values[query], *right = &k.values[key(j)];
            double score = scale * std::inner_product(left, left + size, right, 0.0);
            if (variant.softcap)
              score = variant.softcap * std::tanh(score / variant.softcap);
            weights[j] = std::exp(score);
            sum += weights[j];
          }
          lse[(b * heads + h) * tokens + i] = std::log(sum);
          for (int j = 0; j < tokens; ++j)
            for (int d = 0; d < size; ++d)
              out[query + d] += weights[j] / sum * v.values[key(j) + d];
        }
    expectClose(results[0], out);
    expectClose(results[1], lse);
  }
}

TEST_F(Decomposition, CrossEntropy) {
  constexpr int tokens = 4, width = 3, vocabulary = 5;
  Tensor x = random({tokens, width}, 0), weight = random({vocabulary + 2, width}, 1);
  int labels[tokens] = {4, -1, 0, 2};
  auto results = run(R"(
  func.func @f(%x: tensor<4x3xf32>, %w: tensor<7x3xf32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>) {
    %labels = graph.constant dense<[4, -1, 0, 2]> : tensor<4xi32>
    %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 5
      : (tensor<4x3xf32>, tensor<7x3xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>)
    return %loss, %valid, %lse : tensor<f32>, tensor<f32>, tensor<4xf32>
  })",
                     {x, weight});
  ASSERT_EQ(results.size(), 3u);
  double loss = 0;
  std::vector<double> lse;
  for (int token = 0; token < tokens; ++token) {
    std::vector<double> logits;
    double sum = 0;
    for (int row = 0; row < vocabulary; ++row) {
      logits.push_back(std::inner_product(&x.values[token * width], &x.values[token * width] + width,
                                          &weight.values[row * width], 0.0));
      sum += std::exp(logits.back());
    }
    lse.push_back(std::log(sum));
    if (labels[token] >= 0)
      loss += lse.back() - logits[labels[token]];
  }
  expectClose(results[0], {loss});
  expectClose(results[1], {3});
  expectClose(results[2], lse);
}

TEST_F(Decomposition, PositionsPermuteTokens) {
  // Token i of the second call is token order[i] of the first.
  constexpr int order[] = {4, 0, 3, 1, 2};
  Tensor q = random({1, 5, 2, 4}, 0), k = random({1, 5, 2, 4}, 1), v = random({1, 5, 2, 4}, 2);
  auto permute = [&](const Tensor &x) {
    Tensor result = x;
    for (int i = 0; i < 5; ++i)
      std::copy_n(&x.values[order[i] * 8], 8, &result.values[i * 8]);
    return result;
  };
  auto results = run(R"(
  func.func @f(%q: tensor<1x5x2x4xf32>, %k: tensor<1x5x2x4xf32>, %v: tensor<1x5x2x4xf32>, %pq: tensor<1x5x2x4xf32>,
      %pk: tensor<1x5x2x4xf32>, %pv: tensor<1x5x2x4xf32>) -> (tensor<1x5x2x4xf32>, tensor<1x5x2x4xf32>) {
    %a, %lsea = graph.attention %q, %k, %v scale 0.4 {causal, window = 3 : i64}
      : tensor<1x5x2x4xf32>, tensor<1x5x2x4xf32> -> tensor<1x2x5xf32>
    %i = graph.constant dense<[4, 0, 3, 1, 2]> : tensor<5xi32>
    %b, %lseb = graph.attention %pq, %pk, %pv positions %i, %i scale 0.4 {causal, window = 3 : i64}
      : tensor<1x5x2x4xf32>, tensor<1x5x2x4xf32>, tensor<5xi32>, tensor<5xi32> -> tensor<1x2x5xf32>
    return %a, %b : tensor<1x5x2x4xf32>, tensor<1x5x2x4xf32>
  })",
                     {q, k, v, permute(q), permute(k), permute(v)});
  ASSERT_EQ(results.size(), 2u);
  expectClose(results[1], permute(results[0]).values);
}

/// The rows of a weight in two parts, of which the second ends with padding and a part of padding alone follows.
TEST_F(Decomposition, CrossEntropyParts) {
  Tensor x = random({2, 2, 3}, 0), weight = random({9, 3}, 1), dloss = tensor({}, {0.7});
  auto results = run(R"(
  func.func @f(%x: tensor<2x2x3xf32>, %w: tensor<9x3xf32>, %d: tensor<f32>) -> (tensor<2x2xf32>, tensor<2x2xf32>,
      tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<f32>, tensor<2x2xf32>,
      tensor<2x2x3xf32>, tensor<9x3xf32>, tensor<2x2x3xf32>, tensor<3x3xf32>, tensor<2x2x3xf32>, tensor<3x3xf32>) {
    %labels = graph.constant dense<[[4, -1], [0, 2]]> : tensor<2x2xi32>
    %c0 = graph.constant dense<0> : tensor<i32>
    %c3 = graph.constant dense<3> : tensor<i32>
    %c6 = graph.constant dense<6> : tensor<i32>
    %w0 = graph.slice %w at [0, 0] : tensor<9x3xf32> -> tensor<3x3xf32>
    %w3 = graph.slice %w at [3, 0] : tensor<9x3xf32> -> tensor<3x3xf32>
    %w6 = graph.slice %w at [6, 0] : tensor<9x3xf32> -> tensor<3x3xf32>
    %lse0, %t0 = graph.cross_entropy_part %x, %w0, %labels, %c0 vocabulary 5 : (tensor<2x2x3xf32>, tensor<3x3xf32>, tensor<2x2xi32>, tensor<i32>) -> (tensor<2x2xf32>, tensor<2x2xf32>)
    %lse3, %t3 = graph.cross_entropy_part %x, %w3, %labels, %c3 vocabulary 5 : (tensor<2x2x3xf32>, tensor<3x3xf32>, tensor<2x2xi32>, tensor<i32>) -> (tensor<2x2xf32>, tensor<2x2xf32>)
    %lse6, %t6 = graph.cross_entropy_part %x, %w6, %labels, %c6 vocabulary 5 : (tensor<2x2x3xf32>, tensor<3x3xf32>, tensor<2x2xi32>, tensor<i32>) -> (tensor<2x2xf32>, tensor<2x2xf32>)
    %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 5 : (tensor<2x2x3xf32>, tensor<9x3xf32>, tensor<2x2xi32>) -> (tensor<f32>, tensor<f32>, tensor<2x2xf32>)
    %dx, %dw = graph.cross_entropy_grad %d, %x, %w, %labels, %lse vocabulary 5 : (tensor<f32>, tensor<2x2x3xf32>, tensor<9x3xf32>, tensor<2x2xi32>, tensor<2x2xf32>) -> (tensor<2x2x3xf32>, tensor<9x3xf32>)
    %dx0, %dw0 = graph.cross_entropy_grad %d, %x, %w0, %labels, %lse offset %c0 vocabulary 5 : (tensor<f32>, tensor<2x2x3xf32>, tensor<3x3xf32>, tensor<2x2xi32>, tensor<2x2xf32>, tensor<i32>) -> (tensor<2x2x3xf32>, tensor<3x3xf32>)
    %dx3, %dw3 = graph.cross_entropy_grad %d, %x, %w3, %labels, %lse offset %c3 vocabulary 5 : (tensor<f32>, tensor<2x2x3xf32>, tensor<3x3xf32>, tensor<2x2xi32>, tensor<2x2xf32>, tensor<i32>) -> (tensor<2x2x3xf32>, tensor<3x3xf32>)
    return %lse0, %t0, %lse3, %t3, %lse6, %t6, %loss, %lse, %dx, %dw, %dx0, %dw0, %dx3, %dw3 : tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<f32>, tensor<2x2xf32>, tensor<2x2x3xf32>, tensor<9x3xf32>, tensor<2x2x3xf32>, tensor<3x3xf32>, tensor<2x2x3xf32>, tensor<3x3xf32>
  })",
                     {x, weight, dloss});
  ASSERT_EQ(results.size(), 14u);
  std::vector<double> lse;
  double loss = 0;
  for (int token = 0; token < 4; ++token) {
    double sum = 0;
    for (int part : {0, 2, 4})
      sum += std::exp(results[part].values[token]);
    lse.push_back(std::log(sum));
    double target = 0;
    for (int part : {1, 3, 5})
      target += results[part].values[token];
    loss += token == 1 ? 0 : lse.back() - target;
  }
  expectClose(results[7], lse);
  expectClose(results[6], {loss});
  std::vector<double> dx, dweight(27, 0.0);
  for (auto [a, b] : llvm::zip_equal(results[10].values, results[12].values))
    dx.push_back(a + b);
  llvm::copy(results[11].values, dweight.begin());
  llvm::copy(results[13].values, dweight.begin() + 9);
  expectClose(results[8], dx);
  expectClose(results[9], dweight);
}

TEST_F(Decomposition, AdamWSkipsAStepWithoutNorm) {
  Tensor p = random({6}, 0), m = random({6}, 1), v = random({6}, 2), g = random({6}, 3);
  double nan = std::numeric_limits<double>::quiet_NaN();
  auto results = run(R"(
  func.func @f(%p: tensor<6xf32>, %m: tensor<6xf32>, %v: tensor<6xf32>, %g: tensor<6xf32>, %scale: tensor<f32>,
      %lr: tensor<f32>, %c: tensor<f32>) -> (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) {
    %p1, %m1, %v1 = graph.adamw %p, %m, %v, %g, %scale, %lr, %c, %c
      {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-3, weight_decay = 0.1} : tensor<6xf32>
    return %p1, %m1, %v1 : tensor<6xf32>, tensor<6xf32>, tensor<6xf32>
  })",
                     {p, m, v, g, tensor({}, {nan}), tensor({}, {0.01}), tensor({}, {0.19})});
  ASSERT_EQ(results.size(), 3u);
  expectClose(results[0], p.values);
  expectClose(results[1], m.values);
  expectClose(results[2], v.values);
}

TEST_F(Decomposition, AdamW) {
  Tensor p = random({6}, 0), m = random({6}, 1), v = random({6}, 2), g = random({6}, 3);
  for (double &value : v.values)
    value = std::abs(value);
  double scale = 0.7, lr = 0.01, c1 = 0.19, c2 = 0.0975;
  auto results = run(R"(
  func.func @f(%p: tensor<6xf32>, %m: tensor<6xf32>, %v: tensor<6xf32>, %g: tensor<6xf32>, %scale: tensor<f32>,
      %lr: tensor<f32>, %c1: tensor<f32>, %c2: tensor<f32>) -> (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) {
    %p1, %m1, %v1 = graph.adamw %p, %m, %v, %g, %scale, %lr, %c1, %c2
      {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-3, weight_decay = 0.1} : tensor<6xf32>
    return %p1, %m1, %v1 : tensor<6xf32>, tensor<6xf32>, tensor<6xf32>
  })",
                     {p, m, v, g, tensor({}, {scale}), tensor({}, {lr}), tensor({}, {c1}), tensor({}, {c2})});
  ASSERT_EQ(results.size(), 3u);
  std::vector<double> newP, newM, newV;
  for (int i = 0; i < 6; ++i) {
    double gradient = g.values[i] * scale;
    newM.push_back(0.9 * m.values[i] + 0.1 * gradient);
    newV.push_back(0.95 * v.values[i] + 0.05 * gradient * gradient);
    newP.push_back(p.values[i] - lr * (newM[i] / c1 / (std::sqrt(newV[i] / c2) + 1e-3) + 0.1 * p.values[i]));
  }
  expectClose(results[0], newP);
  expectClose(results[1], newM);
  expectClose(results[2], newV);
}

TEST_F(Decomposition, Pack) {
  auto results = run(R"(
  func.func @f(%w: tensor<1x3x5xf32>, %t: tensor<1x5x3xf32>) -> (tensor<1x2x2x4x2xf32>, tensor<1x2x2x4x2xf32>) {
    %a = graph.pack %w width 4 group 2 : tensor<1x3x5xf32> -> tensor<1x2x2x4x2xf32>
    %b = graph.pack %t width 4 group 2 {transposed} : tensor<1x5x3xf32> -> tensor<1x2x2x4x2xf32>
    return %a, %b : tensor<1x2x2x4x2xf32>, tensor<1x2x2x4x2xf32>
  })",
                     {tensor({1, 3, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}),
                      tensor({1, 5, 3}, {1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 14, 5, 10, 15})});
  ASSERT_EQ(results.size(), 2u);
  std::vector<double> panels = {1, 6, 2, 7, 3, 8, 4, 9, 11, 0, 12, 0, 13, 0, 14, 0,
                                5, 10, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(results[0].values, panels);
  EXPECT_EQ(results[1].values, panels);
}

/// Blocks of two rows and of all columns: scales that make the largest value 448, and what comes back.
TEST_F(Decomposition, QuantizesInBlocks) {
  constexpr int rows = 4, width = 6;
  Tensor x = random({rows, width}, 0);
  auto results = run(R"(
  func.func @f(%x: tensor<4x6xf32>) -> (tensor<2x1xf32>, tensor<4x6xf8E4M3FN>, tensor<4x6xf32>) {
    %a = graph.amax %x : tensor<4x6xf32> -> tensor<2x1xf32>
    %top = graph.constant dense<448.0> : tensor<2x1xf32>
    %s = graph.div %top, %a : tensor<2x1xf32>
    %f = graph.div %a, %top : tensor<2x1xf32>
    %q = graph.quantize %x, %s : tensor<4x6xf32>, tensor<2x1xf32> -> tensor<4x6xf8E4M3FN>
    %y = graph.dequantize %q, %f : tensor<4x6xf8E4M3FN>, tensor<2x1xf32> -> tensor<4x6xf32>
    return %a, %q, %y : tensor<2x1xf32>, tensor<4x6xf8E4M3FN>, tensor<4x6xf32>
  })",
                     {x}, Mode::Faithful);
  ASSERT_EQ(results.size(), 3u);
  for (int block = 0; block < 2; ++block) {
    double largest = 0;
    for (int i = 0; i < 2 * width; ++i)
      largest = std::max(largest, std::abs(double(float(x.values[block * 2 * width + i]))));
    EXPECT_EQ(results[0].values[block], largest);
    for (int i = block * 2 * width; i < (block + 1) * 2 * width; ++i) {
      double scaled = x.values[i] / largest * 448, q = results[1].values[i];
      // Four digits, or the grid of the smallest ones.
      double gap = std::ldexp(1.0, std::max(std::ilogb(scaled), -6) - 3);
      EXPECT_LE(std::abs(q - scaled), gap * 0.50001) << i;
      EXPECT_EQ(q, std::nearbyint(q / gap * 2) * gap / 2) << i;
      EXPECT_NEAR(results[2].values[i], q * largest / 448, 1e-6);
    }
  }
}

/// Factors that are powers of two divide; what is too large saturates.
TEST_F(Decomposition, QuantizesByPowersOfTwo) {
  auto results = run(R"(
  func.func @f(%x: tensor<1x4xf32>, %a: tensor<1x2xf32>) -> (tensor<1x4xf8E5M2>, tensor<1x2xf8E8M0FNU>) {
    %f = graph.convert %a : tensor<1x2xf32> -> tensor<1x2xf8E8M0FNU>
    %q = graph.quantize %x, %f : tensor<1x4xf32>, tensor<1x2xf8E8M0FNU> -> tensor<1x4xf8E5M2>
    return %q, %f : tensor<1x4xf8E5M2>, tensor<1x2xf8E8M0FNU>
  })",
                     {tensor({1, 4}, {3, 1e9, -0.4, 0}), tensor({1, 2}, {3.5, 0.3})}, Mode::Faithful);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[1].values, (std::vector<double>{2, 0.25}));
  EXPECT_EQ(results[0].values, (std::vector<double>{1.5, 57344, -1.5, 0}));
}

TEST_F(Decomposition, ScaledMatmul) {
  auto results = run(R"(
  func.func @f(%x: tensor<2x4xf8E4M3FN>, %fx: tensor<2x2xf32>, %w: tensor<3x4xf8E5M2>, %fw: tensor<f32>) -> tensor<2x3xf32> {
    %y = graph.scaled_matmul "mk,nk->mn" %x by %fx, %w by %fw
      : (tensor<2x4xf8E4M3FN>, tensor<2x2xf32>, tensor<3x4xf8E5M2>, tensor<f32>) -> tensor<2x3xf32>
    return %y : tensor<2x3xf32>
  })",
                     {tensor({2, 4}, {1, 2, 3, 4, -1, 0.5, 0, 8}, Float8E4M3FNType::get(&context)),
                      tensor({2, 2}, {1, 10, 0.5, 100}),
                      tensor({3, 4}, {1, 0, 0, 0, 0, 1, 0, 1, 2, 2, 2, 2}, Float8E5M2Type::get(&context)),
                      tensor({}, {3})});
  ASSERT_EQ(results.size(), 1u);
  expectClose(results[0], {3, 126, 438, -1.5, 2400.75, 4798.5});
}

} // namespace
