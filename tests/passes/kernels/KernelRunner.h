//===- KernelRunner.h - Compiled tile programs on a target -------*- C++ -*-===//

#pragma once

#include "codegen/cpu/CpuTarget.h"
#include "ir/kernel/KernelDialect.h"
#include "tests/emulator/Machine.h"

#include "llvm/IR/Module.h"

#include <functional>
#include <memory>

namespace primus::test {

/// Where a launch finds an argument.
struct BufferPlace {
  emulator::Buffer *buffer;
  int64_t offset;
};

/// The kernels of a module, compiled.
class KernelRunner {
public:
  virtual ~KernelRunner() = default;

  /// Runs all instances of a kernel. `order` 0 and 1 are different orders, on which no result may depend. Fails the test on any error.
  virtual void run(kernel::FuncOp kernel, llvm::ArrayRef<BufferPlace> arguments, unsigned order) = 0;

  /// On this machine's processor. Null after a failure of the test.
  static std::unique_ptr<KernelRunner> forCpu(mlir::ModuleOp module, const codegen::CpuTarget &target);
  /// What a test does to a kernel's optimised code.
  using ChangeCode = std::function<void(llvm::Module &)>;
  /// On the emulator of gfx942 or gfx950: what no kernel wrote is poison, and an argument is accessed within its type only.
  static std::unique_ptr<KernelRunner> forGpu(mlir::ModuleOp module, llvm::StringRef chip, const ChangeCode &change = nullptr);
};

} // namespace primus::test
