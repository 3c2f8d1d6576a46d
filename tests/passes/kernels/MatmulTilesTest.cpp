//===- MatmulTilesTest.cpp - Products on every kind of tile ---------------===//
//
// The cost model gives small products small tiles. Here a table gives them all others, so that each way through LDS is
// taken: stages of all sizes, both orders of both operands, one wave and many.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/kernels/KernelHarness.h"

#include <fmt/format.h>

using namespace primus;
using namespace primus::test;
using fmt::format;

namespace {

struct Case {
  const char *spec, *element;
  int m, n, k, rows, columns, wavesAlong, wavesAcross;
};

void PrintTo(const Case &c, std::ostream *out) {
  *out << fmt::format("{} {} {}x{}x{} tile {}x{} waves {}x{}", c.spec, c.element, c.m, c.n, c.k, c.rows, c.columns,
                      c.wavesAlong, c.wavesAcross);
}

class MatmulTiles : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(MatmulTiles, AgreeWithTheInterpreter) {
  Case c = GetParam();
  std::string spec = c.spec, element = c.element;
  auto type = [&](const std::string &letters, const std::string &element) {
    std::string text = "tensor<2x";
    for (char letter : letters)
      text += format("{}x", letter == 'm' ? c.m : letter == 'n' ? c.n : c.k);
    return text + element + ">";
  };
  std::string a = type(spec.substr(0, 2), element), w = type(spec.substr(2), element), y = type("mn", element);
  HarnessOptions options;
  options.tolerance = element == "f32" ? 2e-5 : element == "f16" ? 2e-3 : 1e-2;
  options.targets = {"gfx942", "gfx950"};
  checkFunction(
      format("module attributes {{primus.hardware = {{matmul_tiles = [array<i64: 0, 0, 0, 0, {}, {}, {}, {}>]}}}} {{\n"
             "func.func @f(%a: {}, %w: {}, %r: {}) -> {} attributes {{graph.layer = {{}}}} {{\n"
             "%p = graph.matmul \"b{},b{}->bmn\" %a, %w : ({}, {}) -> {}\n%y = graph.add %p, %r : {}\nreturn %y : {}\n}}\n}}",
             c.rows, c.columns, c.wavesAlong, c.wavesAcross, a, w, y, y, spec.substr(0, 2), spec.substr(2), a, w, y, y, y),
      options);
}

/// A long epilogue, with two results and an input of their size, on as many sums as the cost model allows it, needs no
/// scratch memory.
TEST(LargeTile, EpilogueFitsInRegisters) {
  HarnessOptions options;
  options.tolerance = 1e-2;
  options.targets = {"gfx942", "gfx950"};
  checkFunction(R"(module attributes {primus.hardware = {matmul_tiles = [array<i64: 0, 0, 0, 0, 128, 256, 2, 2>]}} {
func.func @f(%x: tensor<1x256x64xbf16>, %w: tensor<256x64xbf16>, %b: tensor<256xbf16>, %r: tensor<1x256x256xbf16>)
    -> (tensor<1x256x256xbf16>, tensor<1x256x256xbf16>) attributes {graph.layer = {}} {
  %p = graph.matmul "bsh,fh->bsf" %x, %w : (tensor<1x256x64xbf16>, tensor<256x64xbf16>) -> tensor<1x256x256xbf16>
  %c = graph.broadcast %b dims [2] : tensor<256xbf16> -> tensor<1x256x256xbf16>
  %h = graph.add %p, %c : tensor<1x256x256xbf16>
  %g = graph.activation gelu_tanh %h : tensor<1x256x256xbf16>
  %o = graph.add %g, %r : tensor<1x256x256xbf16>
  return %h, %o : tensor<1x256x256xbf16>, tensor<1x256x256xbf16>
}
})",
                options);
}

INSTANTIATE_TEST_SUITE_P(
    , MatmulTiles,
    testing::Values(
        // Whole stages, neighbours along the contraction; several stages, so that the loop runs.
        Case{"mknk", "bf16", 256, 256, 320, 256, 256, 2, 2}, Case{"mknk", "f16", 128, 256, 256, 128, 256, 2, 4},
        Case{"mknk", "f32", 64, 128, 96, 64, 128, 2, 2},
        // Neighbours along rows and columns: lines change places in registers.
        Case{"kmkn", "bf16", 256, 256, 192, 256, 256, 2, 2}, Case{"mkkn", "bf16", 128, 64, 256, 128, 64, 2, 1},
        Case{"kmkn", "f16", 32, 64, 192, 32, 64, 1, 1}, Case{"kmkn", "f32", 128, 64, 96, 128, 64, 4, 1},
        Case{"kmnk", "bf16", 64, 64, 128, 64, 64, 2, 2},
        // Edges in every dimension, aligned and not.
        Case{"mknk", "bf16", 200, 168, 200, 128, 128, 2, 2}, Case{"mkkn", "bf16", 77, 131, 141, 64, 128, 1, 4},
        Case{"kmkn", "bf16", 77, 131, 141, 128, 64, 4, 2}, Case{"kmnk", "f32", 45, 70, 77, 32, 64, 1, 2},
        Case{"mknk", "f16", 300, 40, 65, 128, 32, 4, 1}, Case{"kmkn", "f16", 264, 264, 72, 256, 128, 4, 2},
        // A contraction shorter than a stage.
        Case{"mknk", "bf16", 64, 64, 16, 64, 64, 2, 2}, Case{"kmkn", "f32", 64, 64, 5, 64, 64, 2, 2}));
