//===- RowBlocksTest.cpp - Norms that quantise by blocks ------------------===//

#include "tests/passes/kernels/KernelHarness.h"

#include <fmt/format.h>

using namespace primus::test;
using fmt::format;

namespace {

/// Values at the middle of two of 8 bits may be rounded either way.
HarnessOptions asRounded() {
  HarnessOptions options;
  options.mode = primus::interpreter::Mode::Faithful;
  options.tolerance = 0.15;
  return options;
}

std::string makeFunction(const std::string &arguments, const std::string &results, const std::string &body) {
  return format("func.func @f({}) -> ({}) attributes {{graph.layer = {{}}}} {{\n{}\n}}", arguments, results, body);
}

struct Sizes {
  int64_t rows, columns, block;
};

/// Rows of one tile, of several, and with a rest.
const Sizes kSizes[] = {{7, 256, 128}, {5, 384, 128}, {3, 4096, 128}, {7, 64, 32}, {2, 5152, 32}, {1, 512, 64}};

TEST(RowBlocksTest, NormsQuantise) {
  for (Sizes c : kSizes)
    for (std::string powers : {"f32", "f8E8M0FNU"}) {
      std::string x = format("tensor<1x{}x{}xbf16>", c.rows, c.columns), w = format("tensor<{}xbf16>", c.columns), r = format("tensor<1x{}xf32>", c.rows),
                  a = format("tensor<1x{}x{}xf32>", c.rows, c.columns / c.block), s = format("tensor<1x{}x{}x{}>", c.rows, c.columns / c.block, powers),
                  q = format("tensor<1x{}x{}xf8E4M3FN>", c.rows, c.columns);
      std::string scale = powers == "f32" ? format("%m = graph.constant dense<448.0> : {0}\n%s = graph.div %m, %a : {0}\n", a)
                                          : format("%s = graph.convert %a : {} -> {}\n", a, s);
      // What is added before, and what is quantised, are wanted, too.
      checkFunction(makeFunction(format("%x: {0}, %z: {0}, %w: {1}", x, w), format("{}, {}, {}, {}, {}", x, x, r, q, s),
                                 format("%h = graph.add %x, %z : {0}\n%y, %r = graph.rms_norm %h, %w eps 1.0e-05 : ({0}, {1}) -> ({0}, {2})\n"
                                        "%a = graph.amax %y : {0} -> {3}\n{6}%q = graph.quantize %y, %s : {0}, {4} -> {5}\n"
                                        "return %h, %y, %r, %q, %s : {0}, {0}, {2}, {5}, {4}",
                                        x, w, r, a, s, q, scale)),
                    asRounded());
    }
}

/// The gradient of a norm, with the residual's.
TEST(RowBlocksTest, GradientsOfNormsQuantise) {
  for (Sizes c : kSizes) {
    std::string x = format("tensor<1x{}x{}xbf16>", c.rows, c.columns), w = format("tensor<{}xbf16>", c.columns), f = format("tensor<{}xf32>", c.columns),
                r = format("tensor<1x{}xf32>", c.rows), a = format("tensor<1x{}x{}xf32>", c.rows, c.columns / c.block),
                q = format("tensor<1x{}x{}xf8E5M2>", c.rows, c.columns);
    checkFunction(makeFunction(format("%x: {0}, %dy: {0}, %z: {0}, %w: {1}", x, w), format("{}, {}, {}", q, a, f),
                               format("%y, %r = graph.rms_norm %x, %w eps 1.0e-05 : ({0}, {1}) -> ({0}, {2})\n"
                                      "%dx, %dw = graph.rms_norm_grad %dy, %x, %r, %w : ({0}, {0}, {2}, {1}) -> ({0}, {5})\n"
                                      "%g = graph.add %dx, %z : {0}\n%a = graph.amax %g : {0} -> {3}\n"
                                      "%m = graph.constant dense<57344.0> : {3}\n%s = graph.div %m, %a : {3}\n"
                                      "%q = graph.quantize %g, %s : {0}, {3} -> {4}\nreturn %q, %s, %dw : {4}, {3}, {5}",
                                      x, w, r, a, q, f)),
                  asRounded());
  }
}

} // namespace
