//===- PrimitiveGradientTest.cpp - Derivatives of primitives --------------===//
//
// One row per differentiable primitive and variant.
//
//===----------------------------------------------------------------------===//

#include "tests/ir/graph/GradientCheck.h"

using namespace primus;
using namespace primus::testing;

namespace {

GradientCase unary(const std::string &op, bool positive = false) {
  return {op, "%x: tensor<3x4xf32>", "graph." + op + " %x : tensor<3x4xf32>", {0}, {}, positive};
}

GradientCase binary(const std::string &op, bool positive = false) {
  std::string arguments = "%x: tensor<3x4xf32>, %y: tensor<3x4xf32>";
  return {op, arguments, "graph." + op + " %x, %y : tensor<3x4xf32>", {0}, {}, positive};
}

/// An einsum of operands with the given shapes, e.g. "2x3xf32".
GradientCase matmul(const std::string &name, const std::string &spec, const std::string &lhs, const std::string &rhs,
                    const std::string &result) {
  return {"matmul_" + name, "%a: tensor<" + lhs + ">, %b: tensor<" + rhs + ">",
          "graph.matmul \"" + spec + "\" %a, %b : (tensor<" + lhs + ">, tensor<" + rhs + ">) -> tensor<" + result +
              ">"};
}

} // namespace

std::vector<GradientCase> primus::testing::getPrimitiveGradientCases() {
  return {
      unary("neg"),
      unary("exp"),
      unary("log", /*positive=*/true),
      unary("sqrt", /*positive=*/true),
      unary("rsqrt", /*positive=*/true),
      unary("tanh"),
      unary("erf"),
      unary("sigmoid"),
      binary("add"),
      binary("sub"),
      binary("mul"),
      binary("div", /*positive=*/true),
      binary("maximum"),
      binary("minimum"),
      {"mul_of_itself", "%x: tensor<3x4xf32>", "graph.mul %x, %x : tensor<3x4xf32>"},
      {"select", "%x: tensor<2x3xf32>, %y: tensor<2x3xf32>",
       "%m = graph.constant dense<[[true, false, true], [false, false, true]]> : tensor<2x3xi1>\n"
       "graph.select %m, %x, %y : tensor<2x3xi1>, tensor<2x3xf32>"},
      {"convert_narrowing", "%x: tensor<3x4xf32>", "graph.convert %x : tensor<3x4xf32> -> tensor<3x4xbf16>"},
      {"convert_widening", "%x: tensor<3x4xbf16>", "graph.convert %x : tensor<3x4xbf16> -> tensor<3x4xf32>"},

      {"broadcast_leading", "%x: tensor<4xf32>", "graph.broadcast %x dims [2] : tensor<4xf32> -> tensor<2x3x4xf32>"},
      {"broadcast_trailing", "%x: tensor<2x3xf32>",
       "graph.broadcast %x dims [0, 1] : tensor<2x3xf32> -> tensor<2x3x4xf32>"},
      {"broadcast_unit", "%x: tensor<2x1x4xf32>",
       "graph.broadcast %x dims [0, 1, 3] : tensor<2x1x4xf32> -> tensor<2x3x5x4xf32>"},
      {"broadcast_scalar", "%x: tensor<f32>", "graph.broadcast %x dims [] : tensor<f32> -> tensor<3x4xf32>"},
      {"broadcast_bf16", "%x: tensor<4xbf16>", "graph.broadcast %x dims [1] : tensor<4xbf16> -> tensor<3x4xbf16>"},
      {"reshape", "%x: tensor<2x6xf32>", "graph.reshape %x : tensor<2x6xf32> -> tensor<3x4xf32>"},
      {"transpose", "%x: tensor<2x3x4xf32>",
       "graph.transpose %x perm [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>"},
      {"slice", "%x: tensor<4x5xf32>", "graph.slice %x at [1, 2] : tensor<4x5xf32> -> tensor<2x3xf32>"},
      {"pad", "%x: tensor<2x3xf32>", "graph.pad %x at [1, 2] : tensor<2x3xf32> -> tensor<4x6xf32>"},
      {"concat", "%x: tensor<2x1xf32>, %y: tensor<2x3xf32>, %z: tensor<2x2xf32>",
       "graph.concat %x, %y, %z dim 1 : (tensor<2x1xf32>, tensor<2x3xf32>, tensor<2x2xf32>) -> tensor<2x6xf32>"},
      {"concat_leading", "%x: tensor<1x3xf32>, %y: tensor<2x3xf32>",
       "graph.concat %x, %y dim 0 : (tensor<1x3xf32>, tensor<2x3xf32>) -> tensor<3x3xf32>"},

      {"reduce_sum", "%x: tensor<2x3x4xf32>", "graph.reduce sum %x dims [1] : tensor<2x3x4xf32> -> tensor<2x4xf32>"},
      {"reduce_sum_all", "%x: tensor<2x3xf32>", "graph.reduce sum %x dims [0, 1] : tensor<2x3xf32> -> tensor<f32>"},
      {"reduce_max", "%x: tensor<2x3x4xf32>", "graph.reduce max %x dims [0, 2] : tensor<2x3x4xf32> -> tensor<3xf32>"},

      matmul("linear", "bsh,fh->bsf", "2x3x4xf32", "5x4xf32", "2x3x5xf32"),
      matmul("linear_bf16", "bsh,fh->bsf", "2x3x4xbf16", "5x4xbf16", "2x3x5xbf16"),
      matmul("bf16_to_f32", "mk,kn->mn", "2x3xbf16", "3x4xbf16", "2x4xf32"),
      matmul("batch", "bmk,bnk->bmn", "2x3x4xf32", "2x5x4xf32", "2x3x5xf32"),
      matmul("batches_apart", "bqhd,bkhd->bhqk", "2x3x2x4xf32", "2x5x2x4xf32", "2x2x3x5xf32"),
      matmul("two_contracted", "bhqk,bkhd->qd", "2x2x3x5xf32", "2x5x2x4xf32", "3x4xf32"),
      matmul("transposed_result", "mk,kn->nm", "2x3xf32", "3x4xf32", "4x2xf32"),
      matmul("outer", "m,n->mn", "3xf32", "4xf32", "3x4xf32"),
      matmul("inner", "k,k->", "5xf32", "5xf32", "f32"),
      matmul("vector", "mk,k->m", "3x5xf32", "5xf32", "3xf32"),

      {"gather", "%t: tensor<5x3xf32>",
       "%i = graph.constant dense<[[4, 0, 4], [-1, 5, 2]]> : tensor<2x3xi32>\n"
       "graph.gather %t, %i : (tensor<5x3xf32>, tensor<2x3xi32>) -> tensor<2x3x3xf32>"},
      {"gather_bf16", "%t: tensor<5x3xbf16>",
       "%i = graph.constant dense<[1, 1, 3]> : tensor<3xi32>\n"
       "graph.gather %t, %i : (tensor<5x3xbf16>, tensor<3xi32>) -> tensor<3x3xbf16>"},
      {"scatter", "%u: tensor<2x3x2xf32>",
       "%i = graph.constant dense<[[4, 0, 4], [-1, 5, 2]]> : tensor<2x3xi32>\n"
       "graph.scatter %i, %u : (tensor<2x3xi32>, tensor<2x3x2xf32>) -> tensor<5x2xf32>"},
  };
}

namespace {

class PrimitiveGradient : public GradientCheck, public ::testing::WithParamInterface<GradientCase> {};

TEST_P(PrimitiveGradient, MatchesFiniteDifferences) { checkCase(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Ops, PrimitiveGradient, ::testing::ValuesIn(getPrimitiveGradientCases()),
                         [](const auto &info) { return info.param.name; });

} // namespace
