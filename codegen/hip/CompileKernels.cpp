//===- CompileKernels.cpp - Tile programs to code objects -----------------===//

#include "codegen/hip/CompileKernels.h"

#include "codegen/common/Linker.h"
#include "codegen/hip/Assembly.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

FailureOr<std::vector<hip::CompiledKernel>> hip::compileKernels(ModuleOp module, StringRef chip, const CompileOptions &options) {
  loadHipDialects(*module.getContext());
  KernelCompiler compiler{chip.str(), "hsaco",
                          [&](kernel::FuncOp kernel, llvm::LLVMContext &context) { return translateKernel(kernel, chip, context); },
                          [](std::string object) { return linkSharedObject({std::move(object)}); }};
  FailureOr<std::vector<std::string>> objects = compileEach(module, compiler, options);
  if (failed(objects))
    return failure();
  std::vector<CompiledKernel> kernels;
  for (std::string &object : *objects) {
    llvm::Expected<KernelResources> resources = readMetadata(object);
    if (!resources)
      return module.emitError() << llvm::toString(resources.takeError());
    kernels.push_back({std::move(object), *resources});
  }
  return kernels;
}
