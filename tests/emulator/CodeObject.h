//===- CodeObject.h - Kernels of a linked AMDGPU code object -----*- C++ -*-===//

#pragma once

#include "tests/emulator/Instruction.h"

#include "llvm/Support/Error.h"

#include <vector>

namespace primus::emulator {

/// An argument as the code object's metadata describes it.
struct ArgumentInfo {
  uint32_t offset, size;
  std::string kind; ///< by_value, global_buffer, hidden_*...
};

/// What the kernel descriptor asks for (LLVM: AMDGPUUsage, "Kernel Descriptor").
struct KernelInfo {
  std::string name;
  uint64_t entry = 0; ///< address in the code object
  uint32_t ldsBytes = 0, scratchBytes = 0, kernargBytes = 0;
  uint32_t vectorRegisters = 0;  ///< of all kinds, as allocated
  uint32_t accumulatorOffset = 0; ///< the first accumulator among them
  uint32_t rsrc1 = 0, rsrc2 = 0, properties = 0, kernargPreload = 0;
  std::vector<ArgumentInfo> arguments;
};

/// A part of the code object in memory.
struct Segment {
  uint64_t address;
  std::string bytes;
};

class CodeObject {
public:
  /// Reads a linked code object (ELF, `-shared`) for gfx942 or gfx950.
  static llvm::Expected<CodeObject> load(llvm::StringRef elf);

  llvm::ArrayRef<KernelInfo> getKernels() const { return kernels; }
  const KernelInfo *findKernel(llvm::StringRef name) const;
  llvm::ArrayRef<Segment> getSegments() const { return segments; }
  Chip getChip() const { return chip; }

private:
  Chip chip = Chip::Gfx942;
  std::vector<KernelInfo> kernels;
  std::vector<Segment> segments;
};

} // namespace primus::emulator
