//===- KernelHarness.cpp - Compiled functions against the interpreter -----===//

#include "tests/passes/kernels/KernelHarness.h"

#include "passes/Passes.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"

#include <cmath>
#include <cstring>
#include <random>

using namespace mlir;
using namespace primus;
using namespace primus::test;
using emulator::Buffer;

/// Nobody owns the bytes behind the end of a buffer.
static constexpr size_t guard = 256;

static int64_t getByteSize(ShapedType type) {
  return llvm::divideCeil(type.getNumElements() * std::max(8u, type.getElementTypeBitWidth()), 8);
}

//===----------------------------------------------------------------------===//
// Tensors in memory
//===----------------------------------------------------------------------===//

template <typename T, typename Convert>
static void writeAs(const Tensor &tensor, Buffer &buffer, Convert convert) {
  for (int64_t i = 0; i < tensor.size(); ++i) {
    T value = convert(tensor.values[i]);
    std::memcpy(buffer.data.data() + i * sizeof(T), &value, sizeof(T));
  }
  std::fill_n(buffer.poison.begin(), tensor.size() * sizeof(T), 0);
}

static bool isByte(Type type) { return isa<FloatType>(type) && type.getIntOrFloatBitWidth() == 8; }

static uint16_t toBits(const llvm::fltSemantics &semantics, double value) {
  llvm::APFloat number(value);
  bool losesInfo;
  number.convert(semantics, llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  return number.bitcastToAPInt().getZExtValue();
}

static double fromBits(const llvm::fltSemantics &semantics, uint16_t bits) {
  llvm::APFloat number(semantics, llvm::APInt(llvm::APFloat::semanticsSizeInBits(semantics), bits));
  bool losesInfo;
  number.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  return number.convertToDouble();
}

void primus::test::writeTensor(const Tensor &tensor, Buffer &buffer) {
  Type type = tensor.elementType;
  if (type.isBF16() || type.isF16())
    return writeAs<uint16_t>(tensor, buffer, [&](double value) { return toBits(cast<FloatType>(type).getFloatSemantics(), value); });
  if (isByte(type))
    return writeAs<uint8_t>(tensor, buffer, [&](double value) { return toBits(cast<FloatType>(type).getFloatSemantics(), value); });
  if (type.isInteger(32))
    return writeAs<int32_t>(tensor, buffer, [](double value) { return static_cast<int32_t>(value); });
  writeAs<float>(tensor, buffer, [](double value) { return static_cast<float>(value); });
}

template <typename T, typename Convert>
static void readAs(Tensor &tensor, const uint8_t *bytes, Convert convert) {
  for (int64_t i = 0; i < tensor.size(); ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    tensor.values[i] = convert(value);
  }
}

Tensor primus::test::readTensor(RankedTensorType tensorType, const Buffer &buffer, int64_t offset) {
  Tensor tensor(tensorType);
  const uint8_t *bytes = buffer.data.data() + offset;
  Type type = tensor.elementType;
  if (type.isBF16() || type.isF16())
    readAs<uint16_t>(tensor, bytes, [&](uint16_t bits) { return fromBits(cast<FloatType>(type).getFloatSemantics(), bits); });
  else if (isByte(type))
    readAs<uint8_t>(tensor, bytes, [&](uint8_t bits) { return fromBits(cast<FloatType>(type).getFloatSemantics(), bits); });
  else if (type.isInteger(32))
    readAs<int32_t>(tensor, bytes, [](int32_t value) { return value; });
  else
    readAs<float>(tensor, bytes, [](float value) { return value; });
  return tensor;
}

double primus::test::getError(const Tensor &actual, const Tensor &expected) {
  double largest = 1e-30, difference = 0;
  for (auto [a, e] : llvm::zip_equal(actual.values, expected.values)) {
    largest = std::max(largest, std::abs(e));
    difference = std::isfinite(a) ? std::max(difference, std::abs(a - e)) : INFINITY;
  }
  return difference / largest;
}

//===----------------------------------------------------------------------===//
// CompiledFunction
//===----------------------------------------------------------------------===//

CompiledFunction::CompiledFunction(ModuleOp module, StringRef name, StringRef target, const HarnessOptions &options)
    : isCpu(target == "cpu"), function(module.lookupSymbol<func::FuncOp>(name)), code(ModuleOp::create(module.getLoc())) {
  compile(target, options);
}

void CompiledFunction::compile(StringRef target, const HarnessOptions &options) {
  OpBuilder builder = OpBuilder::atBlockEnd(code->getBody());
  kernel::TargetTraits traits = isCpu ? kernel::TargetTraits::forCpu(options.target.features)
                                      : kernel::TargetTraits::get(function->getParentOfType<ModuleOp>());
  for (auto fusion : function.getOps<graph::FusionOp>()) {
    const kernels::KernelFamily *family = kernels::findFamily(fusion.getFamily());
    ASSERT_TRUE(family) << fusion.getFamily().str();
    auto result = family->lower(fusion, builder, "kernel" + std::to_string(lowered.size() * 10), traits);
    ASSERT_TRUE(succeeded(result));
    lowered[fusion] = *result;
  }
  if (options.changeTiles)
    options.changeTiles(*code);
  ASSERT_TRUE(succeeded(verify(*code)));
  runner = isCpu ? KernelRunner::forCpu(*code, options.target) : KernelRunner::forGpu(*code, target, options.changeCode);
}

std::vector<Tensor> CompiledFunction::run(ArrayRef<Tensor> inputs, unsigned order) {
  std::vector<std::unique_ptr<Buffer>> storage;
  llvm::DenseMap<Value, BufferPlace> buffers;
  auto allocate = [&](ShapedType type) -> BufferPlace {
    storage.push_back(std::make_unique<Buffer>("buffer " + std::to_string(storage.size()), getByteSize(type) + guard));
    return {storage.back().get(), 0};
  };
  for (auto [argument, input] : llvm::zip_equal(function.getArguments(), inputs)) {
    buffers[argument] = allocate(cast<ShapedType>(argument.getType()));
    writeTensor(input, *buffers[argument].buffer);
  }
  for (Operation &op : function.front().without_terminator()) {
    if (auto reshape = dyn_cast<graph::ReshapeOp>(op)) {
      BufferPlace place = buffers[reshape.getOperand()];
      buffers[reshape.getResult()] = place;
      continue;
    }
    if (auto slice = dyn_cast<graph::SliceOp>(op)) {
      auto type = slice.getType();
      BufferPlace place = buffers[slice.getOperand()];
      place.offset += slice.getOffsets()[0] * getByteSize(type) / type.getDimSize(0);
      buffers[slice.getResult()] = place;
      continue;
    }
    auto fusion = cast<graph::FusionOp>(op);
    for (Value result : fusion.getResults())
      buffers[result] = allocate(cast<ShapedType>(result.getType()));
    std::vector<BufferPlace> temporaries;
    for (MemRefType type : lowered[fusion].temporaries)
      temporaries.push_back(allocate(type));
    for (kernels::Launch &launch : lowered[fusion].launches) {
      std::vector<BufferPlace> arguments;
      for (const kernels::Operand &operand : launch.operands) {
        arguments.push_back(operand.kind == kernels::Operand::Input    ? buffers[fusion.getInputs()[operand.index]]
                            : operand.kind == kernels::Operand::Output ? buffers[fusion.getResult(operand.index)]
                                                                       : temporaries[operand.index]);
        arguments.back().offset += operand.byteOffset;
      }
      runner->run(launch.kernel, arguments, order);
    }
  }
  for (auto &buffer : storage)
    for (size_t i = buffer->data.size() - guard; i < buffer->data.size(); ++i)
      EXPECT_EQ(buffer->data[i], 0xff) << "written behind the end of a buffer";
  std::vector<Tensor> results;
  for (Value result : function.front().getTerminator()->getOperands()) {
    BufferPlace place = buffers[result];
    auto type = cast<RankedTensorType>(result.getType());
    if (!isCpu) {
      ArrayRef<uint8_t> poison = ArrayRef(place.buffer->poison).slice(place.offset, getByteSize(type));
      EXPECT_TRUE(llvm::all_of(poison, [](uint8_t bits) { return bits == 0; })) << "an element of a result is not written";
    }
    results.push_back(readTensor(type, *place.buffer, place.offset));
  }
  return results;
}

//===----------------------------------------------------------------------===//
// checkFunction
//===----------------------------------------------------------------------===//

std::vector<std::string> primus::test::getTestTargets() {
  const char *names = std::getenv("PRIMUS_TEST_TARGETS");
  SmallVector<StringRef> list;
  StringRef(names ? names : "cpu,gfx942,gfx950").split(list, ',');
  return std::vector<std::string>(list.begin(), list.end());
}

static std::vector<Tensor> makeInputs(func::FuncOp function, const HarnessOptions &options) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  std::vector<Tensor> inputs;
  for (Type type : function.getArgumentTypes()) {
    Tensor tensor(cast<RankedTensorType>(type));
    for (auto [index, value] : llvm::enumerate(tensor.values))
      value = options.integers && tensor.elementType.isInteger(32) ? double(options.integers(index, tensor.size()))
              : tensor.elementType.isInteger(32) ? double(int64_t(random() % (options.integerBound + 2)) - 1) : normal(random);
    tensor.round();
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

/// Fuses a copy of the module for a target, compiles it, and compares its results with `expected`.
static void checkOnTarget(ModuleOp module, StringRef name, const HarnessOptions &options, ArrayRef<Tensor> inputs,
                          ArrayRef<Tensor> expected) {
  SCOPED_TRACE(name.str());
  OwningOpRef<ModuleOp> fused = module.clone();
  if (name != "cpu")
    (*fused)->setAttr("primus.target", StringAttr::get(module.getContext(), name));
  PassManager passes(module.getContext());
  passes.addPass(createExpandCrossEntropy({options.logitsBytes, 16}));
  passes.addPass(createFormFusions());
  passes.addPass(createPackOperands());
  ASSERT_TRUE(succeeded(passes.run(*fused)));
  auto same = interpreter::Interpreter(*fused, options.mode).run("f", inputs);
  ASSERT_TRUE(succeeded(same));
  for (auto [index, result] : llvm::enumerate(*same))
    EXPECT_LE(getError(result, expected[index]), options.mode == interpreter::Mode::Exact ? 1e-9 : options.tolerance) << "the fused function's result " << index << " in the interpreter";

  CompiledFunction compiled(*fused, "f", name, options);
  if (!compiled.isCompiled())
    return;
  std::vector<Tensor> actual = compiled.run(inputs, /*order=*/0), reordered = compiled.run(inputs, /*order=*/1);
  ASSERT_EQ(actual.size(), expected.size());
  for (auto [index, result] : llvm::enumerate(actual)) {
    EXPECT_LE(getError(result, expected[index]), options.tolerance) << "result " << index;
    EXPECT_EQ(result.values, reordered[index].values) << "result " << index << " depends on the order of instances";
  }
  if (testing::Test::HasFailure())
    fused->dump();
}

void primus::test::checkFunction(const std::string &source, const HarnessOptions &options) {
  SCOPED_TRACE(source);
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto module = parseSourceString<ModuleOp>(source, &context);
  ASSERT_TRUE(module);
  std::vector<Tensor> inputs = makeInputs(module->lookupSymbol<func::FuncOp>("f"), options);
  auto expected = interpreter::Interpreter(*module, options.mode).run("f", inputs);
  ASSERT_TRUE(succeeded(expected));
  for (const std::string &target : options.targets)
    checkOnTarget(*module, target, options, inputs, *expected);
}
