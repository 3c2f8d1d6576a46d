//===- TestCode.h - Code objects from assembly and LLVM IR --------*- C++ -*-===//

#pragma once

#include "tests/emulator/Machine.h"

#include "llvm/IR/Module.h"

namespace primus::emulator {

llvm::StringRef getChipName(Chip chip);

/// Assembles and links a whole file. Errors fail the test and abort it.
CodeObject assemble(Chip chip, const std::string &text);

struct KernelText {
  std::string body; ///< after it comes s_endpgm
  unsigned pointers = 2, ldsBytes = 0;
};
/// A kernel "k" of that many pointers, with 256 vector and 256 accumulation registers. At its start s[0:1] is the address of the
/// arguments, s2 the workgroup and v0 the work item.
CodeObject assembleKernel(Chip chip, const KernelText &text);

/// Optimises, compiles and links a module (amdgpu_kernel functions).
CodeObject compile(Chip chip, llvm::Module &module, unsigned level = 2);
CodeObject compile(Chip chip, const std::string &ir, unsigned level = 2);
/// The linked file instead.
std::string compileToFile(Chip chip, llvm::Module &module, unsigned level = 2);
std::string compileToFile(Chip chip, const std::string &ir, unsigned level = 2);

/// Runs `body` on lanes that are independent of one another. Register v(10 + r) holds inputs[r][i] in lane i % 64 of workgroup
/// i / 64; the result is v40 and following, in the same order. All inputs have the same length, a multiple of 64.
std::vector<std::vector<uint32_t>> runLanes(Chip chip, const std::string &body, const std::vector<std::vector<uint32_t>> &inputs,
                                            unsigned results = 1);
/// The message of the error that a launch must end with.
std::string getError(llvm::Expected<Statistics> result);

} // namespace primus::emulator
