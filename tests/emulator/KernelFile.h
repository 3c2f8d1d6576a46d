//===- KernelFile.h - A launch described by kernels/NAME.json ---*- C++ -*-===//

#pragma once

#include "tests/emulator/Machine.h"

namespace primus::emulator {

/// One argument of a described launch. Pointers have a type, plain values a kind only.
struct ArgumentDescription {
  std::string kind; ///< pointer, i32, i64 or f32
  uint32_t offset = 0;
  std::string dtype;
  std::vector<int64_t> shape, strides; ///< strides in elements
  Access access = Access::ReadWrite;
  /// Of what a pointer points to: up to the last element that the strides reach.
  uint64_t getBytes() const;
};

/// A compiled kernel and how to launch it: `NAME.json` with `NAME.hsaco` beside it, as a dump has them.
class KernelFile {
public:
  /// Errors name the file and the key.
  static llvm::Expected<KernelFile> load(llvm::StringRef jsonPath);
  static llvm::Expected<KernelFile> parse(llvm::StringRef json, llvm::StringRef codeObject);

  /// Launches with `arguments` in the description's order; sizes of buffers are checked against it, and its access rights apply.
  llvm::Expected<Statistics> run(llvm::ArrayRef<KernelArgument> arguments, const LaunchOptions &options = {}) const;

  std::string symbol;
  Dim3 grid, block;
  uint32_t ldsBytes = 0;
  std::vector<ArgumentDescription> arguments;
  std::string definedBy; ///< the graph function that says what the kernel computes
  CodeObject object;
};

} // namespace primus::emulator
