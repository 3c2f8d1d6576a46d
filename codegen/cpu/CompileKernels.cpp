//===- CompileKernels.cpp - Tile programs to one shared object ------------===//

#include "codegen/cpu/CompileKernels.h"

#include "codegen/common/Linker.h"
#include "codegen/common/ObjectCache.h"
#include "codegen/common/ObjectCode.h"
#include "codegen/cpu/LowerKernels.h"
#include "codegen/cpu/SingleLaneStores.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Threading.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <mutex>

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

namespace {

class Compiler {
public:
  Compiler(const CpuTarget &target, const CompileOptions &options)
      : target(target), options(options), cache(options.cacheDir), features(target.featureString()) {}

  FailureOr<std::string> compile(kernel::FuncOp kernel);

private:
  std::unique_ptr<llvm::Module> translate(kernel::FuncOp kernel, llvm::LLVMContext &context);
  void dump(kernel::FuncOp kernel, StringRef extension, StringRef contents);

  const CpuTarget &target;
  const CompileOptions &options;
  ObjectCache cache;
  std::string features;
  std::mutex dumpMutex;
};

} // namespace

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

template <typename T> static std::string toText(const T &printed) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  printed(stream);
  return text;
}

void Compiler::dump(kernel::FuncOp kernel, StringRef extension, StringRef contents) {
  std::lock_guard lock(dumpMutex);
  options.dump(kernel.getSymName(), extension, contents);
}

std::unique_ptr<llvm::Module> Compiler::translate(kernel::FuncOp kernel, llvm::LLVMContext &context) {
  FailureOr<OwningOpRef<ModuleOp>> lowered = lowerKernel(kernel, target);
  if (failed(lowered) || failed(convertToLLVM(**lowered)))
    return nullptr;
  return translateModuleToLLVMIR(**lowered, context, kernel.getSymName(), /*disableVerification=*/true);
}

FailureOr<std::string> Compiler::compile(kernel::FuncOp kernel) {
  std::string source = toText([&](llvm::raw_ostream &stream) { kernel->print(stream); });
  std::string key = ObjectCache::getKey({source, features});
  // Intermediate forms are not in the cache: a dump compiles again, to the same bytes.
  if (!options.dump)
    if (std::optional<std::string> object = cache.find(key))
      return *object;

  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module = translate(kernel, context);
  if (!module)
    return failure();
  auto machine = createMachine({triple.str(), baseCpu.str(), features});
  if (!machine)
    return kernel.emitOpError() << "cannot be compiled: " << llvm::toString(machine.takeError());
  module->setTargetTriple((*machine)->getTargetTriple());
  module->setDataLayout((*machine)->createDataLayout());
  for (llvm::Function &function : *module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("prefer-vector-width", target.has("avx512f") ? "512" : "256");
    function.addFnAttr("no-builtins");
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
  optimise(*module, **machine);
  replaceSingleLaneStores(*module);

  if (options.dump) {
    OpPrintingFlags flags;
    dump(kernel, "mlir", toText([&](llvm::raw_ostream &stream) { kernel->print(stream, flags.printNameLocAsPrefix()); }) + "\n");
    dump(kernel, "ll", toText([&](llvm::raw_ostream &stream) { module->print(stream, nullptr); }));
    std::unique_ptr<llvm::Module> copy = llvm::CloneModule(*module);
    auto assembly = emitCode(*copy, **machine, llvm::CodeGenFileType::AssemblyFile);
    if (!assembly)
      return kernel.emitOpError() << "cannot be compiled: " << llvm::toString(assembly.takeError());
    dump(kernel, "s", *assembly);
  }
  auto object = emitCode(*module, **machine, llvm::CodeGenFileType::ObjectFile);
  if (!object)
    return kernel.emitOpError() << "cannot be compiled: " << llvm::toString(object.takeError());
  if (options.dump)
    dump(kernel, "o", *object);
  cache.insert(key, *object);
  return std::move(*object);
}

FailureOr<std::string> primus::codegen::compileKernels(ModuleOp module, const CpuTarget &target,
                                                       const CompileOptions &options) {
  MLIRContext *context = module.getContext();
  initialiseTarget();
  loadCpuDialects(*context);
  registerBuiltinDialectTranslation(*context);
  registerLLVMDialectTranslation(*context);

  SmallVector<kernel::FuncOp> kernels(module.getOps<kernel::FuncOp>());
  std::vector<std::string> objects(kernels.size());
  Compiler compiler(target, options);
  ParallelDiagnosticHandler diagnostics(context);
  LogicalResult compiled = failableParallelForEachN(context, 0, kernels.size(), [&](size_t i) -> LogicalResult {
    diagnostics.setOrderIDForThread(i);
    FailureOr<std::string> object = compiler.compile(kernels[i]);
    diagnostics.eraseOrderIDForThread();
    if (failed(object))
      return failure();
    objects[i] = std::move(*object);
    return success();
  });
  if (failed(compiled))
    return failure();
  llvm::Expected<std::string> linked = linkSharedObject(objects);
  if (!linked)
    return module.emitError() << llvm::toString(linked.takeError());
  return std::move(*linked);
}
