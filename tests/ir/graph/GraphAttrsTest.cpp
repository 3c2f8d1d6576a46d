//===- GraphAttrsTest.cpp - Meshes, layouts and inferred types ------------===//

#include "OpHarness.h"

#include "ir/graph/GraphBuilder.h"

#include "mlir/AsmParser/AsmParser.h"

using namespace mlir;
using namespace primus::graph;
using namespace primus::testing;

namespace {

using GraphAttrsTest = OpHarness;

TEST_F(GraphAttrsTest, MeshKnowsItsAxes) {
  auto mesh = MeshAttr::get(&context, {StringAttr::get(&context, "dp"), StringAttr::get(&context, "tp")}, {4, 2});
  EXPECT_EQ(mesh.getNumRanks(), 8);
  EXPECT_EQ(mesh.getSize("tp"), 2);
  EXPECT_EQ(mesh.getSize("pp"), std::nullopt);
}

TEST_F(GraphAttrsTest, InferredTypesKeepTrivialLayoutsOnly) {
  auto parseTensor = [&](StringRef text) { return cast<RankedTensorType>(parseType(text, &context)); };
  Type bf16 = BFloat16Type::get(&context);
  RankedTensorType plain = parseTensor("tensor<4x8xf32>");
  EXPECT_EQ(withShape(plain, {8}, bf16), parseTensor("tensor<8xbf16>"));
  RankedTensorType replicated = parseTensor("tensor<4x8xf32, #graph.layout<mesh, [[], []]>>");
  EXPECT_EQ(withShape(replicated, {8}, bf16), parseTensor("tensor<8xbf16, #graph.layout<mesh, [[]]>>"));
  RankedTensorType split = parseTensor("tensor<4x8xf32, #graph.layout<mesh, [[\"dp\"], []]>>");
  EXPECT_EQ(withShape(split, {4, 8}, bf16), parseTensor("tensor<4x8xbf16, #graph.layout<mesh, [[\"dp\"], []]>>"));
  EXPECT_EQ(withShape(split, {8}, bf16), parseTensor("tensor<8xbf16>"));
  RankedTensorType partial = parseTensor("tensor<4xf32, #graph.layout<mesh, [[]], partial = {tp : sum}>>");
  EXPECT_EQ(withShape(partial, {2, 2}, bf16), parseTensor("tensor<2x2xbf16>"));
}

TEST_F(GraphAttrsTest, DefinitionsKeepTrivialLayouts) {
  // The phases from `sharded` on decompose ops whose types have layouts.
  OpCase opCase{"rms_norm",
                "%x: tensor<3x4xbf16, #graph.layout<mesh, [[], []]>>, %w: tensor<4xf32, #graph.layout<mesh, [[]]>>",
                "graph.rms_norm %x, %w eps 1.0e-3 : (tensor<3x4xbf16, #graph.layout<mesh, [[], []]>>, "
                "tensor<4xf32, #graph.layout<mesh, [[]]>>) -> (tensor<3x4xbf16, #graph.layout<mesh, [[], []]>>, "
                "tensor<3xf32, #graph.layout<mesh, [[]]>>)",
                "tensor<3x4xbf16, #graph.layout<mesh, [[], []]>>, tensor<3xf32, #graph.layout<mesh, [[]]>>"};
  OwningOpRef<ModuleOp> module = build(opCase);
  ASSERT_TRUE(module);
  Operation *op = getOp(*module);
  OpBuilder builder(op);
  SmallVector<Value> values = cast<Decomposable>(op).decompose(builder);
  for (auto [value, result] : llvm::zip_equal(values, op->getResults()))
    EXPECT_EQ(value.getType(), result.getType());
  EXPECT_TRUE(succeeded(verify(*module)));
}

} // namespace
