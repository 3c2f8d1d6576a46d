//===- Memory.h - Buffers in the address space of a launch -------*- C++ -*-===//

#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace primus::emulator {

/// Where generic pointers into LDS and scratch start; no buffer is placed there.
inline constexpr uint64_t kSharedAperture = uint64_t(1) << 60, kPrivateAperture = uint64_t(2) << 60;

enum class Access : uint8_t { Read, Write, ReadWrite };

/// Memory of the device. Every bit is poisoned until it is written, by the host or by a kernel.
class Buffer {
public:
  /// Poisoned, and filled with a pattern that is a NaN in every format.
  Buffer(std::string name, size_t bytes) : name(std::move(name)), data(bytes, 0xff), poison(bytes, 0xff) {}
  template <typename T>
  Buffer(std::string name, llvm::ArrayRef<T> values) : Buffer(std::move(name), values.size() * sizeof(T)) {
    if (!data.empty())
      std::memcpy(data.data(), values.data(), data.size());
    std::fill(poison.begin(), poison.end(), 0);
  }

  template <typename T>
  std::vector<T> read() const {
    std::vector<T> values(data.size() / sizeof(T));
    if (!values.empty())
      std::memcpy(values.data(), data.data(), values.size() * sizeof(T));
    return values;
  }
  /// The offset of the first byte that holds poison; none if all is written.
  std::optional<size_t> findPoison() const;

  std::string name;
  std::vector<uint8_t> data, poison; ///< a set bit of `poison` is a poisoned bit
};

/// A buffer where a launch sees it.
struct Mapping {
  uint64_t address;
  uint8_t *data, *poison;
  size_t bytes;
  Access access;
  std::string name;
};

/// The address space of a launch. Between buffers lie gaps that belong to nobody.
class Memory {
public:
  /// Places `bytes` of a buffer from `offset` on and returns their address. The buffer's start would be a multiple of 4096 (so that an
  /// argument's alignment is never by chance worse than on a device).
  uint64_t map(Buffer &buffer, Access access, uint64_t offset, uint64_t bytes);
  /// Adds memory that has an address already.
  void add(Mapping mapping) { mappings.push_back(std::move(mapping)); }
  /// The buffer that holds the first byte of an access, or null.
  const Mapping *find(uint64_t address) const;
  /// The buffer that is nearest below an address, for messages.
  std::string describe(uint64_t address) const;

private:
  std::vector<Mapping> mappings;
  mutable size_t latest = 0;
  uint64_t next = 0x7f0000000000;
};

} // namespace primus::emulator
