//===- DecomposableTest.cpp - Definitions of composites, in plain loops ---===//
//
// Each composite's decomposition, run in f64, against the formula of its documentation written as loops. The gradients' definitions
// are tested by DifferentiableTest.
//
//===----------------------------------------------------------------------===//

#include "OpHarness.h"

using namespace mlir;
using namespace primus::graph;
using namespace primus::graph::test;

namespace {

class DecomposableTest : public OpHarness {
protected:
  /// Runs the op on random inputs, which `inputs` gets.
  SmallVector<Tensor> evaluate(const OpCase &opCase, SmallVector<Tensor> &inputs) {
    OwningOpRef<ModuleOp> module = parse(opCase);
    if (inputs.empty())
      inputs = makeInputs(getFunction(*module), opCase.positive);
    return run(*module, "f", inputs);
  }
};

TEST_F(DecomposableTest, RmsNorm) {
  SmallVector<Tensor> in;
  auto out = evaluate({"rms_norm", "%x: tensor<3x4xbf16>, %w: tensor<4xf32>",
                       "graph.rms_norm %x, %w eps 1.0e-2 {offset = 1.0} : (tensor<3x4xbf16>, tensor<4xf32>) -> "
                       "(tensor<3x4xbf16>, tensor<3xf32>)",
                       "tensor<3x4xbf16>, tensor<3xf32>"},
                      in);
  std::vector<double> y, rstd;
  for (int row = 0; row < 3; ++row) {
    const double *x = &in[0].values[row * 4];
    double squares = 0;
    for (int i = 0; i < 4; ++i)
      squares += x[i] * x[i];
    rstd.push_back(1 / std::sqrt(squares / 4 + 1e-2));
    for (int i = 0; i < 4; ++i)
      y.push_back(x[i] * rstd.back() * (1 + in[1].values[i]));
  }
  expectClose(out[0].values, y, 1e-12, "y");
  expectClose(out[1].values, rstd, 1e-12, "rstd");
}

TEST_F(DecomposableTest, LayerNorm) {
  SmallVector<Tensor> in;
  auto out = evaluate({"layer_norm", "%x: tensor<3x4xf32>, %w: tensor<4xf32>, %b: tensor<4xf32>",
                       "graph.layer_norm %x, %w, %b eps 1.0e-2 : (tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>) -> "
                       "(tensor<3x4xf32>, tensor<3xf32>, tensor<3xf32>)",
                       "tensor<3x4xf32>, tensor<3xf32>, tensor<3xf32>"},
                      in);
  std::vector<double> y, means, rstd;
  for (int row = 0; row < 3; ++row) {
    const double *x = &in[0].values[row * 4];
    double mean = (x[0] + x[1] + x[2] + x[3]) / 4, variance = 0;
    for (int i = 0; i < 4; ++i)
      variance += (x[i] - mean) * (x[i] - mean) / 4;
    means.push_back(mean);
    rstd.push_back(1 / std::sqrt(variance + 1e-2));
    for (int i = 0; i < 4; ++i)
      y.push_back((x[i] - mean) * rstd.back() * in[1].values[i] + in[2].values[i]);
  }
  expectClose(out[0].values, y, 1e-12, "y");
  expectClose(out[1].values, means, 1e-12, "mean");
  expectClose(out[2].values, rstd, 1e-12, "rstd");
}

double evaluateActivation(StringRef kind, double x) {
  if (kind == "silu")
    return x / (1 + std::exp(-x));
  if (kind == "gelu")
    return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (kind == "gelu_tanh")
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  if (kind == "quick_gelu")
    return x / (1 + std::exp(-1.702 * x));
  if (kind == "relu")
    return std::max(x, 0.0);
  if (kind == "squared_relu")
    return std::max(x, 0.0) * std::max(x, 0.0);
  return 1 / (1 + std::exp(-x));
}

TEST_F(DecomposableTest, Activations) {
  for (StringRef kind : {"silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "squared_relu", "sigmoid"}) {
    SCOPED_TRACE(kind.str());
    SmallVector<Tensor> in, gluIn;
    std::string op = ("graph.activation " + kind + " %x : tensor<16xf32>").str();
    auto out = evaluate({"activation", "%x: tensor<16xf32>", op.c_str(), "tensor<16xf32>"}, in);
    std::string glu = ("graph.glu " + kind + " %x, %y : tensor<16xf32>").str();
    auto gluOut =
        evaluate({"glu", "%x: tensor<16xf32>, %y: tensor<16xf32>", glu.c_str(), "tensor<16xf32>"}, gluIn);
    std::vector<double> expected, expectedGlu;
    for (int i = 0; i < 16; ++i) {
      expected.push_back(evaluateActivation(kind, in[0].values[i]));
      expectedGlu.push_back(evaluateActivation(kind, gluIn[0].values[i]) * gluIn[1].values[i]);
    }
    expectClose(out[0].values, expected, 1e-12, "activation");
    expectClose(gluOut[0].values, expectedGlu, 1e-12, "glu");
  }
}

TEST_F(DecomposableTest, Rope) {
  constexpr int batch = 2, tokens = 3, heads = 2, size = 6, pairs = 2;
  for (StringRef style : {"half", "interleaved"})
    for (bool inverse : {false, true}) {
      SCOPED_TRACE(style.str() + (inverse ? " inverse" : ""));
      std::string op = ("graph.rope " + style + (inverse ? " inverse" : "") +
                        " %x, %cos, %sin : tensor<2x3x2x6xf32>, tensor<3x2xf32>")
                           .str();
      SmallVector<Tensor> in;
      auto out = evaluate({"rope", "%x: tensor<2x3x2x6xf32>, %cos: tensor<3x2xf32>, %sin: tensor<3x2xf32>", op.c_str(),
                           "tensor<2x3x2x6xf32>"},
                          in);
      std::vector<double> expected = in[0].values;
      for (int b = 0; b < batch; ++b)
        for (int t = 0; t < tokens; ++t)
          for (int h = 0; h < heads; ++h)
            for (int i = 0; i < pairs; ++i) {
              int head = ((b * tokens + t) * heads + h) * size;
              int first = head + (style == "half" ? i : 2 * i), second = style == "half" ? first + pairs : first + 1;
              double cos = in[1].values[t * pairs + i], sin = in[2].values[t * pairs + i] * (inverse ? -1 : 1);
              expected[first] = in[0].values[first] * cos - in[0].values[second] * sin;
              expected[second] = in[0].values[second] * cos + in[0].values[first] * sin;
            }
      expectClose(out[0].values, expected, 1e-12, "y");
    }
}

struct AttentionKnobs {
  bool causal;
  int window; // 0: none
  double softcap;
  int keys;
};

TEST_F(DecomposableTest, Attention) {
  constexpr int batch = 2, tokens = 5, heads = 4, groups = 2, size = 3;
  constexpr double scale = 0.7;
  const AttentionKnobs cases[] = {{false, 0, 0, 5}, {true, 0, 0, 5},  {true, 2, 0, 5}, {false, 3, 0, 5},
                                  {true, 0, 1.5, 5}, {false, 0, 0, 7}, {false, 2, 0, 2}};
  for (const AttentionKnobs &knobs : cases) {
    SCOPED_TRACE(testing::Message() << "causal " << knobs.causal << ", window " << knobs.window << ", softcap "
                                    << knobs.softcap << ", keys " << knobs.keys);
    std::string attributes = "{softcap = " + std::to_string(knobs.softcap) + " : f64";
    if (knobs.causal)
      attributes += ", causal";
    if (knobs.window)
      attributes += ", window = " + std::to_string(knobs.window) + " : i64";
    std::string keys = "tensor<2x" + std::to_string(knobs.keys) + "x2x3xf32>";
    std::string arguments = "%q: tensor<2x5x4x3xf32>, %k: " + keys + ", %v: " + keys;
    std::string op = "graph.attention %q, %k, %v scale 0.7 " + attributes + "} : tensor<2x5x4x3xf32>, " + keys +
                     " -> tensor<2x4x5xf32>";
    SmallVector<Tensor> in;
    auto out =
        evaluate({"attention", arguments.c_str(), op.c_str(), "tensor<2x5x4x3xf32>, tensor<2x4x5xf32>"}, in);

    std::vector<double> expected(out[0].size(), 0), lse(out[1].size(), 0);
    for (int b = 0; b < batch; ++b)
      for (int h = 0; h < heads; ++h)
        for (int i = 0; i < tokens; ++i) {
          int group = h / (heads / groups);
          const double *q = &in[0].values[((b * tokens + i) * heads + h) * size];
          auto keyRow = [&](const Tensor &tensor, int j) {
            return &tensor.values[((b * knobs.keys + j) * groups + group) * size];
          };
          std::vector<std::pair<int, double>> weights;
          double total = 0;
          for (int j = 0; j < knobs.keys; ++j) {
            if ((knobs.causal && j > i) || (knobs.window && i - j >= knobs.window))
              continue;
            const double *k = keyRow(in[1], j);
            double score = scale * (q[0] * k[0] + q[1] * k[1] + q[2] * k[2]);
            if (knobs.softcap != 0)
              score = knobs.softcap * std::tanh(score / knobs.softcap);
            weights.emplace_back(j, std::exp(score));
            total += std::exp(score);
          }
          for (auto [j, weight] : weights)
            for (int d = 0; d < size; ++d)
              expected[((b * tokens + i) * heads + h) * size + d] += weight / total * keyRow(in[2], j)[d];
          int row = (b * heads + h) * tokens + i;
          // Where a token sees no key, any value far below all scores will do.
          lse[row] = weights.empty() ? out[1].values[row] : std::log(total);
          if (weights.empty())
            EXPECT_LT(out[1].values[row], -1e6);
        }
    expectClose(out[0].values, expected, 1e-12, "out");
    expectClose(out[1].values, lse, 1e-12, "lse");
  }
}

TEST_F(DecomposableTest, CrossEntropy) {
  constexpr int tokens = 6, width = 3, vocabulary = 5;
  SmallVector<Tensor> in;
  auto out = evaluate({"cross_entropy", "%x: tensor<6x3xf32>, %w: tensor<7x3xf32>, %labels: tensor<6xi32>",
                       "graph.cross_entropy %x, %w, %labels vocabulary 5 : (tensor<6x3xf32>, tensor<7x3xf32>, "
                       "tensor<6xi32>) -> (tensor<f32>, tensor<f32>, tensor<6xf32>)",
                       "tensor<f32>, tensor<f32>, tensor<6xf32>"},
                      in);
  in[2].values = {0, 4, -1, 2, -100, 3};
  out = evaluate({"cross_entropy", "%x: tensor<6x3xf32>, %w: tensor<7x3xf32>, %labels: tensor<6xi32>",
                  "graph.cross_entropy %x, %w, %labels vocabulary 5 : (tensor<6x3xf32>, tensor<7x3xf32>, "
                  "tensor<6xi32>) -> (tensor<f32>, tensor<f32>, tensor<6xf32>)",
                  "tensor<f32>, tensor<f32>, tensor<6xf32>"},
                 in);
  double loss = 0;
  std::vector<double> lse;
  for (int t = 0; t < tokens; ++t) {
    std::vector<double> logits;
    double total = 0;
    for (int v = 0; v < vocabulary; ++v) {
      double logit = 0;
      for (int i = 0; i < width; ++i)
        logit += in[0].values[t * width + i] * in[1].values[v * width + i];
      logits.push_back(logit);
      total += std::exp(logit);
    }
    lse.push_back(std::log(total));
    if (int label = static_cast<int>(in[2].values[t]); label >= 0)
      loss += lse.back() - logits[label];
  }
  expectClose(out[0].values, {loss}, 1e-12, "loss");
  expectClose(out[1].values, {4}, 0, "valid");
  expectClose(out[2].values, lse, 1e-12, "lse");
}

TEST_F(DecomposableTest, AdamW) {
  SmallVector<Tensor> in;
  auto out = evaluate({"adamw",
                       "%p: tensor<5xf32>, %m: tensor<5xf32>, %v: tensor<5xf32>, %g: tensor<5xf32>, %s: tensor<f32>, "
                       "%lr: tensor<f32>, %c1: tensor<f32>, %c2: tensor<f32>",
                       "graph.adamw %p, %m, %v, %g, %s, %lr, %c1, %c2 {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, "
                       "weight_decay = 0.1} : tensor<5xf32>",
                       "tensor<5xf32>, tensor<5xf32>, tensor<5xf32>", /*positive=*/true},
                      in);
  std::vector<double> p, m, v;
  double scale = in[4].values[0], lr = in[5].values[0], c1 = in[6].values[0], c2 = in[7].values[0];
  for (int i = 0; i < 5; ++i) {
    double g = in[3].values[i] * scale;
    m.push_back(0.9 * in[1].values[i] + 0.1 * g);
    v.push_back(0.95 * in[2].values[i] + 0.05 * g * g);
    p.push_back(in[0].values[i] - lr * (m[i] / c1 / (std::sqrt(v[i] / c2) + 1e-8) + 0.1 * in[0].values[i]));
  }
  expectClose(out[0].values, p, 1e-12, "param");
  expectClose(out[1].values, m, 1e-12, "m");
  expectClose(out[2].values, v, 1e-12, "v");
}

TEST_F(DecomposableTest, Pack) {
  constexpr int batch = 2, rows = 5, columns = 7, width = 4, group = 2, panels = 2, groups = 3;
  for (bool transposed : {false, true}) {
    std::string type = transposed ? "tensor<2x7x5xbf16>" : "tensor<2x5x7xbf16>";
    std::string op = "graph.pack %x width 4 group 2 " + std::string(transposed ? "{transposed}" : "") + " : " + type +
                     " -> tensor<2x2x3x4x2xbf16>";
    SmallVector<Tensor> in;
    auto out = evaluate({"pack", ("%x: " + type).c_str(), op.c_str(), "tensor<2x2x3x4x2xbf16>"}, in);
    std::vector<double> expected;
    for (int b = 0; b < batch; ++b)
      for (int panel = 0; panel < panels; ++panel)
        for (int g = 0; g < groups; ++g)
          for (int column = panel * width; column < (panel + 1) * width; ++column)
            for (int row = g * group; row < (g + 1) * group; ++row) {
              bool inside = row < rows && column < columns;
              int at = transposed ? (b * columns + column) * rows + row : (b * rows + row) * columns + column;
              expected.push_back(inside ? in[0].values[at] : 0);
            }
    expectClose(out[0].values, expected, 0, "packed");
  }
}

} // namespace
