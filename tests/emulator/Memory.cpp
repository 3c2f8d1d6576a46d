//===- Memory.cpp - Buffers in the address space of a launch --------------===//

#include "tests/emulator/Memory.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace primus::emulator;

std::optional<size_t> Buffer::findPoison() const {
  auto found = find_if(poison, [](uint8_t bits) { return bits != 0; });
  return found == poison.end() ? std::nullopt : std::optional<size_t>(found - poison.begin());
}

uint64_t Memory::map(Buffer &buffer, Access access, uint64_t offset, uint64_t bytes) {
  uint64_t address = next + offset % 4096;
  mappings.push_back({address, buffer.data.data() + offset, buffer.poison.data() + offset, bytes, access, buffer.name});
  next = alignTo(address + bytes, 4096) + (uint64_t(1) << 24);
  return address;
}

const Mapping *Memory::find(uint64_t address) const {
  auto holds = [&](const Mapping &m) { return address - m.address < m.bytes; };
  if (latest < mappings.size() && holds(mappings[latest]))
    return &mappings[latest];
  for (const Mapping &mapping : mappings)
    if (holds(mapping)) {
      latest = &mapping - mappings.data();
      return &mapping;
    }
  return nullptr;
}

std::string Memory::describe(uint64_t address) const {
  const Mapping *below = nullptr;
  for (const Mapping &mapping : mappings)
    if (mapping.address <= address && (!below || mapping.address > below->address))
      below = &mapping;
  if (!below)
    return formatv("address {0:x}, below every buffer", address);
  return formatv("address {0:x}, {1} bytes after the start of '{2}' of {3} bytes", address, address - below->address,
                 below->name, below->bytes);
}
