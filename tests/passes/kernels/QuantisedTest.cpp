//===- QuantisedTest.cpp - Kernels on quantised tensors -------------------===//
//
// Scales, quantised values and their products on every target, whatever blocks the factors have. The interpreter rounds
// as the types say.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/kernels/KernelHarness.h"

#include <fmt/format.h>

using namespace primus::test;
using fmt::format;

namespace {

/// An operand and one of the ways to scale it.
struct Blocks {
  std::string tensor, factors;
};

HarnessOptions asRounded(double tolerance) {
  HarnessOptions options;
  options.mode = primus::interpreter::Mode::Faithful;
  options.tolerance = tolerance;
  return options;
}

std::string makeFunction(const std::string &arguments, const std::string &results, const std::string &body) {
  return format("func.func @f({}) -> ({}) attributes {{graph.layer = {{}}}} {{\n{}\n}}", arguments, results, body);
}

/// The whole tensor, rows, parts of rows, parts of columns, and blocks of a matrix.
const Blocks kBlocks[] = {{"2x40x256", ""}, {"2x40x256", "1x1x1x"}, {"2x40x256", "2x40x1x"}, {"2x40x256", "2x40x2x"}, {"256x384", "2x3x"}, {"7x24", "7x1x"}};

TEST(QuantisedTest, LargestOfBlocks) {
  for (const Blocks &blocks : kBlocks) {
    std::string x = format("tensor<{}xbf16>", blocks.tensor), a = format("tensor<{}f32>", blocks.factors);
    checkFunction(makeFunction("%x: " + x, a, format("%a = graph.amax %x : {0} -> {1}\nreturn %a : {1}", x, a)), asRounded(0));
  }
}

TEST(QuantisedTest, Quantises) {
  for (std::string format8 : {"f8E4M3FN", "f8E5M2", "f8E4M3FNUZ", "f8E5M2FNUZ"})
    for (const Blocks &blocks : kBlocks) {
      if (format8 != "f8E4M3FN" && &blocks != &kBlocks[3])
        continue;
      std::string x = format("tensor<{}xbf16>", blocks.tensor), s = format("tensor<{}f32>", blocks.factors),
                  q = format("tensor<{}x{}>", blocks.tensor, format8);
      checkFunction(makeFunction(format("%x: {}, %s: {}", x, s), q,
                                 format("%q = graph.quantize %x, %s : {0}, {1} -> {2}\nreturn %q : {2}", x, s, q)),
                    asRounded(0));
    }
}

TEST(QuantisedTest, QuantisesByPowers) {
  std::string x = "tensor<2x40x256xbf16>", a = "tensor<2x40x8xf32>", s = "tensor<2x40x8xf8E8M0FNU>", q = "tensor<2x40x256xf8E4M3FN>";
  checkFunction(makeFunction("%x: " + x, format("{}, {}", q, s),
                             format("%a = graph.amax %x : {0} -> {1}\n%s = graph.convert %a : {1} -> {2}\n"
                                    "%q = graph.quantize %x, %s : {0}, {2} -> {3}\nreturn %q, %s : {3}, {2}",
                                    x, a, s, q)),
                asRounded(0));
}

/// Scaled by its own largest value, after a norm, for two uses.
TEST(QuantisedTest, QuantisesWhatANormMakes) {
  std::string x = "tensor<2x40x256xbf16>", w = "tensor<256xbf16>", r = "tensor<2x40xf32>", a = "tensor<f32>", q = "tensor<2x40x256xf8E4M3FN>",
              m = "tensor<80x256xf8E4M3FN>", t = "tensor<256x80xf8E4M3FN>";
  // Values at the middle of two may be rounded either way.
  checkFunction(makeFunction(format("%x: {}, %w: {}", x, w), format("{}, {}, {}", q, t, a),
                             format("%y, %r = graph.rms_norm %x, %w eps 1.0e-05 : ({0}, {1}) -> ({0}, {2})\n"
                                    "%a = graph.amax %y : {0} -> {3}\n%c = graph.constant dense<448.0> : {3}\n"
                                    "%s = graph.div %c, %a : {3}\n%q = graph.quantize %y, %s : {0}, {3} -> {4}\n"
                                    "%m = graph.reshape %q : {4} -> {5}\n%t = graph.transpose %m perm [1, 0] : {5} -> {6}\n"
                                    "return %q, %t, %a : {4}, {6}, {3}",
                                    x, w, r, a, q, m, t)),
                asRounded(0.08));
}

/// Largest values along rows and along columns, and what they belong to: a weight in 16 bits, or what is computed of two tensors.
TEST(QuantisedTest, LargestOfRowsAndColumns) {
  // Whole tiles in few and in many instances, and the least.
  for (auto [rows, columns] : {std::pair{80, 1536}, {512, 512}, {8, 64}})
    for (bool isWeight : {false, true}) {
      std::string shape = format("{}x{}", rows, columns);
      std::string compute = isWeight ? format("%x = graph.convert %w : tensor<{0}xf32> -> tensor<{0}xbf16>\n", shape)
                                     : format("%x = graph.glu silu %w, %u : tensor<{}xbf16>\n", shape);
      std::string arguments = isWeight ? format("%w: tensor<{}xf32>", shape) : format("%w: tensor<{0}xbf16>, %u: tensor<{0}xbf16>", shape);
      std::string results = format("tensor<{}xbf16>, tensor<{}x1xf32>, tensor<1x{}xf32>", shape, rows, columns);
      checkFunction(makeFunction(arguments, results,
                                 compute + format("%a = graph.amax %x : tensor<{0}xbf16> -> tensor<{1}x1xf32>\n"
                                                  "%b = graph.amax %x : tensor<{0}xbf16> -> tensor<1x{2}xf32>\n"
                                                  "%c = graph.constant dense<448.0> : tensor<1x{2}xf32>\n"
                                                  "%d = graph.mul %b, %c : tensor<1x{2}xf32>\n"
                                                  "return %x, %a, %d : {3}",
                                                  shape, rows, columns, results)),
                    asRounded(isWeight ? 0 : 0.01));
    }
}

/// By blocks of tokens, of what is in memory the other way around.
TEST(QuantisedTest, QuantisesTransposed) {
  // Dimensions: sequences, tokens, features; a block's tokens. Features fill no tile, or several.
  for (auto [sequences, tokens, features, block] : {std::array{2, 64, 40, 32}, {1, 256, 200, 128}}) {
    std::string x = format("tensor<{}x{}x{}xbf16>", sequences, tokens, features), t = format("tensor<{}x{}x{}xbf16>", features, sequences, tokens),
                q = format("tensor<{}x{}x{}xf8E4M3FN>", features, sequences, tokens),
                a = format("tensor<{}x{}x{}xf32>", features, sequences, tokens / block),
                s = format("tensor<{}x{}x{}xf8E8M0FNU>", features, sequences, tokens / block);
    // By powers of two, and by what makes the largest value of a block 448.
    checkFunction(makeFunction("%x: " + x, format("{}, {}", q, s),
                               format("%t = graph.transpose %x perm [2, 0, 1] : {0} -> {4}\n%a = graph.amax %t : {4} -> {1}\n"
                                      "%s = graph.convert %a : {1} -> {2}\n%q = graph.quantize %t, %s : {4}, {2} -> {3}\nreturn %q, %s : {3}, {2}",
                                      x, a, s, q, t)),
                  asRounded(0));
    checkFunction(makeFunction("%x: " + x, format("{}, {}", q, a),
                               format("%t = graph.transpose %x perm [2, 0, 1] : {0} -> {3}\n%a = graph.amax %t : {3} -> {1}\n"
                                      "%c = graph.constant dense<448.0> : {1}\n%s = graph.div %c, %a : {1}\n"
                                      "%q = graph.quantize %t, %s : {3}, {1} -> {2}\nreturn %q, %s : {2}, {1}",
                                      x, a, q, t)),
                  asRounded(0.08));
  }
}

/// Along rows and, transposed, along columns, of what is read once: a bf16 activation, or a weight that is rounded first.
TEST(QuantisedTest, QuantisesInBothOrders) {
  // Dimensions: sequences, tokens, features; the elements of a block of features and of a block of tokens. Parts of the matrix that
  // an instance computes are whole, or end early.
  for (auto [sequences, tokens, features, inRow, inColumn, isWeight] :
       {std::tuple{2, 96, 160, 32, 32, false}, {1, 128, 256, 128, 128, true}, {1, 128, 40, 8, 128, false}}) {
    std::string shape = format("{}x{}x{}", sequences, tokens, features), turned = format("{}x{}x{}", features, sequences, tokens),
                counts = format("{}x{}x{}", sequences, tokens, features / inRow), turnedCounts = format("{}x{}x{}", features, sequences, tokens / inColumn);
    std::string body = isWeight ? format("%x = graph.convert %w : tensor<{0}xf32> -> tensor<{0}xbf16>\n", shape) : "";
    body += format("%a = graph.amax %x : tensor<{0}xbf16> -> tensor<{2}xf32>\n"
                   "%s = graph.convert %a : tensor<{2}xf32> -> tensor<{2}xf8E8M0FNU>\n"
                   "%q = graph.quantize %x, %s : tensor<{0}xbf16>, tensor<{2}xf8E8M0FNU> -> tensor<{0}xf8E4M3FN>\n"
                   "%t = graph.transpose %x perm [2, 0, 1] : tensor<{0}xbf16> -> tensor<{1}xbf16>\n"
                   "%ta = graph.amax %t : tensor<{1}xbf16> -> tensor<{3}xf32>\n"
                   "%ts = graph.convert %ta : tensor<{3}xf32> -> tensor<{3}xf8E8M0FNU>\n"
                   "%tq = graph.quantize %t, %ts : tensor<{1}xbf16>, tensor<{3}xf8E8M0FNU> -> tensor<{1}xf8E5M2>\n"
                   "return %q, %s, %tq, %ts : tensor<{0}xf8E4M3FN>, tensor<{2}xf8E8M0FNU>, tensor<{1}xf8E5M2>, tensor<{3}xf8E8M0FNU>",
                   shape, turned, counts, turnedCounts);
    checkFunction(makeFunction(isWeight ? format("%w: tensor<{}xf32>", shape) : format("%x: tensor<{}xbf16>", shape),
                               format("tensor<{}xf8E4M3FN>, tensor<{}xf8E8M0FNU>, tensor<{}xf8E5M2>, tensor<{}xf8E8M0FNU>", shape, counts, turned, turnedCounts),
                               body),
                  asRounded(0));
  }
}

/// One scale for each square of a weight.
TEST(QuantisedTest, QuantisesSquares) {
  for (auto [rows, columns, side, width] : {std::array{128, 256, 128, 128}, {24, 16, 8, 16}}) {
    std::string shape = format("{}x{}", rows, columns), counts = format("{}x{}", rows / side, columns / width);
    std::string body = format("%x = graph.convert %w : tensor<{0}xf32> -> tensor<{0}xbf16>\n"
                              "%a = graph.amax %x : tensor<{0}xbf16> -> tensor<{1}xf32>\n"
                              "%c = graph.constant dense<448.0> : tensor<{1}xf32>\n"
                              "%s = graph.div %c, %a : tensor<{1}xf32>\n"
                              "%q = graph.quantize %x, %s : tensor<{0}xbf16>, tensor<{1}xf32> -> tensor<{0}xf8E4M3FN>\n"
                              "return %q, %a : tensor<{0}xf8E4M3FN>, tensor<{1}xf32>",
                              shape, counts);
    checkFunction(makeFunction(format("%w: tensor<{}xf32>", shape), format("tensor<{}xf8E4M3FN>, tensor<{}xf32>", shape, counts), body), asRounded(0.08));
  }
}

/// A product of quantised operands, and what is added to it.
struct Product {
  std::string spec, left, leftFactors, right, rightFactors, result;
};

std::string makeProduct(const Product &c, const std::string &left, const std::string &right, const std::string &factors) {
  std::string a = format("tensor<{}x{}>", c.left, left), fa = format("tensor<{}{}>", c.leftFactors, factors),
              w = format("tensor<{}x{}>", c.right, right), fw = format("tensor<{}{}>", c.rightFactors, factors),
              y = format("tensor<{}xbf16>", c.result);
  return makeFunction(format("%a: {}, %fa: {}, %w: {}, %fw: {}, %r: {}", a, fa, w, fw, y), y,
                      format("%p = graph.scaled_matmul \"{0}\" %a by %fa, %w by %fw : ({1}, {2}, {3}, {4}) -> {5}\n"
                             "%y = graph.add %p, %r : {5}\nreturn %y : {5}",
                             c.spec, a, fa, w, fw, y));
}

const Product kProducts[] = {
    // Of whole tensors
    {"bsh,fh->bsf", "2x40x256", "", "96x256", "", "2x40x96"},
    {"bsf,fh->bsh", "2x40x96", "1x1x1x", "96x256", "1x1x", "2x40x256"},
    {"bsf,bsh->fh", "2x40x96", "1x1x1x", "2x40x256", "1x1x1x", "96x256"},
    // Of rows
    {"bsh,fh->bsf", "2x40x256", "2x40x1x", "96x256", "96x1x", "2x40x96"},
    {"ft,ht->fh", "96x80", "96x1x", "256x80", "256x1x", "96x256"},
    // Of blocks along the contraction
    {"bsh,fh->bsf", "2x40x256", "2x40x2x", "384x256", "3x2x", "2x40x384"},
    {"bsf,fh->bsh", "2x40x256", "2x40x2x", "256x384", "2x3x", "2x40x384"},
    {"bsh,fh->bsf", "1x40x640", "1x40x5x", "128x640", "1x5x", "1x40x128"},
    {"bsf,fh->bsh", "1x40x128", "1x40x1x", "128x384", "1x3x", "1x40x384"},
    {"fbt,hbt->fh", "70x1x384", "70x1x3x", "96x1x384", "96x1x3x", "70x96"},
    {"fbt,hbt->fh", "70x2x128", "70x2x1x", "96x2x128", "96x2x1x", "70x96"},
};

TEST(QuantisedTest, Products) {
  const std::pair<std::string, std::string> formats[] = {{"f8E4M3FN", "f8E4M3FN"}, {"f8E5M2", "f8E4M3FN"}, {"f8E4M3FNUZ", "f8E5M2FNUZ"}};
  for (auto [left, right] : formats)
    for (const Product &c : kProducts)
      if (left == right || &c == &kProducts[0] || &c == &kProducts[5])
        checkFunction(makeProduct(c, left, right, "f32"), asRounded(1e-2));
}

TEST(QuantisedTest, ProductsByPowers) {
  // One stage and several, whole tiles and parts of them; where the contraction ends within a step, operands are restored.
  const Product cases[] = {
      {"bsh,fh->bsf", "2x40x256", "2x40x8x", "96x256", "96x8x", "2x40x96"},
      {"bsh,fh->bsf", "1x128x128", "1x128x4x", "64x128", "64x4x", "1x128x64"},
      {"fbt,hbt->fh", "70x2x320", "70x2x10x", "100x2x320", "100x2x10x", "70x100"},
      {"bsh,fh->bsf", "1x40x96", "1x40x3x", "64x96", "64x3x", "1x40x64"},
  };
  for (auto [left, right] : {std::pair("f8E4M3FN", "f8E4M3FN"), {"f8E5M2", "f8E4M3FN"}, {"f8E4M3FN", "f8E5M2"}, {"f8E5M2", "f8E5M2"}})
    for (const Product &c : cases)
      if (left != std::string(right) || &c == &cases[0])
        checkFunction(makeProduct(c, left, right, "f8E8M0FNU"), asRounded(1e-2));
}

TEST(QuantisedTest, EveryProcessor) {
  for (const primus::codegen::CpuTarget &target : allTargets()) {
    HarnessOptions options = asRounded(1e-2);
    options.targets = {"cpu"};
    options.target = target;
    for (std::string encoding : {"f8E4M3FN", "f8E4M3FNUZ"})
      for (unsigned number : {0, 4, 5})
        checkFunction(makeProduct(kProducts[number], encoding, encoding, "f32"), options);
  }
}

} // namespace
