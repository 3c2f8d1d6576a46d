//===- Access.cpp - Checked accesses to buffers ---------------------------===//

#include "tests/emulator/Access.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/FormatVariadic.h"

using namespace llvm;
using namespace primus::emulator;

/// The buffer of an access that lies inside it whole, or null after an error.
static const Mapping *findChecked(Wave &wave, uint64_t address, unsigned bytes, bool isWrite) {
  const Mapping *mapping = wave.memory.find(address);
  const char *verb = isWrite ? "writes" : "reads";
  if (!mapping) {
    wave.fail(formatv("{0} {1} bytes outside every buffer: {2}", verb, bytes, wave.memory.describe(address)));
    return nullptr;
  }
  if (address - mapping->address + bytes > mapping->bytes) {
    wave.fail(formatv("{0} {1} bytes past the end of '{2}': {3}", verb, bytes, mapping->name, wave.memory.describe(address)));
    return nullptr;
  }
  if (mapping->access == (isWrite ? Access::Read : Access::Write)) {
    wave.fail(formatv("{0} '{1}', which the launch declares {2} only: {3}", verb, mapping->name, isWrite ? "read" : "write",
                      wave.memory.describe(address)));
    return nullptr;
  }
  return mapping;
}

bool primus::emulator::readMemory(Wave &wave, uint64_t address, void *data, void *shadow, unsigned bytes) {
  const Mapping *mapping = findChecked(wave, address, bytes, /*isWrite=*/false);
  if (!mapping)
    return false;
  std::memcpy(data, mapping->data + (address - mapping->address), bytes);
  std::memcpy(shadow, mapping->poison + (address - mapping->address), bytes);
  return true;
}

bool primus::emulator::writeMemory(Wave &wave, uint64_t address, const void *data, const void *shadow, unsigned bytes) {
  const Mapping *mapping = findChecked(wave, address, bytes, /*isWrite=*/true);
  if (!mapping)
    return false;
  for (unsigned byte = 0; byte < bytes; ++byte)
    if (static_cast<const uint8_t *>(shadow)[byte]) {
      wave.fail(formatv("stores a value that was never written to '{0}': {1}", mapping->name, wave.memory.describe(address + byte)));
      return false;
    }
  std::memcpy(mapping->data + (address - mapping->address), data, bytes);
  std::memset(mapping->poison + (address - mapping->address), 0, bytes);
  return true;
}

void primus::emulator::readLanes(const Wave &wave, const Operand &operand, LaneData &data) {
  for (unsigned word = 0; word < operand.words; ++word) {
    if (operand.kind == Operand::Vector) {
      data.words[word] = wave.vector[operand.index + word].lanes;
      data.shadow[word] = wave.vector[operand.index + word].shadow;
      continue;
    }
    Wave::Value value = wave.readScalar(operand);
    data.words[word].fill(value.bits);
    data.shadow[word].fill(value.shadow);
  }
}

void primus::emulator::writeLanes(Wave &wave, const Operand &result, LoadKind kind, LaneData &data, LaneMask mask) {
  if (kind != LoadKind::Words) {
    const VectorRegister &old = wave.vector[result.index];
    bool keepsHigh = kind == LoadKind::U8Low || kind == LoadKind::I8Low || kind == LoadKind::U16Low;
    bool keepsLow = kind >= LoadKind::U8High;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      auto place = [&](uint32_t bits, uint32_t before) -> uint32_t {
        switch (kind) {
        case LoadKind::I8:
          bits = int32_t(int8_t(bits));
          break;
        case LoadKind::I16:
          bits = int32_t(int16_t(bits));
          break;
        case LoadKind::I8Low:
        case LoadKind::I8High:
          bits = uint16_t(int8_t(bits));
          break;
        default:
          bits &= getBytes(kind) == 1 ? 0xff : 0xffff;
          break;
        }
        if (keepsHigh)
          return bits | (before & 0xffff0000);
        return keepsLow ? bits << 16 | (before & 0xffff) : bits;
      };
      data.words[0][lane] = place(data.words[0][lane], old.lanes[lane]);
      data.shadow[0][lane] = place(data.shadow[0][lane], old.shadow[lane]);
    }
  }
  for (unsigned word = 0; word < result.words; ++word) {
    uint32_t any = 0;
    for (uint32_t shadow : data.shadow[word])
      any |= shadow;
    LaneMask dirty = 0;
    for (unsigned lane = 0; any && lane < kLanes; ++lane)
      dirty |= LaneMask(data.shadow[word][lane] != 0) << lane;
    wave.writeVector(result.index + word, data.words[word].data(), mask, dirty & mask, data.shadow[word].data());
  }
}

bool primus::emulator::readAddresses(Wave &wave, const Operand &operand, LaneMask mask, std::array<uint64_t, kLanes> &addresses) {
  LaneMask dirty = 0;
  for (unsigned word = 0; word < operand.words; ++word) {
    const VectorRegister &reg = wave.vector[operand.index + word];
    dirty |= reg.dirty;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      addresses[lane] = word ? addresses[lane] | uint64_t(reg.lanes[lane]) << 32 : reg.lanes[lane];
  }
  if (dirty & mask) {
    wave.fail("the address depends on a value that was never written");
    return false;
  }
  return true;
}

std::optional<BufferResource> BufferResource::read(Wave &wave, const Operand &operand) {
  uint32_t words[4];
  for (unsigned word = 0; word < 4; ++word) {
    Operand one = operand;
    one.index += word;
    Wave::Value value = wave.readScalar(one);
    if (value.shadow) {
      wave.fail("the buffer resource depends on a value that was never written");
      return std::nullopt;
    }
    words[word] = value.bits;
  }
  if (words[1] >> 16) {
    wave.fail("the emulator does not know buffers with a stride or swizzle");
    return std::nullopt;
  }
  return BufferResource{words[0] | uint64_t(words[1] & 0xffff) << 32, words[2]};
}
