//===- ShardableTest.cpp - Sharding rules against execution ---------------===//
//
// What a rule says is tried: the local forms of an op, on ranks over which its factors are split, give the blocks of its
// result, or parts that sum up to it.
//
//===----------------------------------------------------------------------===//

#include "OpHarness.h"

#include "ir/graph/Localizer.h"
#include "runtime/init/Initializer.h"

#include "mlir/AsmParser/AsmParser.h"
#include "llvm/ADT/StringExtras.h"

#include <map>

using namespace mlir;
using namespace primus::graph;
using namespace primus::testing;
using primus::interpreter::Tensor;

namespace {

const OpCase kCases[] = {
    {"neg", "%x: tensor<2x4xf32>", "graph.neg %x : tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"exp", "%x: tensor<2x4xf32>", "graph.exp %x : tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"add", "%x: tensor<2x4xf32>, %y: tensor<2x4xf32>", "graph.add %x, %y : tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"sub", "%x: tensor<2x4xf32>, %y: tensor<2x4xf32>", "graph.sub %x, %y : tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"mul", "%x: tensor<2x4xf32>, %y: tensor<2x4xf32>", "graph.mul %x, %y : tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"div", "%x: tensor<2x4xf32>, %y: tensor<2x4xf32>", "graph.div %x, %y : tensor<2x4xf32>", "tensor<2x4xf32>", true},
    {"maximum", "%x: tensor<2x4xf32>, %y: tensor<2x4xf32>", "graph.maximum %x, %y : tensor<2x4xf32>",
     "tensor<2x4xf32>"},
    {"compare", "%x: tensor<2x4xf32>, %y: tensor<2x4xf32>",
     "graph.compare lt %x, %y : tensor<2x4xf32> -> tensor<2x4xi1>",
     "tensor<2x4xi1>"},
    {"select", "%m: tensor<2x4xi1>, %x: tensor<2x4xf32>, %y: tensor<2x4xf32>",
     "graph.select %m, %x, %y : tensor<2x4xi1>, tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"convert", "%x: tensor<2x4xbf16>", "graph.convert %x : tensor<2x4xbf16> -> tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"iota", "", "graph.iota dim 1 : tensor<2x4xi32>", "tensor<2x4xi32>"},
    {"broadcast", "%x: tensor<4x1xf32>", "graph.broadcast %x dims [1, 2] : tensor<4x1xf32> -> tensor<2x4x6xf32>",
     "tensor<2x4x6xf32>"},
    {"split dimension", "%x: tensor<4x6xf32>", "graph.reshape %x : tensor<4x6xf32> -> tensor<4x2x3xf32>",
     "tensor<4x2x3xf32>"},
    {"joined dimensions", "%x: tensor<2x4x6xf32>", "graph.reshape %x : tensor<2x4x6xf32> -> tensor<8x6xf32>",
     "tensor<8x6xf32>"},
    {"regrouped dimensions", "%x: tensor<4x6xf32>", "graph.reshape %x : tensor<4x6xf32> -> tensor<8x3xf32>",
     "tensor<8x3xf32>"},
    {"dimensions of one", "%x: tensor<1x4x1xf32>", "graph.reshape %x : tensor<1x4x1xf32> -> tensor<4x1xf32>",
     "tensor<4x1xf32>"},
    {"transpose", "%x: tensor<2x4x6xf32>", "graph.transpose %x perm [2, 0, 1] : tensor<2x4x6xf32> -> tensor<6x2x4xf32>",
     "tensor<6x2x4xf32>"},
    {"slice", "%x: tensor<2x4xf32>", "graph.slice %x at [0, 1] : tensor<2x4xf32> -> tensor<2x2xf32>",
     "tensor<2x2xf32>"},
    {"pad", "%x: tensor<2x4xf32>", "graph.pad %x at [0, 1] : tensor<2x4xf32> -> tensor<2x6xf32>", "tensor<2x6xf32>"},
    {"concat", "%x: tensor<2x4xf32>, %y: tensor<2x2xf32>",
     "graph.concat %x, %y dim 1 : (tensor<2x4xf32>, tensor<2x2xf32>) -> tensor<2x6xf32>", "tensor<2x6xf32>"},
    {"reduce sum", "%x: tensor<2x4x6xf32>", "graph.reduce sum %x dims [1] : tensor<2x4x6xf32> -> tensor<2x6xf32>",
     "tensor<2x6xf32>"},
    {"reduce max", "%x: tensor<2x4x6xf32>", "graph.reduce max %x dims [1] : tensor<2x4x6xf32> -> tensor<2x6xf32>",
     "tensor<2x6xf32>"},
    {"matmul", "%x: tensor<2x4x6xf32>, %w: tensor<8x6xf32>",
     "graph.matmul \"bsh,fh->bsf\" %x, %w : (tensor<2x4x6xf32>, tensor<8x6xf32>) -> tensor<2x4x8xf32>",
     "tensor<2x4x8xf32>"},
    {"batched matmul", "%x: tensor<2x4x6xf32>, %w: tensor<2x6x8xf32>",
     "graph.matmul \"bij,bjk->bik\" %x, %w : (tensor<2x4x6xf32>, tensor<2x6x8xf32>) -> tensor<2x4x8xf32>",
     "tensor<2x4x8xf32>"},
    {"amax", "%x: tensor<2x4x6xf32>", "graph.amax %x : tensor<2x4x6xf32> -> tensor<2x1x1xf32>", "tensor<2x1x1xf32>"},
    {"quantize blocks", "%x: tensor<4x16xf32>, %s: tensor<4x4xf32>",
     "graph.quantize %x, %s : tensor<4x16xf32>, tensor<4x4xf32> -> tensor<4x16xf8E4M3FN>", "tensor<4x16xf8E4M3FN>"},
    {"dequantize", "%q: tensor<4x16xf8E4M3FN>, %s: tensor<4x1xf32>",
     "graph.dequantize %q, %s : tensor<4x16xf8E4M3FN>, tensor<4x1xf32> -> tensor<4x16xf32>", "tensor<4x16xf32>"},
    {"scaled_matmul",
     "%x: tensor<2x4x8xf8E4M3FN>, %fx: tensor<2x1x2xf32>, %w: tensor<6x8xf8E4M3FN>, %fw: tensor<f32>",
     "graph.scaled_matmul \"bsh,fh->bsf\" %x by %fx, %w by %fw : (tensor<2x4x8xf8E4M3FN>, tensor<2x1x2xf32>, "
     "tensor<6x8xf8E4M3FN>, tensor<f32>) -> tensor<2x4x6xf32>",
     "tensor<2x4x6xf32>"},
    {"gather", "%t: tensor<4x6xf32>, %i: tensor<2x4xi32>",
     "graph.gather %t, %i : (tensor<4x6xf32>, tensor<2x4xi32>) -> tensor<2x4x6xf32>", "tensor<2x4x6xf32>"},
    {"scatter", "%i: tensor<2x4xi32>, %u: tensor<2x4x6xf32>",
     "graph.scatter %i, %u : (tensor<2x4xi32>, tensor<2x4x6xf32>) -> tensor<4x6xf32>", "tensor<4x6xf32>"},
    {"rms_norm", "%x: tensor<2x4x6xf32>, %w: tensor<6xf32>",
     "graph.rms_norm %x, %w eps 1.0e-3 : (tensor<2x4x6xf32>, tensor<6xf32>) -> (tensor<2x4x6xf32>, tensor<2x4xf32>)",
     "tensor<2x4x6xf32>, tensor<2x4xf32>"},
    {"rms_norm_grad", "%dy: tensor<2x4x6xf32>, %x: tensor<2x4x6xf32>, %rstd: tensor<2x4xf32>, %w: tensor<6xf32>",
     "graph.rms_norm_grad %dy, %x, %rstd, %w : (tensor<2x4x6xf32>, tensor<2x4x6xf32>, tensor<2x4xf32>, tensor<6xf32>) "
     "-> (tensor<2x4x6xf32>, tensor<6xf32>)",
     "tensor<2x4x6xf32>, tensor<6xf32>"},
    {"layer_norm", "%x: tensor<2x4x6xf32>, %w: tensor<6xf32>, %b: tensor<6xf32>",
     "graph.layer_norm %x, %w, %b eps 1.0e-3 : (tensor<2x4x6xf32>, tensor<6xf32>, tensor<6xf32>) -> "
     "(tensor<2x4x6xf32>, tensor<2x4xf32>, tensor<2x4xf32>)",
     "tensor<2x4x6xf32>, tensor<2x4xf32>, tensor<2x4xf32>"},
    {"layer_norm_grad",
     "%dy: tensor<2x4x6xf32>, %x: tensor<2x4x6xf32>, %m: tensor<2x4xf32>, %r: tensor<2x4xf32>, %w: tensor<6xf32>",
     "graph.layer_norm_grad %dy, %x, %m, %r, %w {has_bias} : (tensor<2x4x6xf32>, tensor<2x4x6xf32>, tensor<2x4xf32>, "
     "tensor<2x4xf32>, tensor<6xf32>) -> (tensor<2x4x6xf32>, tensor<6xf32>, tensor<6xf32>)",
     "tensor<2x4x6xf32>, tensor<6xf32>, tensor<6xf32>"},
    {"activation", "%x: tensor<2x4xf32>", "graph.activation gelu %x : tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"activation_grad", "%dy: tensor<2x4xf32>, %x: tensor<2x4xf32>",
     "graph.activation_grad gelu %dy, %x : tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"glu", "%g: tensor<2x4xf32>, %u: tensor<2x4xf32>", "graph.glu silu %g, %u : tensor<2x4xf32>", "tensor<2x4xf32>"},
    {"glu_grad", "%dy: tensor<2x4xf32>, %g: tensor<2x4xf32>, %u: tensor<2x4xf32>",
     "graph.glu_grad silu %dy, %g, %u : tensor<2x4xf32>", "tensor<2x4xf32>, tensor<2x4xf32>"},
    {"rope", "%x: tensor<2x4x2x6xf32>, %cos: tensor<4x2xf32>, %sin: tensor<4x2xf32>",
     "graph.rope half %x, %cos, %sin : tensor<2x4x2x6xf32>, tensor<4x2xf32>", "tensor<2x4x2x6xf32>"},
    {"attention", "%q: tensor<2x4x4x6xf32>, %k: tensor<2x4x2x6xf32>, %v: tensor<2x4x2x6xf32>",
     "graph.attention %q, %k, %v scale 0.5 {causal} : tensor<2x4x4x6xf32>, tensor<2x4x2x6xf32> -> tensor<2x4x4xf32>",
     "tensor<2x4x4x6xf32>, tensor<2x4x4xf32>"},
    {"attention_grad",
     "%do: tensor<2x4x4x6xf32>, %q: tensor<2x4x4x6xf32>, %k: tensor<2x4x2x6xf32>, %v: tensor<2x4x2x6xf32>, "
     "%o: tensor<2x4x4x6xf32>, %lse: tensor<2x4x4xf32>",
     "graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.5 {causal} : tensor<2x4x4x6xf32>, tensor<2x4x2x6xf32>, "
     "tensor<2x4x4xf32> -> tensor<2x4x4x6xf32>, tensor<2x4x2x6xf32>",
     "tensor<2x4x4x6xf32>, tensor<2x4x2x6xf32>, tensor<2x4x2x6xf32>"},
    {"attention positions",
     "%q: tensor<2x4x4x6xf32>, %k: tensor<2x6x2x6xf32>, %v: tensor<2x6x2x6xf32>, %i: tensor<4xi32>, %j: tensor<6xi32>",
     "graph.attention %q, %k, %v positions %i, %j scale 0.5 {causal, window = 3 : i64} : tensor<2x4x4x6xf32>, "
     "tensor<2x6x2x6xf32>, tensor<4xi32>, tensor<6xi32> -> tensor<2x4x4xf32>",
     "tensor<2x4x4x6xf32>, tensor<2x4x4xf32>"},
    {"attention_grad positions",
     "%do: tensor<2x4x4x6xf32>, %q: tensor<2x4x4x6xf32>, %k: tensor<2x6x2x6xf32>, %v: tensor<2x6x2x6xf32>, "
     "%o: tensor<2x4x4x6xf32>, %lse: tensor<2x4x4xf32>, %i: tensor<4xi32>, %j: tensor<6xi32>",
     "graph.attention_grad %do, %q, %k, %v, %o, %lse positions %i, %j scale 0.5 {causal} : tensor<2x4x4x6xf32>, "
     "tensor<2x6x2x6xf32>, tensor<2x4x4xf32>, tensor<4xi32>, tensor<6xi32> -> tensor<2x4x4x6xf32>, tensor<2x6x2x6xf32>",
     "tensor<2x4x4x6xf32>, tensor<2x6x2x6xf32>, tensor<2x6x2x6xf32>"},
    {"cross_entropy", "%x: tensor<4x6xf32>, %w: tensor<8x6xf32>, %l: tensor<4xi32>",
     "graph.cross_entropy %x, %w, %l vocabulary 7 : (tensor<4x6xf32>, tensor<8x6xf32>, tensor<4xi32>) -> "
     "(tensor<f32>, tensor<f32>, tensor<4xf32>)",
     "tensor<f32>, tensor<f32>, tensor<4xf32>"},
    {"cross_entropy_grad",
     "%d: tensor<f32>, %x: tensor<4x6xf32>, %w: tensor<8x6xf32>, %l: tensor<4xi32>, %lse: tensor<4xf32>",
     "graph.cross_entropy_grad %d, %x, %w, %l, %lse vocabulary 7 : (tensor<f32>, tensor<4x6xf32>, tensor<8x6xf32>, "
     "tensor<4xi32>, tensor<4xf32>) -> (tensor<4x6xf32>, tensor<8x6xf32>)",
     "tensor<4x6xf32>, tensor<8x6xf32>"},
    {"cross_entropy sequences", "%x: tensor<2x4x6xf32>, %w: tensor<8x6xf32>, %l: tensor<2x4xi32>",
     "graph.cross_entropy %x, %w, %l vocabulary 7 : (tensor<2x4x6xf32>, tensor<8x6xf32>, tensor<2x4xi32>) -> "
     "(tensor<f32>, tensor<f32>, tensor<2x4xf32>)",
     "tensor<f32>, tensor<f32>, tensor<2x4xf32>"},
    {"cross_entropy_part", "%x: tensor<2x4x6xf32>, %w: tensor<3x6xf32>, %l: tensor<2x4xi32>, %o: tensor<i32>",
     "graph.cross_entropy_part %x, %w, %l, %o vocabulary 7 : (tensor<2x4x6xf32>, tensor<3x6xf32>, tensor<2x4xi32>, "
     "tensor<i32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)",
     "tensor<2x4xf32>, tensor<2x4xf32>"},
    {"adamw",
     "%p: tensor<2x4xf32>, %m: tensor<2x4xf32>, %v: tensor<2x4xf32>, %g: tensor<2x4xf32>, %s: tensor<f32>, "
     "%lr: tensor<f32>, %c1: tensor<f32>, %c2: tensor<f32>",
     "graph.adamw %p, %m, %v, %g, %s, %lr, %c1, %c2 {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, weight_decay = 0.1} : "
     "tensor<2x4xf32>",
     "tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>", true},
    {"pack", "%x: tensor<2x4x6xf32>", "graph.pack %x width 4 group 2 : tensor<2x4x6xf32> -> tensor<2x2x2x4x2xf32>",
     "tensor<2x2x2x4x2xf32>"},
};

void expectClose(ArrayRef<double> actual, ArrayRef<double> expected, double tolerance, const std::string &what) {
  EXPECT_LE(relativeError(actual, expected), tolerance) << what;
}

/// Asks the module's variables where a rank is.
struct VariableLocalizer : Localizer {
  VariableLocalizer(OpBuilder &builder, MeshAttr mesh) : builder(builder), mesh(mesh) {}
  Value getAxisIndex(ArrayAttr axes) override {
    return LoadOp::create(builder, builder.getUnknownLoc(), RankedTensorType::get({}, builder.getI32Type()),
                          getVariableName(axes));
  }
  int64_t getSize(ArrayAttr axes) override { return *mesh.getGroupSize(axes); }

  static std::string getVariableName(ArrayAttr axes) {
    std::string name = "index";
    for (StringRef axis : axes.getAsValueRange<StringAttr>())
      name += ("." + axis).str();
    return name;
  }

  OpBuilder &builder;
  MeshAttr mesh;
};

class ShardableTest : public OpHarness, public ::testing::WithParamInterface<OpCase> {
protected:
  void SetUp() override {
    module = build(GetParam());
    ASSERT_TRUE(module);
    op = getOp(*module);
    rule = cast<Shardable>(op).getShardingRule();
    inputs = makeInputs(getFunction(*module), GetParam().positive);
    whole = runModule(*module, inputs);
    mesh = cast<MeshAttr>(parseAttribute(R"(#graph.mesh<"x" = 2, "y" = 2>)", &context));
  }

  /// Which mesh axes split each factor.
  using Split = std::map<int64_t, std::vector<StringRef>>;

  bool isDivisible(const Split &split) const {
    return llvm::all_of(split, [&](const auto &entry) { return rule.sizes[entry.first] % (1 << entry.second.size()) == 0; });
  }

  /// A value's type on one rank, with its layout. Results lack the dimensions that a split factor sums over.
  RankedTensorType getLocalType(Type type, ArrayRef<int64_t> dims, const Split &split, bool isResult) {
    auto tensor = cast<RankedTensorType>(type);
    SmallVector<int64_t> shape(tensor.getShape());
    auto layout = LayoutAttr::getReplicated(&context, shape.size());
    SmallVector<StringAttr> partial;
    for (const auto &[factor, axes] : split) {
      SmallVector<Attribute> names;
      for (StringRef axis : axes)
        names.push_back(StringAttr::get(&context, axis));
      if (const int64_t *dim = llvm::find(dims, factor); dim != dims.end()) {
        layout = layout.withDim(dim - dims.begin(), names);
        shape[dim - dims.begin()] /= 1 << axes.size();
      } else if (isResult && rule.reduced[factor]) {
        for (Attribute name : names)
          partial.push_back(cast<StringAttr>(name));
      }
    }
    ReduceKind kind = rule.maximum ? ReduceKind::Max : ReduceKind::Sum;
    layout = layout.withPartial(partial, SmallVector<ReduceKind>(partial.size(), kind));
    return RankedTensorType::get(shape, tensor.getElementType(), layout);
  }

  /// The results of the op on the ranks of the mesh, each of which does what `localize` says.
  SmallVector<Tensor> runSplit(const Split &split) {
    SmallVector<Type> types, results;
    for (auto [input, dims] : llvm::zip_equal(inputs, rule.operands))
      types.push_back(getLocalType(input.getType(), dims, split, /*isResult=*/false));
    for (auto [type, dims] : llvm::zip_equal(op->getResultTypes(), rule.results))
      results.push_back(getLocalType(type, dims, split, /*isResult=*/true));
    OwningOpRef<ModuleOp> local = ModuleOp::create(module->getLoc());
    OpBuilder builder(local->getBodyRegion());
    (*local)->setAttr(kMeshAttr, mesh);
    (*local)->setAttr(kPlacedAttr, builder.getUnitAttr());
    for (ArrayAttr axes : {builder.getStrArrayAttr({"x"}), builder.getStrArrayAttr({"y"}), builder.getStrArrayAttr({"y", "x"})}) {
      auto init = InitAttr::get(&context, builder.getStringAttr("axis_index"),
                                builder.getDictionaryAttr(builder.getNamedAttr("axes", axes)));
      VariableOp::create(builder, local->getLoc(), VariableLocalizer::getVariableName(axes),
                         RankedTensorType::get({}, builder.getI32Type()), Role::Constant, init, /*stream=*/0,
                         /*decay=*/false, /*dims=*/ArrayAttr());
    }
    auto function = func::FuncOp::create(builder, local->getLoc(), "f", builder.getFunctionType(types, results));
    Block *block = function.addEntryBlock();
    builder.setInsertionPointToStart(block);
    VariableLocalizer localizer(builder, mesh);
    func::ReturnOp::create(builder, local->getLoc(),
                           cast<Shardable>(op).localize(builder, block->getArguments(), results, localizer));
    EXPECT_TRUE(succeeded(verify(*local))) << messages;
    primus::interpreter::Interpreter interpreter(*local);
    EXPECT_TRUE(succeeded(interpreter.initializeVariables(0)));
    auto values = interpreter.run("f", inputs);
    EXPECT_TRUE(succeeded(values)) << messages;
    return succeeded(values) ? *values : SmallVector<Tensor>();
  }

  void expectWhole(const Split &split) {
    std::string trace;
    for (const auto &[factor, axes] : split)
      trace += "factor " + std::to_string(factor) + " over " + llvm::join(axes, ", ") + "; ";
    SCOPED_TRACE(trace);
    SmallVector<Tensor> results = runSplit(split);
    ASSERT_EQ(results.size(), whole.size());
    for (auto [i, result] : llvm::enumerate(results))
      expectClose(result.values, whole[i].values, 1e-12, "result " + std::to_string(i));
  }

  OwningOpRef<ModuleOp> module;
  Operation *op = nullptr;
  ShardingRule rule;
  SmallVector<Tensor> inputs, whole;
  MeshAttr mesh;
};

TEST_P(ShardableTest, RanksGiveTheWhole) {
  const int64_t factors = rule.sizes.size();
  for (int64_t factor = 0; factor < factors; ++factor) {
    for (const Split &split : {Split{{factor, {"x"}}}, Split{{factor, {"y", "x"}}}})
      if (isDivisible(split))
        expectWhole(split);
    for (int64_t other = 0; other < factors; ++other)
      if (Split split{{factor, {"x"}}, {other, {"y"}}}; other != factor && isDivisible(split))
        expectWhole(split);
  }
}

TEST_P(ShardableTest, LinearOperandsMayBePartial) {
  SmallVector<SmallVector<int64_t>> sets;
  if (rule.jointlyLinear)
    sets.push_back(rule.linear);
  else
    for (int64_t operand : rule.linear)
      sets.push_back({operand});
  for (ArrayRef<int64_t> operands : sets) {
    SmallVector<Tensor> first = inputs, second = inputs;
    for (int64_t operand : operands) {
      first[operand] = makeInput(inputs[operand].getType(), /*stream=*/100 + operand);
      for (auto [total, a, b] : llvm::zip_equal(inputs[operand].values, first[operand].values, second[operand].values))
        b = total - a;
    }
    SmallVector<Tensor> a = runModule(*module, first), b = runModule(*module, second);
    for (auto [i, result] : llvm::enumerate(whole)) {
      std::vector<double> sum;
      for (auto [x, y] : llvm::zip_equal(a[i].values, b[i].values))
        sum.push_back(x + y);
      expectClose(sum, result.values, 1e-10, "result " + std::to_string(i));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, ShardableTest, ::testing::ValuesIn(kCases), [](const auto &info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
});

/// Attention over a sequence whose tokens are stored for context parallelism: each rank has its tokens' queries and, from
/// an all-gather, all keys.
class ContextParallelTest : public OpHarness {
protected:
  static constexpr int64_t tokens = 16, ranks = 4;

  /// [1, tokens, 2, 4] or [1, 2, tokens], in the order of storage.
  static Tensor store(const Tensor &x, int64_t dim) {
    Tensor result = x;
    int64_t inner = primus::interpreter::getStrides(x.shape)[dim], outer = x.size() / (inner * tokens);
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < tokens; ++i)
        std::copy_n(&x.values[(o * tokens + primus::runtime::getContextPosition(i, tokens, ranks)) * inner], inner,
                    &result.values[(o * tokens + i) * inner]);
    return result;
  }
};

TEST_F(ContextParallelTest, EqualsAttentionInOrder) {
  SmallVector<Tensor> inputs, stored;
  for (uint64_t i = 0; i < 4; ++i) {
    inputs.push_back(random({1, tokens, 2, 4}, i));
    stored.push_back(store(inputs.back(), 1));
  }
  auto expected = run(R"(
  func.func @f(%q: tensor<1x16x2x4xf32>, %k: tensor<1x16x2x4xf32>, %v: tensor<1x16x2x4xf32>, %do: tensor<1x16x2x4xf32>)
      -> (tensor<1x16x2x4xf32>, tensor<1x2x16xf32>, tensor<1x16x2x4xf32>, tensor<1x16x2x4xf32>, tensor<1x16x2x4xf32>) {
    %o, %lse = graph.attention %q, %k, %v scale 0.5 {causal, window = 9 : i64} : tensor<1x16x2x4xf32>, tensor<1x16x2x4xf32> -> tensor<1x2x16xf32>
    %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.5 {causal, window = 9 : i64} : tensor<1x16x2x4xf32>, tensor<1x16x2x4xf32>, tensor<1x2x16xf32> -> tensor<1x16x2x4xf32>, tensor<1x16x2x4xf32>
    return %o, %lse, %dq, %dk, %dv : tensor<1x16x2x4xf32>, tensor<1x2x16xf32>, tensor<1x16x2x4xf32>, tensor<1x16x2x4xf32>, tensor<1x16x2x4xf32>
  })",
                      inputs);
  auto module = parse(R"(
#split = #graph.layout<mesh, [[], ["cp"], [], []]>
#whole = #graph.layout<mesh, [[], [], [], []]>
#sums = #graph.layout<mesh, [[], [], [], []], partial = {cp : sum}>
#rows = #graph.layout<mesh, [[], [], ["cp"]]>
module attributes {graph.placed, graph.mesh = #graph.mesh<"cp" = 4>} {
  graph.variable @positions : tensor<4xi32, #graph.layout<mesh, [["cp"]]>> role constant init #graph.init<"positions", {ranks = 4.0 : f64}>
  func.func @f(%q: tensor<1x4x2x4xf32, #split>, %k: tensor<1x4x2x4xf32, #split>, %v: tensor<1x4x2x4xf32, #split>, %do: tensor<1x4x2x4xf32, #split>)
      -> (tensor<1x4x2x4xf32, #split>, tensor<1x2x4xf32, #rows>, tensor<1x4x2x4xf32, #split>, tensor<1x4x2x4xf32, #split>, tensor<1x16x2x4xf32, #sums>) {
    %i = graph.load @positions : tensor<4xi32, #graph.layout<mesh, [["cp"]]>>
    %j = graph.all_gather %i over ["cp"] dim 0 : tensor<4xi32, #graph.layout<mesh, [["cp"]]>> -> tensor<16xi32, #graph.layout<mesh, [[]]>>
    %ks = graph.all_gather %k over ["cp"] dim 1 : tensor<1x4x2x4xf32, #split> -> tensor<1x16x2x4xf32, #whole>
    %vs = graph.all_gather %v over ["cp"] dim 1 : tensor<1x4x2x4xf32, #split> -> tensor<1x16x2x4xf32, #whole>
    %o, %lse = graph.attention %q, %ks, %vs positions %i, %j scale 0.5 {causal, window = 9 : i64} : tensor<1x4x2x4xf32, #split>, tensor<1x16x2x4xf32, #whole>, tensor<4xi32, #graph.layout<mesh, [["cp"]]>>, tensor<16xi32, #graph.layout<mesh, [[]]>> -> tensor<1x2x4xf32, #rows>
    %dq, %dks, %dvs = graph.attention_grad %do, %q, %ks, %vs, %o, %lse positions %i, %j scale 0.5 {causal, window = 9 : i64} : tensor<1x4x2x4xf32, #split>, tensor<1x16x2x4xf32, #whole>, tensor<1x2x4xf32, #rows>, tensor<4xi32, #graph.layout<mesh, [["cp"]]>>, tensor<16xi32, #graph.layout<mesh, [[]]>> -> tensor<1x4x2x4xf32, #split>, tensor<1x16x2x4xf32, #sums>
    %dk = graph.reduce_scatter sum %dks over ["cp"] dim 1 : tensor<1x16x2x4xf32, #sums> -> tensor<1x4x2x4xf32, #split>
    return %o, %lse, %dq, %dk, %dvs : tensor<1x4x2x4xf32, #split>, tensor<1x2x4xf32, #rows>, tensor<1x4x2x4xf32, #split>, tensor<1x4x2x4xf32, #split>, tensor<1x16x2x4xf32, #sums>
  }
})");
  ASSERT_TRUE(module);
  primus::interpreter::Interpreter interpreter(*module);
  ASSERT_TRUE(succeeded(interpreter.initializeVariables(0)));
  auto actual = interpreter.run("f", stored);
  ASSERT_TRUE(succeeded(actual)) << messages;
  for (auto [i, value] : llvm::enumerate(*actual))
    expectClose(value.values, store(expected[i], i == 1 ? 2 : 1).values, 1e-12, "result " + std::to_string(i));
}

/// Rules must split what matters; a rule that replicates everything would pass the tests above.
class ShardingRuleTest : public OpHarness {
protected:
  std::string describe(const OpCase &opCase) {
    OwningOpRef<ModuleOp> module = build(opCase);
    ShardingRule rule = cast<Shardable>(getOp(*module)).getShardingRule();
    std::string text;
    auto append = [&](ArrayRef<SmallVector<int64_t>> values) {
      for (auto [i, dims] : llvm::enumerate(values)) {
        text += i ? "," : "";
        for (int64_t factor : dims)
          text += factor == ShardingRule::replicated ? '.' : static_cast<char>('a' + factor);
      }
    };
    append(rule.operands);
    text += "->";
    append(rule.results);
    for (auto [factor, size] : llvm::enumerate(rule.sizes))
      text += " " + std::string(1, static_cast<char>('a' + factor)) + (rule.reduced[factor] ? "+" : "=") +
              std::to_string(size);
    return text;
  }
};

TEST_F(ShardingRuleTest, SplitsWhatCanBeSplit) {
  auto find = [](StringRef name) -> const OpCase & {
    return *llvm::find_if(kCases, [&](const OpCase &opCase) { return opCase.name == name; });
  };
  EXPECT_EQ(describe(find("matmul")), "abc,dc->abd a=2 b=4 c+6 d=8");
  EXPECT_EQ(describe(find("amax")), "abc->a.. a=2 b+4 c+6");
  EXPECT_EQ(describe(find("quantize blocks")), "ab,ab->ab a=4 b=4");
  EXPECT_EQ(describe(find("dequantize")), "ab,a.->ab a=4 b=16");
  EXPECT_EQ(describe(find("scaled_matmul")), "abc,a.c,dc,->abd a=2 b=4 c+2 d=6");
  EXPECT_EQ(describe(find("attention")), "a.b.,a.b.,a.b.->a.b.,ab. a=2 b=2");
  EXPECT_EQ(describe(find("attention positions")), "abc.,a.c.,a.c.,b,.->abc.,acb a=2 b=4 c=2");
  EXPECT_EQ(describe(find("attention_grad positions")),
            "abc.,abc.,a.c.,a.c.,abc.,acb,b,.->abc.,a.c.,a.c. a=2 b+4 c=2");
  EXPECT_EQ(describe(find("cross_entropy_grad")), ",a.,b.,a,a->a.,b. a+4 b+8");
  EXPECT_EQ(describe(find("rms_norm_grad")), "ab.,ab.,ab,.->ab.,. a+2 b+4");
  EXPECT_EQ(describe(find("cross_entropy")), "a.,b.,a->,,a a+4 b=8");
  EXPECT_EQ(describe(find("joined dimensions")), "a.b->ab a=2 b=6");
  EXPECT_EQ(describe(find("regrouped dimensions")), "a.->a. a=4");
  EXPECT_EQ(describe(find("broadcast")), "a.->bac a=4 b=2 c=6");
  EXPECT_EQ(describe(find("gather")), "ab,cd->cdb a+4 b=6 c=2 d=4");
  EXPECT_EQ(describe(find("scatter")), "ab,abc->dc a+2 b+4 c=6 d=4");
  EXPECT_EQ(describe(find("rope")), "abc.,b.,b.->abc. a=2 b=4 c=2");
}

} // namespace
