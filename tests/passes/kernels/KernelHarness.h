//===- KernelHarness.h - Compiled functions against the interpreter -*- C++ -*-===//
//
// Takes a module with a layer function through fusion, packing, the kernel families and the CPU code generator, runs the compiled kernels, and
// compares their results with what the interpreter makes of the function as it was.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/interpreter/Interpreter.h"
#include "passes/Passes.h"
#include "passes/kernels/KernelFamily.h"
#include "tests/codegen/cpu/RunKernel.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <cstring>
#include <random>

namespace primus::test {

using interpreter::Tensor;
using Bytes = std::vector<char>;

inline int64_t getByteSize(mlir::ShapedType type) {
  return llvm::divideCeil(type.getNumElements() * std::max(8u, type.getElementTypeBitWidth()), 8);
}

/// A tensor as it lies in memory: f32, bf16 or i32.
inline Bytes toBytes(const Tensor &tensor) {
  Bytes bytes(getByteSize(tensor.getType()));
  for (int64_t i = 0; i < tensor.size(); ++i) {
    double value = tensor.values[i];
    if (tensor.elementType.isBF16())
      reinterpret_cast<uint16_t *>(bytes.data())[i] = floatToBf16(static_cast<float>(value));
    else if (tensor.elementType.isInteger(32))
      reinterpret_cast<int32_t *>(bytes.data())[i] = static_cast<int32_t>(value);
    else
      reinterpret_cast<float *>(bytes.data())[i] = static_cast<float>(value);
  }
  return bytes;
}

inline Tensor fromBytes(mlir::RankedTensorType type, const char *bytes) {
  Tensor tensor(type);
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.values[i] = type.getElementType().isBF16()      ? bf16ToFloat(reinterpret_cast<const uint16_t *>(bytes)[i])
                       : type.getElementType().isInteger(32) ? reinterpret_cast<const int32_t *>(bytes)[i]
                                                             : reinterpret_cast<const float *>(bytes)[i];
  return tensor;
}

/// The largest difference, relative to the largest element; infinite where a number is missing.
inline double getError(const Tensor &actual, const Tensor &expected) {
  double largest = 1e-30, difference = 0;
  for (auto [a, e] : llvm::zip_equal(actual.values, expected.values)) {
    largest = std::max(largest, std::abs(e));
    difference = std::isfinite(a) ? std::max(difference, std::abs(a - e)) : INFINITY;
  }
  return difference / largest;
}

/// A layer function in its fused form, compiled.
class CompiledFunction {
public:
  CompiledFunction(mlir::ModuleOp module, mlir::StringRef name, const codegen::CpuTarget &target)
      : function(module.lookupSymbol<mlir::func::FuncOp>(name)), code(mlir::ModuleOp::create(module.getLoc())) {
    compile(target);
  }

  /// With `inReverse`, instances run one by one from the last to the first: they must not depend on each other.
  std::vector<Tensor> run(mlir::ArrayRef<Tensor> inputs, bool inReverse) {
    std::vector<std::unique_ptr<Bytes>> storage;
    llvm::DenseMap<mlir::Value, char *> buffers;
    auto allocate = [&](mlir::ShapedType type) {
      // What no kernel writes is NaN, also behind the end.
      storage.push_back(std::make_unique<Bytes>(getByteSize(type) + guard, char(0xff)));
      return storage.back()->data();
    };
    for (auto [argument, input] : llvm::zip_equal(function.getArguments(), inputs)) {
      Bytes bytes = toBytes(input);
      buffers[argument] = allocate(mlir::cast<mlir::ShapedType>(argument.getType()));
      std::memcpy(buffers[argument], bytes.data(), bytes.size());
    }
    for (mlir::Operation &op : function.front().without_terminator()) {
      if (auto reshape = mlir::dyn_cast<graph::ReshapeOp>(op)) {
        buffers[reshape.getResult()] = buffers[reshape.getOperand()];
      } else if (auto slice = mlir::dyn_cast<graph::SliceOp>(op)) {
        auto type = slice.getType();
        buffers[slice.getResult()] = buffers[slice.getOperand()] + slice.getOffsets()[0] * getByteSize(type) / type.getDimSize(0);
      } else {
        auto fusion = mlir::cast<graph::FusionOp>(op);
        for (mlir::Value result : fusion.getResults())
          buffers[result] = allocate(mlir::cast<mlir::ShapedType>(result.getType()));
        std::vector<char *> temporaries;
        for (mlir::MemRefType type : lowered[fusion].temporaries)
          temporaries.push_back(allocate(type));
        for (kernels::Launch &launch : lowered[fusion].launches) {
          std::vector<void *> arguments;
          for (const kernels::Operand &operand : launch.operands)
            arguments.push_back(operand.byteOffset + (operand.kind == kernels::Operand::Input ? buffers[fusion.getInputs()[operand.index]]
                                                      : operand.kind == kernels::Operand::Output
                                                          ? buffers[fusion.getResult(operand.index)]
                                                          : temporaries[operand.index]));
          runLaunch(launch, arguments, inReverse);
        }
      }
    }
    for (auto &bytes : storage)
      for (size_t i = bytes->size() - guard; i < bytes->size(); ++i)
        EXPECT_EQ((*bytes)[i], char(0xff)) << "written behind the end of a buffer";
    std::vector<Tensor> results;
    for (mlir::Value result : function.front().getTerminator()->getOperands())
      results.push_back(fromBytes(mlir::cast<mlir::RankedTensorType>(result.getType()), buffers[result]));
    return results;
  }

private:
  void compile(const codegen::CpuTarget &target) {
    mlir::OpBuilder builder = mlir::OpBuilder::atBlockEnd(code->getBody());
    kernel::TargetTraits traits = kernel::TargetTraits::forCpu(target.features);
    for (auto fusion : function.getOps<graph::FusionOp>()) {
      const kernels::KernelFamily *family = kernels::findFamily(fusion.getFamily());
      ASSERT_TRUE(family) << fusion.getFamily().str();
      auto result = family->lower(fusion, builder, "kernel" + std::to_string(lowered.size() * 10), traits);
      ASSERT_TRUE(mlir::succeeded(result));
      lowered[fusion] = *result;
    }
    ASSERT_TRUE(mlir::succeeded(mlir::verify(*code)));
    library = std::make_unique<KernelLibrary>(*code, target);
  }

  void runLaunch(kernels::Launch &launch, const std::vector<void *> &arguments, bool inReverse) {
    std::string name = launch.kernel.getSymName().str();
    if (!inReverse)
      return library->run(name, arguments);
    int64_t instances = 1;
    for (int64_t size : launch.kernel.getGrid())
      instances *= size;
    KernelLibrary::Function kernel = library->find(name);
    ASSERT_TRUE(kernel) << name;
    for (int64_t i = instances; i-- > 0;)
      kernel(arguments.data(), i, i + 1);
  }

  static constexpr size_t guard = 256;
  mlir::func::FuncOp function;
  mlir::OwningOpRef<mlir::ModuleOp> code;
  llvm::DenseMap<mlir::Operation *, kernels::LoweredFusion> lowered;
  std::unique_ptr<KernelLibrary> library;
};

struct HarnessOptions {
  /// Largest difference from the exact result, relative to the largest element.
  double tolerance = 1e-5;
  /// Bound of random integers.
  int64_t integerBound = 16;
  /// Element `index` of an integer input of `size` elements; random ones if there is no such function.
  std::function<int64_t(int64_t index, int64_t size)> integers;
  codegen::CpuTarget target = hostTarget();
  /// Limit of graph-expand-cross-entropy.
  int64_t logitsBytes = 32 << 20;
};

/// Checks @f of `source`, whose header is `func.func @f(...) -> ... attributes {graph.layer = {}}`.
inline void checkFunction(const std::string &source, const HarnessOptions &options = {}) {
  SCOPED_TRACE(source);
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
  ASSERT_TRUE(module);

  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  std::vector<Tensor> inputs;
  for (mlir::Type type : module->lookupSymbol<mlir::func::FuncOp>("f").getArgumentTypes()) {
    Tensor tensor(mlir::cast<mlir::RankedTensorType>(type));
    for (auto [index, value] : llvm::enumerate(tensor.values))
      value = options.integers && tensor.elementType.isInteger(32) ? double(options.integers(index, tensor.size()))
              : tensor.elementType.isInteger(32) ? double(int64_t(random() % (options.integerBound + 2)) - 1) : normal(random);
    tensor.round();
    inputs.push_back(std::move(tensor));
  }
  mlir::OwningOpRef<mlir::ModuleOp> fused = module->clone();
  mlir::PassManager passes(&context);
  passes.addPass(createExpandCrossEntropy({options.logitsBytes, 16}));
  passes.addPass(createFormFusions());
  passes.addPass(createPackOperands());
  ASSERT_TRUE(mlir::succeeded(passes.run(*fused)));

  auto interpret = [&](mlir::ModuleOp module) { return interpreter::Interpreter(module).run("f", inputs); };
  auto expected = interpret(*module), same = interpret(*fused);
  ASSERT_TRUE(mlir::succeeded(expected) && mlir::succeeded(same));
  for (auto [index, result] : llvm::enumerate(*same))
    EXPECT_LE(getError(result, (*expected)[index]), 1e-9) << "the fused function's result " << index << " in the interpreter";

  CompiledFunction compiled(*fused, "f", options.target);
  if (testing::Test::HasFatalFailure())
    return;
  std::vector<Tensor> actual = compiled.run(inputs, false), reversed = compiled.run(inputs, true);
  ASSERT_EQ(actual.size(), expected->size());
  for (auto [index, result] : llvm::enumerate(actual)) {
    EXPECT_LE(getError(result, (*expected)[index]), options.tolerance) << "result " << index;
    EXPECT_EQ(result.values, reversed[index].values) << "result " << index << " depends on the order of instances";
  }
  if (testing::Test::HasFailure())
    fused->dump();
}

} // namespace primus::test
