//===- AttentionTest.cpp - Flash attention against its definition ---------===//

#include "ir/interpreter/Interpreter.h"
#include "passes/Passes.h"
#include "passes/kernels/KernelFamily.h"
#include "tests/codegen/cpu/RunKernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"

#include <fmt/format.h>

#include <cmath>
#include <random>

using namespace mlir;
using namespace primus;
using namespace primus::test;
using interpreter::Tensor;

namespace {

struct Case {
  int64_t batch, tokens, heads, keys, groups, headSize;
  std::string attributes, element;
};

std::string getName(const Case &c) {
  return fmt::format("b{} t{} h{} k{} g{} d{} {} {}", c.batch, c.tokens, c.heads, c.keys, c.groups, c.headSize,
                     c.attributes, c.element);
}

/// A module of @forward and @backward, each one fusion.
std::string getSource(const Case &c) {
  std::string q = fmt::format("tensor<{}x{}x{}x{}x{}>", c.batch, c.tokens, c.heads, c.headSize, c.element);
  std::string k = fmt::format("tensor<{}x{}x{}x{}x{}>", c.batch, c.keys, c.groups, c.headSize, c.element);
  std::string lse = fmt::format("tensor<{}x{}x{}xf32>", c.batch, c.heads, c.tokens);
  return fmt::format(R"(
func.func @forward(%q: {0}, %k: {1}, %v: {1}) -> ({0}, {2}) {{
  %o, %lse = graph.fusion "attention" (%a = %q, %b = %k, %c = %v) : ({0}, {1}, {1}) -> ({0}, {2}) {{
    %x, %y = graph.attention %a, %b, %c scale 0.21 {3} : {0}, {1} -> {2}
    graph.yield %x, %y : {0}, {2}
  }}
  return %o, %lse : {0}, {2}
}}
func.func @backward(%do: {0}, %q: {0}, %k: {1}, %v: {1}, %o: {0}, %lse: {2}) -> ({0}, {1}, {1}) {{
  %dq, %dk, %dv = graph.fusion "attention_grad" (%a = %do, %b = %q, %c = %k, %d = %v, %e = %o, %f = %lse) :
      ({0}, {0}, {1}, {1}, {0}, {2}) -> ({0}, {1}, {1}) {{
    %x, %y, %z = graph.attention_grad %a, %b, %c, %d, %e, %f scale 0.21 {3} : {0}, {1}, {2}
    graph.yield %x, %y, %z : {0}, {1}, {1}
  }}
  return %dq, %dk, %dv : {0}, {1}, {1}
}}
)",
                     q, k, lse, c.attributes);
}

/// A buffer's bytes and back.
std::vector<char> toBytes(const Tensor &tensor) {
  bool narrow = tensor.elementType.isBF16();
  std::vector<char> bytes(tensor.size() * (narrow ? 2 : 4));
  for (int64_t i = 0; i < tensor.size(); ++i) {
    if (narrow)
      reinterpret_cast<uint16_t *>(bytes.data())[i] = floatToBf16(tensor.values[i]);
    else
      reinterpret_cast<float *>(bytes.data())[i] = tensor.values[i];
  }
  return bytes;
}

Tensor fromBytes(RankedTensorType type, const std::vector<char> &bytes) {
  Tensor tensor(type);
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.values[i] = type.getElementType().isBF16() ? bf16ToFloat(reinterpret_cast<const uint16_t *>(bytes.data())[i])
                                                      : reinterpret_cast<const float *>(bytes.data())[i];
  return tensor;
}

/// Runs the kernels of a function's only fusion. What no kernel writes is NaN.
std::vector<Tensor> runKernels(ModuleOp module, StringRef function, ArrayRef<Tensor> inputs,
                               const codegen::CpuTarget &target) {
  auto fusion = *module.lookupSymbol<func::FuncOp>(function).getOps<graph::FusionOp>().begin();
  const kernels::KernelFamily *family = kernels::findFamily(fusion.getFamily());
  OwningOpRef<ModuleOp> code = ModuleOp::create(module.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(code->getBody());
  auto lowered = family->lower(fusion, builder, "k", kernel::TargetTraits::forCpu(target.features));
  EXPECT_TRUE(succeeded(lowered));
  if (failed(lowered))
    return {};
  EXPECT_TRUE(succeeded(verify(*code)));

  auto getBytes = [](ShapedType type) { return type.getNumElements() * type.getElementTypeBitWidth() / 8; };
  std::vector<std::vector<char>> buffers[3];
  for (const Tensor &input : inputs)
    buffers[kernels::Operand::Input].push_back(toBytes(input));
  for (Type type : fusion.getResultTypes())
    buffers[kernels::Operand::Output].emplace_back(getBytes(cast<ShapedType>(type)), char(0xff));
  for (MemRefType type : lowered->temporaries)
    buffers[kernels::Operand::Temporary].emplace_back(getBytes(type), char(0xff));

  KernelLibrary library(*code, target);
  for (kernels::Launch &launch : lowered->launches) {
    std::vector<void *> arguments;
    for (const kernels::Operand &operand : launch.operands) {
      std::vector<char> &buffer = buffers[operand.kind][operand.index];
      EXPECT_LE(operand.byteOffset + getBytes(operand.type), int64_t(buffer.size()));
      arguments.push_back(buffer.data() + operand.byteOffset);
    }
    library.run(launch.kernel.getSymName().str(), arguments);
  }
  std::vector<Tensor> results;
  for (auto [type, bytes] : llvm::zip(fusion.getResultTypes(), buffers[kernels::Operand::Output]))
    results.push_back(fromBytes(cast<RankedTensorType>(type), bytes));
  return results;
}

/// The largest difference, relative to the largest element; infinite where a number is missing.
double getError(const Tensor &actual, const Tensor &expected) {
  double largest = 0, difference = 0;
  for (auto [a, e] : llvm::zip_equal(actual.values, expected.values)) {
    largest = std::max(largest, std::abs(e));
    difference = std::isfinite(a) ? std::max(difference, std::abs(a - e)) : INFINITY;
  }
  return difference / largest;
}

void check(const Case &c, const codegen::CpuTarget &target) {
  SCOPED_TRACE(getName(c));
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(getSource(c), &context);
  ASSERT_TRUE(module);

  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  auto makeTensor = [&](Type type) {
    Tensor tensor(cast<RankedTensorType>(type));
    for (double &value : tensor.values)
      value = normal(random);
    tensor.round();
    return tensor;
  };
  ArrayRef<Type> types = module->lookupSymbol<func::FuncOp>("forward").getArgumentTypes();
  std::vector<Tensor> qkv{makeTensor(types[0]), makeTensor(types[1]), makeTensor(types[2])};

  interpreter::Interpreter judge(*module, interpreter::Mode::Exact);
  double tolerance = c.element == "f32" ? 1e-5 : 1.5e-2;
  auto compare = [&](StringRef function, ArrayRef<Tensor> inputs) {
    auto expected = judge.run(function, inputs);
    ASSERT_TRUE(succeeded(expected));
    std::vector<Tensor> actual = runKernels(*module, function, inputs, target);
    ASSERT_EQ(actual.size(), expected->size());
    for (auto [index, result] : llvm::enumerate(actual))
      EXPECT_LE(getError(result, (*expected)[index]), tolerance) << function.str() << " result " << index;
  };
  compare("forward", qkv);

  auto forward = judge.run("forward", qkv);
  ASSERT_TRUE(succeeded(forward));
  for (Tensor &result : *forward)
    result.round();
  compare("backward", {makeTensor(types[0]), qkv[0], qkv[1], qkv[2], (*forward)[0], (*forward)[1]});
}

/// One case per thing that can be wrong; sizes that are no multiple of any tile wherever possible.
const Case cases[] = {
    {1, 32, 1, 32, 1, 32, "", "f32"},
    {2, 64, 2, 64, 2, 64, "{causal}", "f32"},
    {1, 131, 4, 131, 2, 24, "{causal}", "f32"},
    {1, 131, 3, 131, 1, 24, "", "f32"},
    {1, 131, 2, 131, 2, 24, "{causal, window = 40 : i64}", "f32"},
    {2, 70, 2, 70, 1, 80, "{window = 9 : i64}", "f32"},
    {1, 41, 2, 41, 2, 16, "{causal, softcap = 2.0 : f64}", "f32"},
    {1, 5, 2, 9, 1, 7, "", "f32"},
    {1, 37, 2, 100, 1, 8, "", "f32"},
    {1, 131, 4, 131, 2, 24, "{causal}", "bf16"},
    {2, 64, 2, 64, 2, 128, "{causal, window = 32 : i64, softcap = 30.0 : f64}", "bf16"},
    {1, 33, 2, 50, 1, 7, "", "bf16"},
};

TEST(AttentionTest, EqualsItsDefinition) {
  for (const Case &c : cases)
    check(c, hostTarget());
}

TEST(AttentionTest, RunsOnOlderProcessors) {
  for (const codegen::CpuTarget &target : allTargets()) {
    check({1, 41, 4, 41, 2, 24, "{causal}", "bf16"}, target);
    check({1, 41, 4, 41, 2, 24, "{causal}", "f32"}, target);
  }
}

} // namespace
