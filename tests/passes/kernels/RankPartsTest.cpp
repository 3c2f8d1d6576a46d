//===- RankPartsTest.cpp - Kernels of ops that know their rank ------------===//
//
// What ops become where their data is split: arithmetic on i32 with the rank's place, which is an input.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/kernels/KernelHarness.h"

#include <fmt/format.h>

using namespace primus::test;
using fmt::format;

namespace {

std::string makeFunction(const std::string &arguments, const std::string &results, const std::string &body) {
  return format("func.func @f({}) -> ({}) attributes {{graph.layer = {{}}}} {{\n{}\n}}", arguments, results, body);
}

/// `%offset`: rank %r times `rows`.
std::string makeOffset(int rows) {
  return format("%size = graph.constant dense<{}> : tensor<i32>\n%offset = graph.mul %r, %size : tensor<i32>\n", rows);
}

/// Integer inputs: the rank is 1; indices and labels are from -1 to 49.
HarnessOptions makeOptions(double tolerance = 2e-5) {
  HarnessOptions options;
  options.tolerance = tolerance;
  options.integers = [](int64_t index, int64_t size) { return size == 1 ? 1 : (index * 7) % 51 - 1; };
  return options;
}

TEST(RankPartsTest, RowsOfASplitTable) {
  for (std::string e : {"f32", "bf16"}) {
    std::string table = format("tensor<17x24x{}>", e), x = format("tensor<5x13x24x{}>", e);
    checkFunction(makeFunction(format("%t: {}, %i: tensor<5x13xi32>, %r: tensor<i32>", table), x,
                               makeOffset(17) + format("%b = graph.broadcast %offset dims [] : tensor<i32> -> tensor<5x13xi32>\n"
                                                       "%l = graph.sub %i, %b : tensor<5x13xi32>\n"
                                                       "%y = graph.gather %t, %l : ({}, tensor<5x13xi32>) -> {}\nreturn %y : {}",
                                                       table, x, x)),
                  makeOptions());
    std::string sums = "tensor<17x24xf32>";
    checkFunction(makeFunction(format("%x: {}, %i: tensor<5x13xi32>, %r: tensor<i32>", x), sums,
                               makeOffset(17) + format("%b = graph.broadcast %offset dims [] : tensor<i32> -> tensor<5x13xi32>\n"
                                                       "%l = graph.sub %i, %b : tensor<5x13xi32>\n"
                                                       "%y = graph.scatter %l, %x : (tensor<5x13xi32>, {}) -> {}\nreturn %y : {}",
                                                       x, sums, sums)),
                  makeOptions(e == "f32" ? 2e-5 : 1e-2));
  }
}

TEST(RankPartsTest, Positions) {
  checkFunction(makeFunction("%r: tensor<i32>, %p: tensor<37xi32>", "tensor<37xi32>, tensor<37xi32>",
                             makeOffset(37) + "%i = graph.iota dim 0 : tensor<37xi32>\n%b = graph.broadcast %offset dims [] : tensor<i32> -> tensor<37xi32>\n"
                                              "%y = graph.add %i, %b : tensor<37xi32>\n%z = graph.maximum %y, %p : tensor<37xi32>\n"
                                              "return %y, %z : tensor<37xi32>, tensor<37xi32>"),
                makeOptions());
}

TEST(RankPartsTest, SplitVocabulary) {
  // The second half of 40 rows, of which 35 take part, in one piece and in chunks.
  for (std::string e : {"f32", "bf16"})
    for (int64_t limit : {32 << 20, 1 << 12}) {
      HarnessOptions options = makeOptions(e == "f32" ? 2e-5 : 1e-2);
      options.logitsBytes = limit;
      std::string x = format("tensor<2x37x24x{}>", e), w = format("tensor<20x24x{}>", e);
      checkFunction(
          makeFunction(format("%x: {}, %w: {}, %labels: tensor<2x37xi32>, %r: tensor<i32>, %lse: tensor<2x37xf32>, %d: tensor<f32>", x, w),
                       format("tensor<2x37xf32>, tensor<2x37xf32>, {}, tensor<20x24xf32>", x),
                       makeOffset(20) +
                           format("%part, %target = graph.cross_entropy_part %x, %w, %labels, %offset vocabulary 35 : ({0}, {1}, tensor<2x37xi32>, "
                                  "tensor<i32>) -> (tensor<2x37xf32>, tensor<2x37xf32>)\n"
                                  "%c = graph.constant dense<4.0> : tensor<2x37xf32>\n%all = graph.add %part, %c : tensor<2x37xf32>\n"
                                  "%dx, %dw = graph.cross_entropy_grad %d, %x, %w, %labels, %all offset %offset vocabulary 35 : (tensor<f32>, {0}, {1}, "
                                  "tensor<2x37xi32>, tensor<2x37xf32>, tensor<i32>) -> ({0}, tensor<20x24xf32>)\n"
                                  "return %part, %target, %dx, %dw : tensor<2x37xf32>, tensor<2x37xf32>, {0}, tensor<20x24xf32>",
                                  x, w)),
          options);
    }
}

TEST(RankPartsTest, RanksWithPaddingOnly) {
  std::string x = "tensor<37x24xf32>", w = "tensor<20x24xf32>";
  checkFunction(makeFunction(format("%x: {}, %w: {}, %labels: tensor<37xi32>, %r: tensor<i32>", x, w), "tensor<37xf32>, tensor<37xf32>",
                             makeOffset(20) + format("%part, %target = graph.cross_entropy_part %x, %w, %labels, %offset vocabulary 20 : ({}, {}, "
                                                     "tensor<37xi32>, tensor<i32>) -> (tensor<37xf32>, tensor<37xf32>)\n"
                                                     "return %part, %target : tensor<37xf32>, tensor<37xf32>",
                                                     x, w)),
                makeOptions());
}

} // namespace
