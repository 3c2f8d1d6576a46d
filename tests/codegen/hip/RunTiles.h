//===- RunTiles.h - Tile programs on the emulator ----------------*- C++ -*-===//

#pragma once

#include "codegen/hip/CompileKernels.h"
#include "tests/codegen/cpu/RunKernel.h"
#include "tests/emulator/Machine.h"

#include "llvm/Support/FormatVariadic.h"

namespace primus::test {

/// Parses a module of tile programs, compiles it for `chip`, and runs some of its kernels one after the other. Nothing may be spilled.
inline void runTiles(const std::string &source, llvm::StringRef chip,
                     const std::vector<std::pair<std::string, std::vector<emulator::Buffer *>>> &launches) {
  KernelContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
  ASSERT_TRUE(module) << source;
  auto compiled = codegen::hip::compileKernels(*module, chip);
  ASSERT_TRUE(mlir::succeeded(compiled)) << source;
  for (const auto &[name, buffers] : launches) {
    bool found = false;
    for (auto [kernel, code] : llvm::zip_equal(module->getOps<kernel::FuncOp>(), *compiled)) {
      if (kernel.getSymName() != name)
        continue;
      found = true;
      EXPECT_EQ(code.resources.scratchBytes, 0) << name;
      llvm::Expected<emulator::CodeObject> object = emulator::CodeObject::load(code.codeObject);
      ASSERT_TRUE(bool(object)) << llvm::toString(object.takeError());
      std::vector<emulator::KernelArgument> arguments;
      for (emulator::Buffer *buffer : buffers)
        arguments.push_back(emulator::KernelArgument::pointer(*buffer, emulator::Access::ReadWrite));
      uint32_t instances = 1;
      for (int64_t size : kernel.getGrid())
        instances *= size;
      auto statistics = emulator::launch(*object, name, {instances}, {uint32_t(code.resources.workgroupSize)}, arguments);
      EXPECT_TRUE(bool(statistics)) << name << ": " << llvm::toString(statistics.takeError());
    }
    ASSERT_TRUE(found) << "no kernel " << name;
  }
}

} // namespace primus::test
