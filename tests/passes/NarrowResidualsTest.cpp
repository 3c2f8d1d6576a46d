//===- NarrowResidualsTest.cpp - Smaller residuals ------------------------===//

#include "passes/LayerFunction.h"
#include "passes/Residuals.h"
#include "tests/ir/interpreter/Run.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class NarrowResidualsTest : public IrTest {
protected:
  /// A layer whose backward function gets %h in f32 and computes `body`, %g of bf16, from it. Narrows by conversions and reductions.
  /// Tensors are 4x8, or as large as `size` says.
  void build(const std::string &body, std::array<int64_t, 2> size = {4, 8}) {
    shape = size;
    std::string source = R"(
func.func @f(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"}) -> (tensor<4x8xf32> {graph.name = "y"}, tensor<4x8xf32> {graph.name = "h"})
    attributes {graph.layer = {layer = "p", part = "forward"}, graph.backward = @b} {
  %h = graph.tanh %x : tensor<4x8xf32> loc("h")
  %y = graph.exp %h : tensor<4x8xf32> loc("y")
  return %y, %h : tensor<4x8xf32>, tensor<4x8xf32>
}
func.func @b(%dy: tensor<4x8xbf16> {graph.arg = "cotangent", graph.of = 0 : i64}, %h: tensor<4x8xf32> {graph.arg = "residual", graph.of = 1 : i64})
    -> (tensor<4x8xbf16> {graph.of = 0 : i64}) attributes {graph.layer = {layer = "p", part = "backward"}} {
)" + body + R"(
  %dx = graph.mul %dy, %g : tensor<4x8xbf16> loc("dx")
  return %dx : tensor<4x8xbf16>
}
func.func @main(%x: tensor<4x8xf32>, %dy: tensor<4x8xbf16>) -> tensor<4x8xbf16> {
  %0:2 = graph.call @f(%x) instance "p" : (tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
  %1 = graph.call @b(%dy, %0#1) instance "p" : (tensor<4x8xbf16>, tensor<4x8xf32>) -> tensor<4x8xbf16>
  return %1 : tensor<4x8xbf16>
})";
    std::string small = "4x8", large = std::to_string(size[0]) + "x" + std::to_string(size[1]);
    for (size_t place = 0; (place = source.find(small, place)) != std::string::npos; place += large.size())
      source.replace(place, small.size(), large);
    module = parse(source);
    ASSERT_TRUE(module) << messages;
    std::vector<double> before = run();
    narrowResiduals(get("f"), get("b"), [](Operation *op) { return isa<graph::ConvertOp, graph::ReduceOp>(op); });
    ASSERT_TRUE(succeeded(verify(*module))) << messages;
    EXPECT_EQ(run(), before);
  }

  func::FuncOp get(StringRef name) { return module->lookupSymbol<func::FuncOp>(name); }

  std::vector<double> run() {
    interpreter::Tensor dy = random({shape[0], shape[1]}, 2);
    dy.elementType = BFloat16Type::get(&context);
    dy.round();
    auto results = interpreter::Interpreter(*module, interpreter::Mode::Faithful).run("main", {random({shape[0], shape[1]}, 1), dy});
    EXPECT_TRUE(succeeded(results)) << messages;
    return succeeded(results) ? results->front().values : std::vector<double>();
  }

  /// The types of what forward returns beside %y.
  std::string residuals() {
    SmallVector<std::string> types;
    for (Type type : get("f").getResultTypes().drop_front())
      llvm::raw_string_ostream(types.emplace_back()) << getElementTypeOrSelf(type);
    return llvm::join(types, " ");
  }

  OwningOpRef<ModuleOp> module;
  std::array<int64_t, 2> shape;
};

TEST_F(NarrowResidualsTest, ForwardConvertsWhatBackwardOnlyConverts) {
  build(R"(  %g = graph.convert %h : tensor<4x8xf32> -> tensor<4x8xbf16> loc("g"))");
  EXPECT_EQ(residuals(), "bf16");
  EXPECT_TRUE(get("b").getOps<graph::ConvertOp>().empty());
  EXPECT_EQ(getArgOf(get("b"), 1), 1u);
}

TEST_F(NarrowResidualsTest, WhatIsReadAsItIsStays) {
  build(R"(  %e = graph.exp %h : tensor<4x8xf32>
  %c = graph.convert %e : tensor<4x8xf32> -> tensor<4x8xbf16>
  %n = graph.convert %h : tensor<4x8xf32> -> tensor<4x8xbf16>
  %g = graph.add %c, %n : tensor<4x8xbf16>)");
  EXPECT_EQ(residuals(), "f32");
}

TEST_F(NarrowResidualsTest, WhatIsNoSmallerStays) {
  build(R"(  %a = graph.convert %h : tensor<4x8xf32> -> tensor<4x8xbf16>
  %b = graph.convert %h : tensor<4x8xf32> -> tensor<4x8xf16>
  %w = graph.convert %b : tensor<4x8xf16> -> tensor<4x8xf32>
  %e = graph.exp %w : tensor<4x8xf32>
  %c = graph.convert %e : tensor<4x8xf32> -> tensor<4x8xbf16>
  %g = graph.add %a, %c : tensor<4x8xbf16>)");
  EXPECT_EQ(residuals(), "f32");
}

TEST_F(NarrowResidualsTest, FewNumbersAreNotFoundTwice) {
  std::string body = R"(  %r = graph.reduce max %h dims [1] : tensor<4x8xf32> -> tensor<128xf32>
  %m = graph.reduce max %r dims [0] : tensor<128xf32> -> tensor<f32>
  %b = graph.broadcast %m dims [] : tensor<f32> -> tensor<4x8xf32>
  %s = graph.mul %h, %b : tensor<4x8xf32>
  %g = graph.convert %s : tensor<4x8xf32> -> tensor<4x8xbf16>)";
  build(body, {128, 64});
  EXPECT_EQ(residuals(), "f32 f32");
  EXPECT_TRUE(get("b").getOps<graph::ReduceOp>().empty());
  // Of a small tensor they are no small part.
  build(body, {128, 2});
  EXPECT_EQ(residuals(), "f32");
}

} // namespace
