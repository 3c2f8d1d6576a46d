//===- ShardableTest.cpp - Sharding rules against execution ---------------===//
//
// What a rule says is tried: an op that runs on the halves of a factor gives the halves of its result, or parts that
// sum up to it.
//
//===----------------------------------------------------------------------===//

#include "OpHarness.h"

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Localizer.h"

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

/// One half of an axis.
struct HalfLocalizer : Localizer {
  HalfLocalizer(OpBuilder &builder, unsigned half) : builder(builder), half(half) {}
  Value getAxisIndex(ArrayAttr) override {
    return GraphBuilder(builder, builder.getUnknownLoc()).splat(RankedTensorType::get({}, builder.getI32Type()), half);
  }
  int64_t getSize(ArrayAttr) override { return 2; }

  OpBuilder &builder;
  unsigned half;
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
  }

  /// The dimension that maps to the factor, if any.
  static std::optional<unsigned> findDim(ArrayRef<int64_t> dims, int64_t factor) {
    const int64_t *found = llvm::find(dims, factor);
    return found == dims.end() ? std::nullopt : std::optional<unsigned>(found - dims.begin());
  }

  static RankedTensorType halve(Type type, ArrayRef<int64_t> dims, int64_t factor) {
    auto tensor = cast<RankedTensorType>(type);
    SmallVector<int64_t> shape(tensor.getShape());
    auto layout = LayoutAttr::getReplicated(type.getContext(), shape.size());
    if (std::optional<unsigned> dim = findDim(dims, factor)) {
      shape[*dim] /= 2;
      layout = layout.withDim(*dim, StringAttr::get(type.getContext(), "half"));
    }
    return RankedTensorType::get(shape, tensor.getElementType(), layout);
  }

  /// One half of `tensor` along the factor's dimension, or all of it.
  static Tensor slice(const Tensor &tensor, ArrayRef<int64_t> dims, int64_t factor, unsigned half) {
    Tensor result(halve(tensor.getType(), dims, factor));
    std::optional<unsigned> dim = findDim(dims, factor);
    SmallVector<int64_t> strides = primus::interpreter::getStrides(tensor.shape);
    int64_t base = dim ? half * result.shape[*dim] * strides[*dim] : 0;
    double *out = result.values.data();
    primus::interpreter::forEachOffset(result.shape, strides, base,
                                       [&](int64_t offset) { *out++ = tensor.values[offset]; });
    return result;
  }

  /// The results of the op on one half of the factor.
  SmallVector<Tensor> runHalf(int64_t factor, unsigned half) {
    SmallVector<Tensor> halves;
    SmallVector<Type> types, results;
    for (auto [input, dims] : llvm::zip_equal(inputs, rule.operands)) {
      halves.push_back(slice(input, dims, factor, half));
      types.push_back(halve(input.getType(), dims, factor));
    }
    for (auto [type, dims] : llvm::zip_equal(op->getResultTypes(), rule.results))
      results.push_back(halve(type, dims, factor));
    OwningOpRef<ModuleOp> local = ModuleOp::create(module->getLoc());
    OpBuilder builder(local->getBodyRegion());
    auto function = func::FuncOp::create(builder, local->getLoc(), "f", builder.getFunctionType(types, results));
    Block *block = function.addEntryBlock();
    builder.setInsertionPointToStart(block);
    HalfLocalizer localizer(builder, half);
    SmallVector<Value> values =
        cast<Shardable>(op).localize(builder, block->getArguments(), results, localizer);
    func::ReturnOp::create(builder, local->getLoc(), values);
    EXPECT_TRUE(succeeded(verify(*local)));
    return runModule(*local, halves);
  }

  OwningOpRef<ModuleOp> module;
  Operation *op = nullptr;
  ShardingRule rule;
  SmallVector<Tensor> inputs, whole;
};

TEST_P(ShardableTest, HalvesGiveTheWhole) {
  for (int64_t factor = 0; factor < static_cast<int64_t>(rule.sizes.size()); ++factor) {
    SCOPED_TRACE("factor " + std::to_string(factor));
    // The vocabulary's ranks exchange parts: see below.
    if (rule.sizes[factor] % 2 != 0 || (isa<CrossEntropyOp>(op) && rule.operands[1][0] == factor))
      continue;
    SmallVector<Tensor> low = runHalf(factor, 0), high = runHalf(factor, 1);
    for (auto [i, dims] : llvm::enumerate(rule.results)) {
      std::string what = "result " + std::to_string(i);
      if (findDim(dims, factor)) {
        expectClose(low[i].values, slice(whole[i], dims, factor, 0).values, 1e-12, what);
        expectClose(high[i].values, slice(whole[i], dims, factor, 1).values, 1e-12, what);
      } else if (rule.reduced[factor]) {
        auto reduce = dyn_cast<ReduceOp>(op);
        bool isMax = reduce && reduce.getKind() == ReduceKind::Max;
        std::vector<double> combined;
        for (auto [a, b] : llvm::zip_equal(low[i].values, high[i].values))
          combined.push_back(isMax ? std::max(a, b) : a + b);
        expectClose(combined, whole[i].values, 1e-12, what);
      } else {
        expectClose(low[i].values, whole[i].values, 1e-12, what);
        expectClose(high[i].values, whole[i].values, 1e-12, what);
      }
    }
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
