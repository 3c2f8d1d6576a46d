//===- MatmulEpilogueTest.cpp - Reductions in the epilogue of a product ---===//
//
// The largest values of what a product gives, found tile by tile, on every target. Tiles that leave the result have zeros beyond it, and what
// is computed from them must not count.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/kernels/KernelHarness.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

using namespace primus;
using namespace primus::test;
using fmt::format;

namespace {

struct Case {
  /// Of products of a batch.
  int batch, m, n, k;
  /// Of a GPU's tiles: rows, columns, waves along both; zero: what the cost model chooses.
  std::array<int, 4> tile = {};
};

void PrintTo(const Case &c, std::ostream *out) {
  *out << format("{}x{}x{}x{} tile {}x{} waves {}x{}", c.batch, c.m, c.n, c.k, c.tile[0], c.tile[1], c.tile[2], c.tile[3]);
}

class MatmulEpilogue : public testing::TestWithParam<Case> {
protected:
  std::string getType(const std::string &letters, const std::string &element) const {
    Case c = GetParam();
    std::string text = "tensor<";
    for (char letter : letters)
      text += format("{}x", letter == 'b' ? c.batch : letter == 'm' ? c.m : letter == 'n' ? c.n : letter == 'k' ? c.k : 1);
    return text + element + ">";
  }

  /// Checks a function of `a`, `w` and further arguments, whose body computes from %p = a w, which is rounded to bf16.
  void check(const std::string &arguments, const std::string &results, const std::string &body, double tolerance,
             std::vector<std::string> targets = getTestTargets()) const {
    Case c = GetParam();
    std::string attributes, a = getType("bmk", "bf16"), w = getType("bnk", "bf16"), p = getType("bmn", "bf16");
    if (c.tile[0] != 0)
      attributes = format(" attributes {{primus.hardware = {{matmul_tiles = [array<i64: 0, 0, 0, 0, {}>]}}}}", fmt::join(c.tile, ", "));
    HarnessOptions options;
    options.mode = interpreter::Mode::Faithful;
    options.tolerance = tolerance;
    options.targets = std::move(targets);
    checkFunction(format("module{} {{\nfunc.func @f(%a: {}, %w: {}{}) -> ({}) attributes {{graph.layer = {{}}}} {{\n"
                         "%p = graph.matmul \"bmk,bnk->bmn\" %a, %w : ({}, {}) -> {}\n{}\n}}\n}}",
                         attributes, a, w, arguments, results, a, w, p, body),
                  options);
  }
};

} // namespace

TEST_P(MatmulEpilogue, QuantisesAndMeasures) {
  // With a scale that is known before, the bf16 result is not stored. Each target's own formats.
  for (std::string target : getTestTargets()) {
    std::string p = getType("bmn", "bf16"), q = getType("bmn", target == "gfx942" ? "f8E4M3FNUZ" : "f8E4M3FN");
    check(", %s: tensor<f32>", format("{}, tensor<f32>", q),
          format("%q = graph.quantize %p, %s : {0}, tensor<f32> -> {1}\n%m = graph.amax %p : {0} -> tensor<f32>\n"
                 "return %q, %m : {1}, tensor<f32>",
                 p, q),
          0.08, {target});
  }
}

TEST_P(MatmulEpilogue, MeasuresRowsAndColumns) {
  std::string p = getType("bmn", "bf16"), r = getType("bm1", "f32"), c = getType("11n", "f32");
  check(", %e: " + c, format("{}, {}, {}", p, r, c),
        format("%r = graph.amax %p : {0} -> {1}\n%k = graph.constant dense<448.0> : {1}\n%s = graph.div %k, %r : {1}\n"
               "%m = graph.amax %p : {0} -> {2}\n%c = graph.maximum %m, %e : {2}\nreturn %p, %s, %c : {0}, {1}, {2}",
               p, r, c),
        1e-2);
}

/// Blocks of a row that are a GPU's tile wide, with a scale each.
TEST(MatmulEpilogueBlocks, AreQuantised) {
  struct Blocks {
    int batch, m, n, k, block;
  };
  for (auto [batch, m, n, k, block] : {Blocks{1, 128, 256, 64, 128}, Blocks{2, 77, 384, 40, 128}, Blocks{1, 33, 192, 40, 64}})
    for (std::string target : {"gfx942", "gfx950"}) {
      std::string a = format("tensor<{}x{}x{}xbf16>", batch, m, k), w = format("tensor<{}x{}x{}xbf16>", batch, n, k),
                  p = format("tensor<{}x{}x{}xbf16>", batch, m, n), s = format("tensor<{}x{}x{}xf32>", batch, m, n / block),
                  q = format("tensor<{}x{}x{}x{}>", batch, m, n, target == "gfx942" ? "f8E4M3FNUZ" : "f8E4M3FN");
      HarnessOptions options;
      options.mode = interpreter::Mode::Faithful;
      options.tolerance = 0.08;
      options.targets = {target};
      checkFunction(format("func.func @f(%a: {0}, %w: {1}) -> ({2}, {3}) attributes {{graph.layer = {{}}}} {{\n"
                           "%p = graph.matmul \"bmk,bnk->bmn\" %a, %w : ({0}, {1}) -> {4}\n%m = graph.amax %p : {4} -> {3}\n"
                           "%k = graph.constant dense<240.0> : {3}\n%s = graph.div %k, %m : {3}\n"
                           "%q = graph.quantize %p, %s : {4}, {3} -> {2}\nreturn %q, %s : {2}, {3}\n}}",
                           a, w, q, s, p),
                    options);
    }
}

/// Zero times infinity is no number, and the largest of several with such a one is none; but those outside do not count.
TEST_P(MatmulEpilogue, KeepsWhatIsNoNumberInside) {
  std::string p = getType("bmn", "f32"), r = getType("bm1", "f32"), c = getType("11n", "f32"), b = getType("bmn", "bf16");
  // One in a hundred is as large as 2.5 deviations.
  double overflows = std::numeric_limits<float>::max() / (2.5 * std::sqrt(GetParam().k));
  std::string body = format("%f = graph.convert %p : {1} -> {0}\n%k = graph.constant dense<{2:e}> : {0}\n%l = graph.mul %f, %k : {0}\n"
                            "%i = graph.constant dense<1.0> : {0}\n%j = graph.div %i, %f : {0}\n%m = graph.add %l, %j : {0}\n"
                            "%o = graph.constant dense<0.0> : {0}\n%z = graph.mul %m, %o : {0}\n%x = graph.add %f, %z : {0}\n",
                            p, b, overflows);
  std::string types[] = {r, c, "tensor<f32>"};
  std::string truths[] = {getType("bm1", "i1"), getType("11n", "i1"), "tensor<i1>"};
  for (int number : {0, 1, 2})
    body += format("%m{0} = graph.amax %x : {1} -> {2}\n%n{0} = graph.compare ne %m{0}, %m{0} : {2} -> {3}\n"
                   "%k{0} = graph.constant dense<-1.0> : {2}\n%y{0} = graph.select %n{0}, %k{0}, %m{0} : {3}, {2}\n",
                   number, p, types[number], truths[number]);
  body += format("return %y0, %y1, %y2 : {}, {}, {}", r, c, types[2]);
  check("", format("{}, {}, {}", r, c, types[2]), body, 2e-2);
}

INSTANTIATE_TEST_SUITE_P(, MatmulEpilogue,
                         testing::Values(
                             // Edges; several products; less than a tile.
                             Case{1, 77, 131, 40}, Case{3, 45, 70, 33}, Case{1, 1, 5, 7},
                             // Waves along rows, columns and both, with shares of one block and of several; whole tiles.
                             Case{1, 200, 168, 40, {128, 128, 2, 2}}, Case{2, 77, 301, 40, {64, 128, 1, 4}},
                             Case{1, 300, 72, 40, {256, 64, 4, 1}}, Case{1, 128, 256, 64, {128, 256, 2, 2}}));
