//===- CompileKernels.cpp - Tile programs to one shared object ------------===//

#include "codegen/cpu/CompileKernels.h"

#include "codegen/common/Linker.h"
#include "codegen/cpu/LowerKernels.h"
#include "codegen/cpu/SingleLaneStores.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Support/TargetSelect.h"

#include <mutex>

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

static constexpr StringLiteral triple = "x86_64-unknown-linux-gnu";
/// The features say what may be used; this says nothing beyond the oldest processor.
static constexpr StringLiteral baseCpu = "x86-64";

static void initialiseTarget() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
}

static FailureOr<TranslatedModule> translate(kernel::FuncOp kernel, const CpuTarget &target, llvm::LLVMContext &context) {
  FailureOr<OwningOpRef<ModuleOp>> lowered = lowerKernel(kernel, target);
  if (failed(lowered) || failed(convertToLLVM(**lowered)))
    return failure();
  TranslatedModule result;
  result.module = translateModuleToLLVMIR(**lowered, context, kernel.getSymName(), /*disableVerification=*/true);
  if (!result.module)
    return failure();
  auto machine = createMachine({triple.str(), baseCpu.str(), target.featureString()});
  if (!machine)
    return kernel.emitOpError() << "cannot be compiled: " << llvm::toString(machine.takeError());
  result.machine = std::move(*machine);
  result.module->setTargetTriple(result.machine->getTargetTriple());
  result.module->setDataLayout(result.machine->createDataLayout());
  for (llvm::Function &function : *result.module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("prefer-vector-width", target.has("avx512f") ? "512" : "256");
    function.addFnAttr("no-builtins");
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
  optimise(*result.module, *result.machine);
  replaceSingleLaneStores(*result.module);
  return result;
}

FailureOr<std::string> primus::codegen::compileKernels(ModuleOp module, const CpuTarget &target,
                                                       const CompileOptions &options) {
  MLIRContext *context = module.getContext();
  initialiseTarget();
  loadCpuDialects(*context);
  registerBuiltinDialectTranslation(*context);
  registerLLVMDialectTranslation(*context);

  KernelCompiler compiler{target.featureString(), "o",
                          [&](kernel::FuncOp kernel, llvm::LLVMContext &context) { return translate(kernel, target, context); },
                          /*finish=*/nullptr};
  FailureOr<std::vector<std::string>> objects = compileEach(module, compiler, options);
  if (failed(objects))
    return failure();
  llvm::Expected<std::string> linked = linkSharedObject(*objects);
  if (!linked)
    return module.emitError() << llvm::toString(linked.takeError());
  return std::move(*linked);
}
