//===- RunKernel.h - Compile tile programs and call them ---------*- C++ -*-===//

#pragma once

#include "codegen/cpu/CompileKernels.h"
#include "ir/kernel/KernelDialect.h"
#include "runtime/executable/CpuFeatures.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/Error.h"

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

namespace primus::test {

/// The machine that the tests run on.
inline codegen::CpuTarget hostTarget() { return llvm::cantFail(codegen::CpuTarget::host()); }

/// The oldest processor that is supported; code for it runs everywhere.
inline codegen::CpuTarget avx2Target() { return llvm::cantFail(codegen::CpuTarget::parse("avx2")); }

/// The host; with and without bf16 instructions, and without AVX-512, where the processor has them.
inline std::vector<codegen::CpuTarget> allTargets() {
  std::vector<codegen::CpuTarget> targets = {hostTarget()};
  // The host's own list leaves them out where they are slow.
  if (runtime::hasCpuFeature("avx512bf16").value_or(false))
    targets.push_back(llvm::cantFail(
        codegen::CpuTarget::parse(targets[0].has("avx512bf16") ? "native,-avx512bf16" : "native,avx512bf16")));
  if (targets[0].has("avx512f"))
    targets.push_back(avx2Target());
  return targets;
}

/// A module's kernels as callable functions.
class KernelLibrary {
public:
  KernelLibrary(mlir::ModuleOp module, const codegen::CpuTarget &target, const codegen::CompileOptions &options = {}) {
    mlir::FailureOr<std::string> code = codegen::compileKernels(module, target, options);
    EXPECT_TRUE(mlir::succeeded(code));
    if (mlir::failed(code))
      return;
    // Open as long as the library is: dlopen knows libraries by name, and the number must not be another's meanwhile.
    file = memfd_create("kernels", MFD_CLOEXEC);
    EXPECT_EQ(write(file, code->data(), code->size()), ssize_t(code->size()));
    library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT_TRUE(library) << dlerror();
    for (auto kernel : module.getOps<kernel::FuncOp>()) {
      int64_t instances = 1;
      for (int64_t size : kernel.getGrid())
        instances *= size;
      sizes[kernel.getSymName().str()] = instances;
    }
  }
  ~KernelLibrary() {
    if (library)
      dlclose(library);
    if (file >= 0)
      close(file);
  }
  KernelLibrary(const KernelLibrary &) = delete;
  KernelLibrary &operator=(const KernelLibrary &) = delete;

  /// Null when there is no such kernel.
  using Function = void (*)(void *const *arguments, int64_t begin, int64_t end);
  Function find(const std::string &name) const {
    return library ? reinterpret_cast<Function>(dlsym(library, name.c_str())) : nullptr;
  }

  /// Runs all instances of a kernel.
  void run(const std::string &name, const std::vector<void *> &arguments) const {
    Function function = find(name);
    ASSERT_TRUE(function) << "no kernel " << name;
    function(arguments.data(), 0, sizes.at(name));
  }

private:
  void *library = nullptr;
  int file = -1;
  std::map<std::string, int64_t> sizes;
};

/// A context in which tile programs parse.
class KernelContext : public mlir::MLIRContext {
public:
  KernelContext() {
    loadDialect<kernel::KernelDialect, mlir::arith::ArithDialect, mlir::math::MathDialect, mlir::scf::SCFDialect>();
  }
};

/// Parses a module of tile programs, compiles it, and runs its kernel `name`.
inline void runKernel(llvm::StringRef source, const std::vector<void *> &arguments, const codegen::CpuTarget &target,
                      const std::string &name = "k") {
  KernelContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
  ASSERT_TRUE(module) << source.str();
  KernelLibrary(*module, target).run(name, arguments);
}

inline float bf16ToFloat(uint16_t bits) { return llvm::bit_cast<float>(uint32_t(bits) << 16); }

/// To nearest, ties to even; numbers only.
inline uint16_t floatToBf16(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

} // namespace primus::test
