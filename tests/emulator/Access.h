//===- Access.h - Checked accesses to buffers ---------------------*- C++ -*-===//

#pragma once

#include "tests/emulator/Wave.h"

namespace primus::emulator {

/// Copies `bytes` from memory with their poison. False after an error that names the buffer.
bool readMemory(Wave &wave, uint64_t address, void *data, void *shadow, unsigned bytes);
/// Copies `bytes` to memory; poison among them is an error.
bool writeMemory(Wave &wave, uint64_t address, const void *data, const void *shadow, unsigned bytes);

/// The same for the LDS of the wave's workgroup; also errors: an access that another wave's unsynchronised access makes a
/// race, and one to bytes that a load to LDS will still write.
bool readLds(Wave &wave, uint32_t address, void *data, void *shadow, unsigned bytes);
bool writeLds(Wave &wave, uint32_t address, const void *data, const void *shadow, unsigned bytes);

/// How a load of less than a word fills its register; the last six change one half and keep the other.
enum class LoadKind : uint8_t { Words, U8, I8, U16, I16, U8Low, I8Low, U16Low, U8High, I8High, U16High };
constexpr unsigned getBytes(LoadKind kind) {
  using enum LoadKind;
  return kind == U8 || kind == I8 || kind == U8Low || kind == I8Low || kind == U8High || kind == I8High ? 1 : 2;
}

/// The lanes of up to four registers on their way from or to memory.
struct LaneData {
  alignas(64) std::array<std::array<uint32_t, kLanes>, 4> words;
  alignas(64) std::array<std::array<uint32_t, kLanes>, 4> shadow{};
};
/// Registers of an operand.
void readLanes(const Wave &wave, const Operand &operand, LaneData &data);
/// Writes loaded lanes to the result's registers.
void writeLanes(Wave &wave, const Operand &result, LoadKind kind, LaneData &data, LaneMask mask);

/// Addresses and offsets in a register: an error if a lane of `mask` is poisoned.
bool readAddresses(Wave &wave, const Operand &operand, LaneMask mask, std::array<uint64_t, kLanes> &addresses);

/// A raw buffer resource: four scalar registers. (CDNA 3 ISA, "Buffer Resource Descriptor".)
struct BufferResource {
  uint64_t base;
  uint64_t bytes; ///< beyond it loads give zero and stores do nothing
  /// None after an error: a swizzled or strided buffer, or poison.
  static std::optional<BufferResource> read(Wave &wave, const Operand &operand);
};

} // namespace primus::emulator
