//===- EpiloguesTest.cpp - What composites' kernels compute besides -------===//
//
// Quantised values and largest values of what attention, its gradients and rotations give: whole tensors, rows and columns, of
// shapes that end within a tile.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/kernels/KernelHarness.h"

#include <fmt/format.h>

using namespace primus::test;
using fmt::format;

namespace {

struct Sizes {
  int64_t batch, tokens, heads, groups, headSize;
  std::string element;
};

const Sizes kSizes[] = {
    {1, 67, 4, 2, 24, "f32"},
    {2, 37, 3, 1, 40, "bf16"},
    {1, 40, 2, 2, 128, "bf16"},
};

/// Values rounded to 8 bits may fall to either side (of e5m2, by a step of a seventh); what is measured has the precision of its tensor.
HarnessOptions asRounded(double tolerance) {
  HarnessOptions options;
  options.mode = primus::interpreter::Mode::Faithful;
  options.tolerance = tolerance;
  return options;
}
constexpr double kOfEightBits = 0.15;
double getPrecision(const std::string &element) { return element == "f32" ? 1e-5 : 1.5e-2; }

/// Names of types of the case; `m` has rows and columns, `n` those of keys.
struct Types {
  std::string q, k, lse, m, n, rows, columns, eight, eightOfKeys;

  explicit Types(const Sizes &c) {
    q = format("tensor<{}x{}x{}x{}x{}>", c.batch, c.tokens, c.heads, c.headSize, c.element);
    k = format("tensor<{}x{}x{}x{}x{}>", c.batch, c.tokens, c.groups, c.headSize, c.element);
    lse = format("tensor<{}x{}x{}xf32>", c.batch, c.heads, c.tokens);
    m = format("tensor<{}x{}x{}>", c.batch * c.tokens, c.heads * c.headSize, c.element);
    n = format("tensor<{}x{}x{}>", c.batch * c.tokens, c.groups * c.headSize, c.element);
    eight = format("tensor<{}x{}xf8E4M3FN>", c.batch * c.tokens, c.heads * c.headSize);
    eightOfKeys = format("tensor<{}x{}xf8E5M2>", c.batch * c.tokens, c.groups * c.headSize);
    rows = format("tensor<{}x1xf32>", c.batch * c.tokens);
    columns = format("tensor<1x{}xf32>", c.heads * c.headSize);
  }
};

std::string makeFunction(const std::string &arguments, const std::string &results, const std::string &body) {
  return format("func.func @f({}) -> ({}) attributes {{graph.layer = {{}}}} {{\n{}\n}}", arguments, results, body);
}

TEST(EpiloguesTest, AttentionIsQuantised) {
  for (const Sizes &c : kSizes) {
    Types t(c);
    checkFunction(makeFunction(format("%q: {0}, %k: {1}, %v: {1}, %s: tensor<f32>", t.q, t.k), format("{}, {}, {}", t.eight, t.q, t.lse),
                               format("%o, %lse = graph.attention %q, %k, %v scale 0.21 {{causal}} : {0}, {1} -> {2}\n"
                                      "%m = graph.reshape %o : {0} -> {3}\n%y = graph.quantize %m, %s : {3}, tensor<f32> -> {4}\n"
                                      "return %y, %o, %lse : {4}, {0}, {2}",
                                      t.q, t.k, t.lse, t.m, t.eight)),
                  asRounded(kOfEightBits));
  }
}

TEST(EpiloguesTest, AttentionIsMeasured) {
  for (const Sizes &c : kSizes) {
    Types t(c);
    checkFunction(makeFunction(format("%q: {0}, %k: {1}, %v: {1}", t.q, t.k), format("tensor<f32>, {}, {}, {}", t.rows, t.columns, t.m),
                               format("%o, %lse = graph.attention %q, %k, %v scale 0.21 {{causal}} : {0}, {1} -> {2}\n"
                                      "%m = graph.reshape %o : {0} -> {3}\n%a = graph.amax %m : {3} -> tensor<f32>\n"
                                      "%r = graph.amax %m : {3} -> {4}\n%c = graph.amax %m : {3} -> {5}\n"
                                      "return %a, %r, %c, %m : tensor<f32>, {4}, {5}, {3}",
                                      t.q, t.k, t.lse, t.m, t.rows, t.columns)),
                  asRounded(getPrecision(c.element)));
  }
}

/// All gradients, and an output that comes from elsewhere.
TEST(EpiloguesTest, GradientsOfAttentionAreQuantisedAndMeasured) {
  for (const Sizes &c : {Sizes{1, 43, 4, 2, 24, "f32"}, Sizes{2, 37, 2, 1, 40, "bf16"}}) {
    Types t(c);
    std::string arguments = format("%q: {0}, %k: {1}, %v: {1}, %do: {0}, %o: {0}, %s: tensor<f32>", t.q, t.k);
    std::string gradients = format("%x, %lse = graph.attention %q, %k, %v scale 0.21 {{causal}} : {0}, {1} -> {2}\n"
                                   "%dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.21 {{causal}} : {0}, {1}, {2} -> {0}, {1}\n"
                                   "%mv = graph.reshape %dv : {1} -> {4}\n%mk = graph.reshape %dk : {1} -> {4}\n%mq = graph.reshape %dq : {0} -> {3}\n"
                                   "%mo = graph.reshape %o : {0} -> {3}\n",
                                   t.q, t.k, t.lse, t.m, t.n);
    checkFunction(makeFunction(arguments, format("{}, {}, {}, {}, {}", t.eightOfKeys, t.eightOfKeys, t.eight, t.q, t.k),
                               gradients + format("%yv = graph.quantize %mv, %s : {0}, tensor<f32> -> {1}\n"
                                                  "%yk = graph.quantize %mk, %s : {0}, tensor<f32> -> {1}\n"
                                                  "%yo = graph.quantize %mo, %s : {2}, tensor<f32> -> {3}\n"
                                                  "return %yv, %yk, %yo, %dq, %dv : {1}, {1}, {3}, {4}, {5}",
                                                  t.n, t.eightOfKeys, t.m, t.eight, t.q, t.k)),
                  asRounded(kOfEightBits));
    checkFunction(makeFunction(arguments, format("tensor<f32>, tensor<f32>, {}, {}, {}, {}", t.rows, t.columns, t.k, t.k),
                               gradients + format("%av = graph.amax %mv : {0} -> tensor<f32>\n%ak = graph.amax %mk : {0} -> tensor<f32>\n"
                                                  "%rv = graph.amax %mv : {0} -> {1}\n%cq = graph.amax %mq : {2} -> {3}\n"
                                                  "return %av, %ak, %rv, %cq, %dk, %dv : tensor<f32>, tensor<f32>, {1}, {3}, {4}, {4}",
                                                  t.n, t.rows, t.m, t.columns, t.k)),
                  asRounded(getPrecision(c.element)));
  }
}

/// By blocks of the columns of a head, of which kernels have all: one or several, which may share a tile or consist of more than one.
TEST(EpiloguesTest, AttentionIsQuantisedByBlocks) {
  const std::pair<Sizes, int64_t> cases[] = {
      {{1, 37, 2, 1, 32, "bf16"}, 32}, {{1, 16, 2, 2, 128, "bf16"}, 128}, {{1, 35, 2, 1, 128, "bf16"}, 32},
      {{2, 17, 3, 1, 40, "bf16"}, 40}, {{1, 21, 1, 1, 64, "f32"}, 16},    {{1, 21, 2, 2, 72, "bf16"}, 24},
  };
  for (const auto &[c, block] : cases) {
    Types t(c);
    std::string a = format("tensor<{}x{}xf32>", c.batch * c.tokens, c.heads * c.headSize / block),
                s = format("tensor<{}x{}xf8E8M0FNU>", c.batch * c.tokens, c.heads * c.headSize / block);
    std::string attention = format("%o, %lse = graph.attention %q, %k, %v scale 0.21 {{causal}} : {0}, {1} -> {2}\n%m = graph.reshape %o : {0} -> {3}\n"
                                   "%a = graph.amax %m : {3} -> {4}\n",
                                   t.q, t.k, t.lse, t.m, a);
    checkFunction(makeFunction(format("%q: {0}, %k: {1}, %v: {1}", t.q, t.k), format("{}, {}, {}", t.eight, a, t.q),
                               attention + format("%most = graph.constant dense<448.0> : {0}\n%s = graph.div %most, %a : {0}\n"
                                                  "%y = graph.quantize %m, %s : {1}, {0} -> {2}\nreturn %y, %s, %o : {2}, {0}, {3}",
                                                  a, t.m, t.eight, t.q)),
                  asRounded(kOfEightBits));
    if (block != 32)
      continue;
    // A power of two may be the next one, and values half as large.
    checkFunction(makeFunction(format("%q: {0}, %k: {1}, %v: {1}", t.q, t.k), t.m,
                               attention + format("%s = graph.convert %a : {0} -> {1}\n%y = graph.quantize %m, %s : {2}, {1} -> {3}\n"
                                                  "%z = graph.dequantize %y, %s : {3}, {1} -> {2}\nreturn %z : {2}",
                                                  a, s, t.m, t.eight)),
                  asRounded(kOfEightBits));
  }
}

TEST(EpiloguesTest, RotationsAreQuantisedAndMeasured) {
  for (std::string style : {"half", "interleaved"})
    for (auto [heads, size, half] : {std::tuple(3, 24, 12), std::tuple(2, 128, 64), std::tuple(3, 20, 5), std::tuple(70, 128, 64)}) {
      // More heads than a tile has.
      if (heads == 70 && style == "half")
        continue;
      std::string x = format("tensor<2x5x{}x{}xbf16>", heads, size), t = format("tensor<5x{}xf32>", half),
                  m = format("tensor<10x{}xbf16>", heads * size), q = format("tensor<10x{}xf8E5M2>", heads * size);
      std::string arguments = format("%x: {}, %c: {}, %s: {}, %f: tensor<f32>", x, t, t);
      std::string rotation = format("%y = graph.rope {} inverse %x, %c, %s : {}, {}\n%m = graph.reshape %y : {} -> {}\n", style, x, t, x, m);
      checkFunction(makeFunction(arguments, q + ", " + x,
                                 rotation + format("%q = graph.quantize %m, %f : {0}, tensor<f32> -> {1}\nreturn %q, %y : {1}, {2}", m, q, x)),
                    asRounded(kOfEightBits));
      checkFunction(makeFunction(arguments, "tensor<f32>, tensor<10x1xf32>, tensor<10x1xf32>",
                                 rotation + format("%a = graph.amax %m : {0} -> tensor<f32>\n%r = graph.amax %m : {0} -> tensor<10x1xf32>\n"
                                                   "%n = graph.constant dense<448.0> : tensor<10x1xf32>\n%i = graph.div %n, %r : tensor<10x1xf32>\n"
                                                   "return %a, %r, %i : tensor<f32>, tensor<10x1xf32>, tensor<10x1xf32>",
                                                   m)),
                    asRounded(1e-2));
    }
}

} // namespace
