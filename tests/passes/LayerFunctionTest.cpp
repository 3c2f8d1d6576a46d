//===- LayerFunctionTest.cpp - The calling convention of layers ------------===//

#include "passes/LayerFunction.h"
#include "tests/ir/interpreter/Run.h"

#include "mlir/AsmParser/AsmParser.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class LayerFunctionTest : public IrTest {
protected:
  func::FuncOp parseFunction(const std::string &text) {
    module = parse(text);
    return module ? module->lookupSymbol<func::FuncOp>("f") : func::FuncOp();
  }

  OwningOpRef<ModuleOp> module;
};

TEST_F(LayerFunctionTest, KindsAreReadAsTheyAreWritten) {
  constexpr ArgKind kinds[] = {ArgKind::Activation,  ArgKind::Parameter, ArgKind::Constant,
                               ArgKind::Cotangent,   ArgKind::Residual,  ArgKind::Accumulator,
                               ArgKind::Gradient,    ArgKind::Moment,    ArgKind::Scalar};
  func::FuncOp f = parseFunction("func.func @f(%x: tensor<f32>) {\nreturn\n}");
  ASSERT_TRUE(f);
  for (ArgKind kind : kinds) {
    f.setArgAttrs(0, getArgAttrs(&context, "a", kind, 4));
    FailureOr<ArgKind> read = getArgKind(f, 0);
    ASSERT_TRUE(succeeded(read)) << messages;
    EXPECT_EQ(*read, kind);
    EXPECT_EQ(f.getArgAttrOfType<StringAttr>(0, kArgAttr).getValue(), stringifyArgKind(kind));
    EXPECT_EQ(getArgOf(f, 0), 4u);
    for (ArgKind other : kinds)
      EXPECT_EQ(getArgsOfKind(f, other).size(), kind == other ? 1u : 0u);
  }
  f.setArgAttrs(0, getArgAttrs(&context, "a", ArgKind::Scalar));
  EXPECT_FALSE(getArgOf(f, 0));
}

TEST_F(LayerFunctionTest, ArgumentsWithoutAKindAreErrors) {
  func::FuncOp f = parseFunction(R"(func.func @f(
    %x: tensor<f32> {graph.arg = "parameter"} loc("model.mlir":1:2),
    %y: tensor<f32> loc("model.mlir":3:4),
    %z: tensor<f32> {graph.arg = "weight"} loc("model.mlir":5:6),
    %u: tensor<f32> {graph.arg = 1 : i64} loc("model.mlir":5:6),
    %v: tensor<f32> {graph.arg = "parameter"}) {
      return
    })");
  ASSERT_TRUE(f);
  EXPECT_EQ(getArgsOfKind(f, ArgKind::Parameter), (SmallVector<unsigned>{0, 4}));
  SmallVector<Location> places;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    places.push_back(diagnostic.getLocation());
    messages += diagnostic.str() + "\n";
    return success();
  });
  for (unsigned index : {1, 2, 3}) {
    messages.clear();
    EXPECT_TRUE(failed(getArgKind(f, index)));
    EXPECT_NE(messages.find("argument " + std::to_string(index) + " of layer function 'f' needs the attribute 'graph.arg'"),
              std::string::npos)
        << messages;
    // All kinds are named.
    EXPECT_NE(messages.find("one of activation, parameter, constant, cotangent, residual, accumulator, gradient, moment, scalar"),
              std::string::npos)
        << messages;
    ASSERT_EQ(places.size(), index);
    EXPECT_EQ(places.back(), f.getArgument(index).getLoc());
  }
}

TEST_F(LayerFunctionTest, LayerAndPart) {
  func::FuncOp f = parseFunction("func.func @f() {\nreturn\n}");
  ASSERT_TRUE(f);
  EXPECT_TRUE(isProgram(f));
  EXPECT_EQ(getLayer(f), "");
  EXPECT_EQ(getPart(f), "");
  f->setAttr(graph::kLayerAttr, getLayerAttr(&context, "block", "backward"));
  EXPECT_FALSE(isProgram(f));
  EXPECT_EQ(getLayer(f), "block");
  EXPECT_EQ(getPart(f), "backward");
}

TEST_F(LayerFunctionTest, NamesOfArgumentsResultsAndValues) {
  func::FuncOp f = parseFunction(R"(
    func.func @f(%0: tensor<2xf32> {graph.name = "x"}, %1: tensor<2xf32>, %2: tensor<2xf32> loc("y"))
        -> (tensor<2xf32> {graph.name = "out", graph.of = 3 : i64}, tensor<2xf32>, tensor<2xf32>) {
      %3 = graph.exp %0 : tensor<2xf32> loc("hidden")
      %4 = graph.exp %1 : tensor<2xf32> loc(fused["model.mlir":1:2, "last"("model.mlir":3:4)])
      %5 = graph.neg %2 : tensor<2xf32>
      return %3, %4, %5 : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
    })");
  ASSERT_TRUE(f);
  EXPECT_EQ(getArgName(f, 0), "x");
  EXPECT_EQ(getArgName(f, 1), "arg1");
  EXPECT_EQ(getArgName(f, 2), "y");
  EXPECT_EQ(getResultName(f, 0), "out");
  EXPECT_EQ(getResultName(f, 1), "last");
  EXPECT_EQ(getResultName(f, 2), "result2");
  EXPECT_EQ(getResultOf(f, 0), 3u);
  EXPECT_FALSE(getResultOf(f, 1));

  Operation *returnOp = f.front().getTerminator();
  EXPECT_EQ(getValueName(returnOp->getOperand(0)), "hidden");
  EXPECT_EQ(getValueName(returnOp->getOperand(2)), "");
  // A derived name stands at the same place in the source.
  Location place = FileLineColLoc::get(&context, "model.mlir", 3, 4);
  EXPECT_EQ(getDerivedLoc(returnOp->getOperand(1), ".grad"),
            Location(NameLoc::get(StringAttr::get(&context, "last.grad"), place)));
  EXPECT_EQ(getDerivedLoc(returnOp->getOperand(2), ".grad"), returnOp->getOperand(2).getLoc());
}

TEST_F(LayerFunctionTest, DeadOpsAreErased) {
  func::FuncOp f = parseFunction(R"(
    graph.variable @w : tensor<2xf32> role parameter init #graph.init<"zeros">
    func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
      %kept = graph.exp %x : tensor<2xf32>
      %0 = graph.exp %kept : tensor<2xf32>
      %1 = graph.neg %0 : tensor<2xf32>
      %2 = graph.add %0, %1 : tensor<2xf32>
      graph.store %x, @w : tensor<2xf32>
      return %kept : tensor<2xf32>
    })");
  ASSERT_TRUE(f);
  eraseDeadOps(f);
  SmallVector<StringRef> names;
  for (Operation &op : f.front())
    names.push_back(op.getName().getStringRef());
  EXPECT_EQ(names, (SmallVector<StringRef>{"graph.exp", "graph.store", "func.return"}));
}

TEST_F(LayerFunctionTest, ElementTypes) {
  Type f32 = Float32Type::get(&context), i32 = IntegerType::get(&context, 32);
  EXPECT_TRUE(hasFloatElements(RankedTensorType::get({2}, BFloat16Type::get(&context))));
  EXPECT_FALSE(hasFloatElements(RankedTensorType::get({2}, i32)));
  EXPECT_FALSE(hasFloatElements(f32));
  Type layout = parseType("tensor<4x8xbf16, #graph.layout<mesh, [[\"dp\"], []]>>", &context);
  ASSERT_TRUE(layout) << messages;
  EXPECT_EQ(withElementType(layout, f32), parseType("tensor<4x8xf32, #graph.layout<mesh, [[\"dp\"], []]>>", &context));

  func::FuncOp f = parseFunction("func.func @f(%x: tensor<2xf32>) {\nreturn\n}");
  ASSERT_TRUE(f);
  OpBuilder builder = OpBuilder::atBlockBegin(&f.front());
  Value x = f.getArgument(0);
  EXPECT_EQ(convertElements(builder, x.getLoc(), x, f32), x);
  Value converted = convertElements(builder, x.getLoc(), x, BFloat16Type::get(&context));
  ASSERT_TRUE(converted.getDefiningOp<graph::ConvertOp>());
  EXPECT_EQ(converted.getType(), RankedTensorType::get({2}, BFloat16Type::get(&context)));
}

} // namespace
