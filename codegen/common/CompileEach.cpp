//===- CompileEach.cpp - Every kernel of a module, on all threads ---------===//

#include "codegen/common/CompileEach.h"

#include "codegen/common/ObjectCache.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Threading.h"
#include "llvm/Support/CrashRecoveryContext.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <mutex>

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

namespace {

class Session {
public:
  Session(const KernelCompiler &compiler, const CompileOptions &options)
      : compiler(compiler), options(options), cache(options.cacheDir) {}

  FailureOr<std::string> compile(kernel::FuncOp kernel);
  /// The same, and a crash is an error that names the kernel; a crash of another thread than the main one would end the process.
  FailureOr<std::string> compileSafely(kernel::FuncOp kernel);
  void countDone(size_t count);

private:
  llvm::Error dumpForms(kernel::FuncOp kernel, TranslatedModule &translated);
  void dump(kernel::FuncOp kernel, StringRef extension, StringRef contents);

  const KernelCompiler &compiler;
  const CompileOptions &options;
  ObjectCache cache;
  std::mutex mutex;
  size_t done = 0;
};

} // namespace

template <typename T> static std::string toText(const T &printed) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  printed(stream);
  return text;
}

void Session::dump(kernel::FuncOp kernel, StringRef extension, StringRef contents) {
  std::lock_guard lock(mutex);
  options.dump(kernel.getSymName(), extension, contents);
}

void Session::countDone(size_t count) {
  if (!options.progress)
    return;
  std::lock_guard lock(mutex);
  options.progress(++done, count);
}

llvm::Error Session::dumpForms(kernel::FuncOp kernel, TranslatedModule &translated) {
  OpPrintingFlags flags;
  dump(kernel, "mlir", toText([&](llvm::raw_ostream &stream) { kernel->print(stream, flags.printNameLocAsPrefix()); }) + "\n");
  dump(kernel, "ll", toText([&](llvm::raw_ostream &stream) { translated.module->print(stream, nullptr); }));
  std::unique_ptr<llvm::Module> copy = llvm::CloneModule(*translated.module);
  auto assembly = emitCode(*copy, *translated.machine, llvm::CodeGenFileType::AssemblyFile);
  if (!assembly)
    return assembly.takeError();
  dump(kernel, "s", *assembly);
  return llvm::Error::success();
}

FailureOr<std::string> Session::compile(kernel::FuncOp kernel) {
  std::string source = toText([&](llvm::raw_ostream &stream) { kernel->print(stream); });
  std::string key = ObjectCache::getKey({source, compiler.target});
  // Intermediate forms are not in the cache: a dump compiles again, to the same bytes.
  if (!options.dump)
    if (std::optional<std::string> code = cache.find(key))
      return *code;

  llvm::LLVMContext context;
  FailureOr<TranslatedModule> translated = compiler.translate(kernel, context);
  if (failed(translated))
    return failure();
  auto fail = [&](llvm::Error error) {
    return kernel.emitOpError() << "cannot be compiled: " << llvm::toString(std::move(error));
  };
  if (options.dump)
    if (llvm::Error error = dumpForms(kernel, *translated))
      return fail(std::move(error));
  auto object = emitCode(*translated->module, *translated->machine, llvm::CodeGenFileType::ObjectFile);
  if (!object)
    return fail(object.takeError());
  llvm::Expected<std::string> code = compiler.finish ? compiler.finish(std::move(*object)) : std::move(*object);
  if (!code)
    return fail(code.takeError());
  if (options.dump)
    dump(kernel, compiler.extension, *code);
  cache.insert(key, *code);
  return std::move(*code);
}

FailureOr<std::string> Session::compileSafely(kernel::FuncOp kernel) {
  FailureOr<std::string> code = failure();
  llvm::CrashRecoveryContext recovery;
  if (!recovery.RunSafely([&] { code = compile(kernel); }))
    return kernel.emitOpError("cannot be compiled: the code generator crashed");
  return code;
}

FailureOr<std::vector<std::string>> primus::codegen::compileEach(ModuleOp module, const KernelCompiler &compiler,
                                                                 const CompileOptions &options) {
  MLIRContext *context = module.getContext();
  SmallVector<kernel::FuncOp> kernels(module.getOps<kernel::FuncOp>());
  std::vector<std::string> results(kernels.size());
  Session session(compiler, options);
  ParallelDiagnosticHandler diagnostics(context);
  LogicalResult compiled = failableParallelForEachN(context, 0, kernels.size(), [&](size_t i) -> LogicalResult {
    diagnostics.setOrderIDForThread(i);
    FailureOr<std::string> code = session.compileSafely(kernels[i]);
    diagnostics.eraseOrderIDForThread();
    if (failed(code))
      return failure();
    results[i] = std::move(*code);
    session.countDone(kernels.size());
    return success();
  });
  if (failed(compiled))
    return failure();
  return results;
}
