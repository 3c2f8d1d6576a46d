//===- Machine.h - Launches of kernels ----------------------------*- C++ -*-===//
//
// Workgroups run one after another, in an order that the seed decides; waves of a workgroup take turns at random.
//
// What is an error, beside instructions that the emulator does not know:
// - an access outside every buffer, to a buffer that the launch declares read or write only, or past the end of LDS
// - a register that is used while a load to it is on its way (s_waitcnt)
// - two waves that use the same LDS without a barrier between them, one of them writing; an access that is on its way
//   when its wave reaches the barrier counts as after it too
// - a bit that nobody wrote and that reaches an address, a branch, the execution mask or a buffer
//
// What is not modelled: time, caches (all waves see every store to a buffer at once) and hazards that need s_nop.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "tests/emulator/CodeObject.h"
#include "tests/emulator/Memory.h"

namespace primus::emulator {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t(x) * y * z; }
};

/// An argument of a launch: a buffer or a plain value.
struct KernelArgument {
  static KernelArgument pointer(Buffer &buffer, Access access) { return part(buffer, access, 0, buffer.data.size()); }
  /// Some bytes of a buffer; the kernel may not touch the others. As aligned as they are in the buffer.
  static KernelArgument part(Buffer &buffer, Access access, uint64_t offset, uint64_t size) {
    return {&buffer, access, offset, size, {}};
  }
  template <typename T>
  static KernelArgument value(T value) {
    KernelArgument argument;
    argument.bytes.resize(sizeof(T));
    std::memcpy(argument.bytes.data(), &value, sizeof(T));
    return argument;
  }
  Buffer *buffer = nullptr;
  Access access = Access::ReadWrite;
  uint64_t offset = 0, size = 0;
  std::vector<uint8_t> bytes;
};

struct LaunchOptions {
  uint64_t seed = 1;
  /// Memory beside the arguments' buffers, at addresses that plain values may hold; below where buffers are placed.
  llvm::ArrayRef<Mapping> memory;
  /// A kernel that executes more in one wave is taken to hang.
  uint64_t maximumPerWave = uint64_t(1) << 32;
};

struct Statistics {
  std::array<uint64_t, kInstructionClasses> instructions{}; ///< per wave, by InstructionClass
  uint64_t waves = 0, barriers = 0;
  double matrixFlops = 0;
  uint64_t total() const;
  std::string str() const;
  Statistics &operator+=(const Statistics &other);
};

/// Runs a kernel to its end. `grid` counts workgroups. Arguments are those of the kernel's signature, in order.
llvm::Expected<Statistics> launch(const CodeObject &object, llvm::StringRef kernel, Dim3 grid, Dim3 block,
                                  llvm::ArrayRef<KernelArgument> arguments, const LaunchOptions &options = {});

} // namespace primus::emulator
