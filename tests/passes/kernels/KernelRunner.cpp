//===- KernelRunner.cpp - Compiled tile programs on a target --------------===//

#include "tests/passes/kernels/KernelRunner.h"

#include "codegen/common/Linker.h"
#include "codegen/hip/Assembly.h"
#include "codegen/hip/CompileKernels.h"
#include "tests/codegen/cpu/RunKernel.h"

using namespace mlir;
using namespace primus;
using namespace primus::test;

static int64_t countInstances(kernel::FuncOp kernel) {
  int64_t instances = 1;
  for (int64_t size : kernel.getGrid())
    instances *= size;
  return instances;
}

namespace {

class CpuRunner : public KernelRunner {
public:
  CpuRunner(ModuleOp module, const codegen::CpuTarget &target) : library(module, target) {}

  void run(kernel::FuncOp kernel, ArrayRef<BufferPlace> arguments, unsigned order) override {
    std::vector<void *> pointers;
    for (const BufferPlace &place : arguments)
      pointers.push_back(place.buffer->data.data() + place.offset);
    std::string name = kernel.getSymName().str();
    if (order == 0)
      return library.run(name, pointers);
    KernelLibrary::Function function = library.find(name);
    ASSERT_TRUE(function) << name;
    for (int64_t i = countInstances(kernel); i-- > 0;)
      function(pointers.data(), i, i + 1);
  }

private:
  KernelLibrary library;
};

class GpuRunner : public KernelRunner {
public:
  GpuRunner(ModuleOp module, std::vector<codegen::hip::CompiledKernel> compiled) {
    for (auto [kernel, code] : llvm::zip_equal(module.getOps<kernel::FuncOp>(), compiled))
      kernels[kernel] = std::move(code);
  }

  void run(kernel::FuncOp kernel, ArrayRef<BufferPlace> arguments, unsigned order) override {
    const codegen::hip::CompiledKernel &code = kernels.at(kernel);
    std::string name = kernel.getSymName().str();
    EXPECT_EQ(code.resources.spills, 0) << name;
    std::vector<emulator::KernelArgument> given;
    for (auto [value, place] : llvm::zip_equal(kernel.getBody().getArguments(), arguments)) {
      auto type = cast<ShapedType>(value.getType());
      int64_t bytes = type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
      bool isRead = llvm::any_of(value.getUsers(), llvm::IsaPred<kernel::LoadOp>);
      bool isWritten = llvm::any_of(value.getUsers(), llvm::IsaPred<kernel::StoreOp>);
      emulator::Access access = !isWritten ? emulator::Access::Read : isRead ? emulator::Access::ReadWrite : emulator::Access::Write;
      given.push_back(emulator::KernelArgument::part(*place.buffer, access, place.offset, bytes));
    }
    llvm::Expected<emulator::CodeObject> object = emulator::CodeObject::load(code.codeObject);
    ASSERT_TRUE(bool(object)) << llvm::toString(object.takeError());
    emulator::LaunchOptions options;
    options.seed = order + 1;
    llvm::Expected<emulator::Statistics> statistics =
        emulator::launch(*object, name, {uint32_t(countInstances(kernel))}, {uint32_t(code.resources.workgroupSize)}, given, options);
    EXPECT_TRUE(bool(statistics)) << llvm::toString(statistics.takeError());
  }

private:
  std::map<Operation *, codegen::hip::CompiledKernel> kernels;
};

} // namespace

std::unique_ptr<KernelRunner> KernelRunner::forCpu(ModuleOp module, const codegen::CpuTarget &target) {
  return std::make_unique<CpuRunner>(module, target);
}

/// The product's way to a code object, with a step between optimisation and code.
static FailureOr<std::vector<codegen::hip::CompiledKernel>> compileChanged(ModuleOp module, StringRef chip,
                                                                           const KernelRunner::ChangeCode &change) {
  codegen::hip::loadHipDialects(*module.getContext());
  std::vector<codegen::hip::CompiledKernel> kernels;
  for (auto kernel : module.getOps<kernel::FuncOp>()) {
    llvm::LLVMContext context;
    FailureOr<codegen::TranslatedModule> translated = codegen::hip::translateKernel(kernel, chip, context);
    if (failed(translated))
      return failure();
    change(*translated->module);
    auto object = codegen::emitCode(*translated->module, *translated->machine, llvm::CodeGenFileType::ObjectFile);
    std::string code = llvm::cantFail(codegen::linkSharedObject({llvm::cantFail(std::move(object))}));
    codegen::hip::KernelResources resources = llvm::cantFail(codegen::hip::readMetadata(code));
    kernels.push_back({std::move(code), resources});
  }
  return kernels;
}

std::unique_ptr<KernelRunner> KernelRunner::forGpu(ModuleOp module, StringRef chip, const ChangeCode &change) {
  auto compiled = change ? compileChanged(module, chip, change) : codegen::hip::compileKernels(module, chip);
  if (failed(compiled)) {
    ADD_FAILURE() << "the kernels cannot be compiled for " << chip.str();
    return nullptr;
  }
  return std::make_unique<GpuRunner>(module, std::move(*compiled));
}
