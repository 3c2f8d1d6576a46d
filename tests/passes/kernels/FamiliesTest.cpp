//===- FamiliesTest.cpp - Kernels against their definitions ---------------===//
//
// One test per kind of op, over shapes that are no multiple of any tile, in f32 and bf16.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/kernels/KernelHarness.h"

#include <fmt/format.h>

using namespace primus::test;
using fmt::format;

namespace {

/// Rows and columns: less than a vector, odd, and several tiles.
const std::pair<int, int> kShapes[] = {{1, 1}, {7, 24}, {24, 7}, {5, 97}, {131, 64}, {3, 513}, {70, 131}};
const char *const kElements[] = {"f32", "bf16"};

HarnessOptions forElement(const std::string &element) {
  HarnessOptions options;
  options.tolerance = element == "f32" ? 2e-5 : 1e-2;
  return options;
}

/// A function of the given arguments, body and results.
std::string makeFunction(const std::string &arguments, const std::string &results, const std::string &body) {
  return format("func.func @f({}) -> ({}) attributes {{graph.layer = {{}}}} {{\n{}\n}}", arguments, results, body);
}

TEST(FamiliesTest, RmsNorm) {
  for (auto [rows, columns] : kShapes)
    for (std::string e : kElements) {
      std::string x = format("tensor<2x{}x{}x{}>", rows, columns, e), w = format("tensor<{}x{}>", columns, e),
                  r = format("tensor<2x{}xf32>", rows), dw = format("tensor<{}xf32>", columns);
      checkFunction(makeFunction(format("%x: {0}, %w: {1}", x, w), format("{0}, {1}", x, r),
                                 format("%y, %r = graph.rms_norm %x, %w eps 1.0e-05 : ({0}, {1}) -> ({0}, {2})\n"
                                        "return %y, %r : {0}, {2}",
                                        x, w, r)),
                    forElement(e));
      checkFunction(makeFunction(format("%dy: {0}, %x: {0}, %r: {1}, %w: {2}", x, r, w), format("{0}, {1}", x, dw),
                                 format("%dx, %dw = graph.rms_norm_grad %dy, %x, %r, %w : ({0}, {0}, {1}, {2}) -> ({0}, {3})\n"
                                        "return %dx, %dw : {0}, {3}",
                                        x, r, w, dw)),
                    forElement(e));
    }
}

TEST(FamiliesTest, LayerNorm) {
  for (auto [rows, columns] : kShapes)
    for (std::string e : kElements) {
      // The variance of one element is zero, and its root is all rounding.
      if (columns == 1)
        continue;
      std::string x = format("tensor<{}x{}x{}>", rows, columns, e), w = format("tensor<{}x{}>", columns, e),
                  r = format("tensor<{}xf32>", rows), dw = format("tensor<{}xf32>", columns);
      checkFunction(makeFunction(format("%x: {0}, %w: {1}, %b: {1}", x, w), format("{0}, {1}, {1}", x, r),
                                 format("%y, %m, %r = graph.layer_norm %x, %w, %b eps 1.0e-05 : ({0}, {1}, {1}) -> ({0}, {2}, {2})\n"
                                        "return %y, %m, %r : {0}, {2}, {2}",
                                        x, w, r)),
                    forElement(e));
      checkFunction(
          makeFunction(format("%dy: {0}, %x: {0}, %m: {1}, %r: {1}, %w: {2}", x, r, w), format("{0}, {1}, {1}", x, dw),
                       format("%dx, %dw, %db = graph.layer_norm_grad %dy, %x, %m, %r, %w {{has_bias}} : ({0}, {0}, {1}, {1}, {2}) -> "
                              "({0}, {3}, {3})\nreturn %dx, %dw, %db : {0}, {3}, {3}",
                              x, r, w, dw)),
          forElement(e));
    }
}

TEST(FamiliesTest, Activations) {
  for (std::string kind : {"silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "squared_relu", "sigmoid"})
    for (std::string e : kElements) {
      std::string x = format("tensor<7x131x{}>", e);
      checkFunction(makeFunction(format("%x: {0}, %dy: {0}", x), format("{0}, {0}", x),
                                 format("%y = graph.activation {1} %x : {0}\n%dx = graph.activation_grad {1} %dy, %x : {0}\n"
                                        "return %y, %dx : {0}, {0}",
                                        x, kind)),
                    forElement(e));
    }
}

TEST(FamiliesTest, Glu) {
  // The last is larger than a block.
  for (std::string shape : {"1", "7x24", "3x5x97", "41x1031"})
    for (std::string e : kElements) {
      std::string x = format("tensor<{}x{}>", shape, e);
      checkFunction(makeFunction(format("%g: {0}, %u: {0}, %dy: {0}", x), format("{0}, {0}, {0}", x),
                                 format("%y = graph.glu silu %g, %u : {0}\n%dg, %du = graph.glu_grad silu %dy, %g, %u : {0}\n"
                                        "return %y, %dg, %du : {0}, {0}, {0}",
                                        x)),
                    forElement(e));
    }
}

TEST(FamiliesTest, AdamW) {
  for (std::string shape : {"1", "131", "64x256", "97x513"}) {
    std::string p = format("tensor<{}xf32>", shape);
    // Second moments and the corrections are positive.
    checkFunction(makeFunction(format("%p: {0}, %m: {0}, %r: {0}, %g: {0}, %s: tensor<f32>, %lr: tensor<f32>", p), format("{0}, {0}, {0}", p),
                               format("%v = graph.mul %r, %r : {0}\n%c = graph.constant dense<0.75> : tensor<f32>\n"
                                      "%p1, %m1, %v1 = graph.adamw %p, %m, %v, %g, %s, %lr, %c, %c {{beta1 = 0.9, beta2 = 0.95, eps = "
                                      "1.0e-8, weight_decay = 0.1}} : {0}\nreturn %p1, %m1, %v1 : {0}, {0}, {0}",
                                      p)));
  }
}

/// Moments in bf16, and a step that is skipped.
TEST(FamiliesTest, AdamWWithNarrowMoments) {
  for (const char *scale : {"%s", "%nan"}) {
    std::string p = "tensor<97x513xf32>", m = "tensor<97x513xbf16>";
    HarnessOptions options;
    options.tolerance = 1e-2;
    checkFunction(makeFunction(format("%p: {0}, %m: {1}, %r: {1}, %g: {0}, %s: tensor<f32>, %lr: tensor<f32>", p, m), format("{0}, {1}, {1}", p, m),
                               format("%v = graph.mul %r, %r : {1}\n%c = graph.constant dense<0.75> : tensor<f32>\n"
                                      "%nan = graph.constant dense<0x7FC00000> : tensor<f32>\n"
                                      "%p1, %m1, %v1 = graph.adamw %p, %m, %v, %g, {2}, %lr, %c, %c {{beta1 = 0.9, beta2 = 0.95, eps = "
                                      "1.0e-8, weight_decay = 0.1}} : {0} moments {1}, {1}\nreturn %p1, %m1, %v1 : {0}, {1}, {1}",
                                      p, m, scale)),
                  options);
  }
}

TEST(FamiliesTest, SumsOverRows) {
  for (auto [rows, columns] : {std::pair(1, 5), std::pair(65, 7), std::pair(131, 97), std::pair(2500, 33)})
    for (std::string e : kElements) {
      std::string x = format("tensor<{}x{}x{}>", rows, columns, e), y = format("tensor<{}xf32>", columns);
      checkFunction(makeFunction(format("%x: {0}, %a: {1}", x, y), y,
                                 format("%s = graph.reduce sum %x dims [0] : {0} -> {1}\n%y = graph.add %a, %s : {1}\nreturn %y : {1}", x, y)),
                    forElement(e));
    }
}

TEST(FamiliesTest, SumsOfAll) {
  for (std::string shape : {"1", "7", "131x97", "300x400", "17x19x401"}) {
    std::string x = format("tensor<{}xf32>", shape);
    std::string dims = shape == "1" || shape == "7" ? "[0]" : shape.size() > 8 ? "[0, 1, 2]" : "[0, 1]";
    checkFunction(makeFunction(format("%x: {0}, %k: tensor<f32>, %a: tensor<f32>", x), format("{0}, tensor<f32>", x),
                               format("%b = graph.broadcast %k dims [] : tensor<f32> -> {0}\n%y = graph.mul %x, %b : {0}\n"
                                      "%q = graph.mul %y, %y : {0}\n%s = graph.reduce sum %q dims {1} : {0} -> tensor<f32>\n"
                                      "%t = graph.add %a, %s : tensor<f32>\nreturn %y, %t : {0}, tensor<f32>",
                                      x, dims)));
  }
}

TEST(FamiliesTest, SoftmaxAndMiddleDimensions) {
  for (std::string shape : {"3x5x7", "4x131x24"}) {
    std::string x = format("tensor<{}xf32>", shape), last = shape.substr(shape.rfind('x') + 1), first = shape.substr(0, 1);
    std::string middle = format("tensor<{}x{}xf32>", first, last);
    checkFunction(makeFunction("%x: " + x, format("{}, {}", x, middle),
                               format("%m = graph.reduce max %x dims [1] : {0} -> {1}\n%b = graph.broadcast %m dims [0, 2] : {1} -> {0}\n"
                                      "%y = graph.sub %x, %b : {0}\nreturn %y, %m : {0}, {1}",
                                      x, middle)));
  }
}

/// y = epilogue(a w), over the orders of letters that training needs.
TEST(FamiliesTest, Products) {
  struct Sizes {
    int m, n, k;
  };
  for (Sizes s : {Sizes{1, 1, 1}, Sizes{7, 24, 97}, Sizes{131, 97, 24}, Sizes{24, 513, 7}, Sizes{70, 33, 131}, Sizes{16, 64, 32}})
    for (std::string e : kElements)
      for (std::string spec : {"mk,nk->mn", "mk,kn->mn", "km,kn->mn", "km,nk->mn", "mk,nk->nm"}) {
        auto type = [&](std::string letters, std::string element) {
          std::string text = "tensor<";
          for (char letter : letters)
            text += format("{}x", letter == 'm' ? s.m : letter == 'n' ? s.n : s.k);
          return text + element + ">";
        };
        std::string a = type(spec.substr(0, 2), e), w = type(spec.substr(3, 2), e), y = type(spec.substr(7), "f32");
        checkFunction(makeFunction(format("%a: {}, %w: {}, %r: {}", a, w, y), y,
                                   format("%p = graph.matmul \"{3}\" %a, %w : ({0}, {1}) -> {2}\n%y = graph.add %p, %r : {2}\n"
                                          "return %y : {2}",
                                          a, w, y, spec)),
                      forElement(e));
      }
}

/// 8-bit floats of one or two formats; on chips that multiply other ones, and on processors, they are widened.
TEST(FamiliesTest, ProductsOfEightBits) {
  struct Sizes {
    int m, n, k;
  };
  for (auto [left, right] : {std::pair("f8E4M3FN", "f8E4M3FN"), std::pair("f8E5M2", "f8E4M3FN"), std::pair("f8E4M3FNUZ", "f8E5M2FNUZ")})
    for (Sizes s : {Sizes{70, 33, 131}, Sizes{130, 96, 272}})
      for (std::string spec : {"mk,nk->mn", "mk,kn->mn", "km,kn->mn", "km,nk->mn"}) {
        // All orders for one pair of formats.
        if (right != std::string("f8E4M3FN") && spec != "mk,nk->mn")
          continue;
        auto type = [&](std::string letters, std::string element) {
          std::string text = "tensor<";
          for (char letter : letters)
            text += format("{}x", letter == 'm' ? s.m : letter == 'n' ? s.n : s.k);
          return text + element + ">";
        };
        std::string a = type(spec.substr(0, 2), left), w = type(spec.substr(3, 2), right), y = type("mn", "bf16"), f = type("mn", "f32");
        checkFunction(makeFunction(format("%a: {}, %w: {}, %s: tensor<f32>", a, w), y,
                                   format("%p = graph.matmul \"{4}\" %a, %w : ({0}, {1}) -> {2}\n%b = graph.broadcast %s dims [] : tensor<f32> -> {2}\n"
                                          "%q = graph.mul %p, %b : {2}\n%y = graph.convert %q : {2} -> {3}\nreturn %y : {3}",
                                          a, w, f, y, spec)),
                      forElement("bf16"));
      }
}

/// What is copied, transposed and converted.
TEST(FamiliesTest, MovesOfEightBits) {
  HarnessOptions options;
  options.mode = primus::interpreter::Mode::Faithful;
  options.tolerance = 0;
  for (std::string e : {"f8E4M3FN", "f8E5M2FNUZ"})
    for (auto [rows, columns] : {kShapes[1], kShapes[4], kShapes[6]}) {
      std::string x = format("tensor<{}x{}xbf16>", rows, columns), q = format("tensor<{}x{}x{}>", rows, columns, e),
                  t = format("tensor<{}x{}x{}>", columns, rows, e);
      checkFunction(makeFunction("%x: " + x, format("{}, {}, {}", q, t, x),
                                 format("%q = graph.convert %x : {0} -> {1}\n%t = graph.transpose %q perm [1, 0] : {1} -> {2}\n"
                                        "%y = graph.convert %q : {1} -> {0}\nreturn %q, %t, %y : {1}, {2}, {0}",
                                        x, q, t)),
                    options);
    }
}

TEST(FamiliesTest, BatchedProducts) {
  for (std::string e : kElements) {
    std::string q = format("tensor<2x9x3x24x{}>", e), k = format("tensor<2x11x3x24x{}>", e), s = "tensor<2x3x9x11xf32>";
    checkFunction(makeFunction(format("%q: {}, %k: {}", q, k), s,
                               format("%s = graph.matmul \"bqhd,bkhd->bhqk\" %q, %k : ({0}, {1}) -> {2}\nreturn %s : {2}", q, k, s)),
                  forElement(e));
  }
}

TEST(FamiliesTest, Epilogues) {
  for (std::string e : kElements) {
    std::string x = format("tensor<2x35x40x{}>", e), w = format("tensor<72x40x{}>", e), b = format("tensor<72x{}>", e),
                y = format("tensor<2x35x72x{}>", e), f = "tensor<2x35x72xf32>";
    // Bias, activation and residual; both the product and what follows from it are results.
    checkFunction(makeFunction(format("%x: {}, %w: {}, %b: {}, %r: {}", x, w, b, y), format("{0}, {0}", y),
                               format("%p = graph.matmul \"bsh,fh->bsf\" %x, %w : ({0}, {1}) -> {3}\n"
                                      "%c = graph.broadcast %b dims [2] : {2} -> {3}\n%h = graph.add %p, %c : {3}\n"
                                      "%g = graph.activation gelu_tanh %h : {3}\n%o = graph.add %g, %r : {3}\nreturn %h, %o : {3}, {3}",
                                      x, w, b, y)),
                  forElement(e));
  }
}

TEST(FamiliesTest, GatherAndScatter) {
  for (int columns : {7, 24, 97, 513})
    for (std::string e : kElements) {
      std::string table = format("tensor<13x{}x{}>", columns, e), y = format("tensor<2x9x{}x{}>", columns, e),
                  wide = format("tensor<13x{}xf32>", columns);
      HarnessOptions options = forElement(e);
      options.integerBound = 14;
      checkFunction(makeFunction(format("%t: {}, %i: tensor<2x9xi32>, %p: tensor<9x{}x{}>", table, columns, e), y,
                                 format("%g = graph.gather %t, %i : ({0}, tensor<2x9xi32>) -> {1}\n"
                                        "%b = graph.broadcast %p dims [1, 2] : tensor<9x{2}x{3}> -> {1}\n%y = graph.add %g, %b : {1}\n"
                                        "return %y : {1}",
                                        table, y, columns, e)),
                    options);
      checkFunction(makeFunction(format("%i: tensor<2x9xi32>, %d: {}, %a: {}", y, wide), format("{0}, {0}", wide),
                                 format("%s = graph.scatter %i, %d : (tensor<2x9xi32>, {0}) -> {1}\n"
                                        "%y = graph.add %a, %s : {1}\n%z = graph.scatter %i, %d : (tensor<2x9xi32>, {0}) -> {1}\n"
                                        "%n = graph.neg %z : {1}\nreturn %y, %n : {1}, {1}",
                                        y, wide)),
                    options);
    }
}

TEST(FamiliesTest, Transposes) {
  for (std::string e : kElements) {
    std::string x = format("tensor<3x17x2x24x{}>", e), a = format("tensor<3x2x17x24x{}>", e), b = format("tensor<24x3x17x2x{}>", e),
                c = format("tensor<2x24x17x3x{}>", e);
    checkFunction(makeFunction("%x: " + x, format("{}, {}, {}", a, b, c),
                               format("%a = graph.transpose %x perm [0, 2, 1, 3] : {0} -> {1}\n"
                                      "%b = graph.transpose %x perm [3, 0, 1, 2] : {0} -> {2}\n"
                                      "%c = graph.transpose %x perm [2, 3, 1, 0] : {0} -> {3}\nreturn %a, %b, %c : {1}, {2}, {3}",
                                      x, a, b, c)));
  }
}

TEST(FamiliesTest, PartsOfTensors) {
  for (std::string e : kElements) {
    std::string x = format("tensor<5x7x33x{}>", e), s = format("tensor<5x7x24x{}>", e), c = format("tensor<5x7x57x{}>", e),
                p = format("tensor<6x9x57x{}>", e), l = format("tensor<2x7x33x{}>", e), d = format("tensor<7x7x33x{}>", e);
    checkFunction(makeFunction("%x: " + x, format("{}, {}, {}, {}", s, c, p, d),
                               format("%s = graph.slice %x at [0, 0, 9] : {0} -> {1}\n"
                                      "%n = graph.neg %s : {1}\n"
                                      "%c = graph.concat %n, %x dim 2 : ({1}, {0}) -> {2}\n"
                                      "%p = graph.pad %c at [1, 2, 0] : {2} -> {3}\n"
                                      "%q = graph.slice %x at [3, 0, 0] : {0} -> {4}\n"
                                      "%d = graph.concat %q, %x dim 0 : ({4}, {0}) -> {5}\nreturn %n, %c, %p, %d : {1}, {2}, {3}, {5}",
                                      x, s, c, p, l, d)));
  }
}

TEST(FamiliesTest, Rope) {
  for (std::string style : {"half", "interleaved"})
    for (auto [size, half] : {std::pair(8, 4), std::pair(24, 12), std::pair(128, 64), std::pair(20, 5)})
      for (std::string e : kElements) {
        std::string x = format("tensor<2x5x3x{}x{}>", size, e), t = format("tensor<5x{}xf32>", half);
        checkFunction(makeFunction(format("%x: {}, %c: {}, %s: {}", x, t, t), format("{0}, {0}", x),
                                   format("%y = graph.rope {2} %x, %c, %s : {0}, {1}\n%z = graph.rope {2} inverse %x, %c, %s : {0}, {1}\n"
                                          "return %y, %z : {0}, {0}",
                                          x, t, style)),
                      forElement(e));
      }
}

TEST(FamiliesTest, CrossEntropy) {
  for (auto [tokens, vocabulary, rows, bytes] : {std::tuple(9, 97, 97, 1 << 20), std::tuple(131, 90, 97, 16 * 97 * 4)})
    for (std::string e : kElements) {
      std::string x = format("tensor<{}x24x{}>", tokens, e), w = format("tensor<{}x24x{}>", rows, e),
                  l = format("tensor<{}xi32>", tokens), dw = format("tensor<{}x24xf32>", rows), lse = format("tensor<{}xf32>", tokens);
      HarnessOptions options = forElement(e);
      options.integerBound = vocabulary - 1;
      options.logitsBytes = bytes;
      checkFunction(makeFunction(format("%x: {}, %w: {}, %l: {}", x, w, l), format("tensor<f32>, tensor<f32>, {}, {}", x, dw),
                                 format("%one = graph.constant dense<1.0> : tensor<f32>\n"
                                        "%s, %v, %e = graph.cross_entropy %x, %w, %l vocabulary {5} : ({0}, {1}, {2}) -> (tensor<f32>, "
                                        "tensor<f32>, {4})\n"
                                        "%dx, %dw = graph.cross_entropy_grad %one, %x, %w, %l, %e vocabulary {5} : (tensor<f32>, {0}, {1}, "
                                        "{2}, {4}) -> ({0}, {3})\nreturn %s, %v, %dx, %dw : tensor<f32>, tensor<f32>, {0}, {3}",
                                        x, w, l, dw, lse, vocabulary)),
                    options);
    }
}

TEST(FamiliesTest, RunsOnOlderProcessors) {
  for (const primus::codegen::CpuTarget &target : allTargets())
    for (std::string e : kElements) {
      HarnessOptions options = forElement(e);
      options.targets = {"cpu"};
      options.target = target;
      std::string x = format("tensor<33x41x{}>", e), w = format("tensor<29x41x{}>", e), y = format("tensor<33x29x{}>", e);
      checkFunction(makeFunction(format("%x: {}, %w: {}", x, w), y,
                                 format("%n, %r = graph.rms_norm %x eps 1.0e-05 : ({0}) -> ({0}, tensor<33xf32>)\n"
                                        "%p = graph.matmul \"mk,nk->mn\" %n, %w : ({0}, {1}) -> {2}\n"
                                        "%y = graph.activation silu %p : {2}\nreturn %y : {2}",
                                        x, w, y)),
                    options);
    }
}

} // namespace
