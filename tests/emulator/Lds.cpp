//===- Lds.cpp - Accesses to local memory ---------------------------------===//

#include "tests/emulator/Access.h"
#include "tests/emulator/Atomic.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/FormatVariadic.h"

using namespace llvm;
using namespace primus::emulator;

/// Checks the bounds, and that no other wave's access since the last barrier conflicts with this one.
static bool checkLds(Wave &wave, uint32_t address, unsigned bytes, bool isWrite) {
  Lds &lds = wave.lds;
  const char *verb = isWrite ? "writes" : "reads";
  if (uint64_t(address) + bytes > lds.data.size()) {
    wave.fail(formatv("{0} {1} bytes of LDS at {2}, past its end at {3}", verb, bytes, address, lds.data.size()));
    return false;
  }
  int16_t self = wave.number;
  for (uint32_t word = address / 4; word <= (address + bytes - 1) / 4; ++word) {
    Lds::Use &use = lds.uses[word];
    uint8_t touched = 0;
    for (unsigned byte = 0; byte < 4; ++byte)
      if (4 * word + byte - address < bytes)
        touched |= 1 << byte;
    bool othersWrote = use.writeEpoch == lds.epoch && use.writer != self && (use.written & touched);
    bool othersRead = isWrite && use.readEpoch == lds.epoch && use.reader != self && (use.read & touched);
    if (use.arriving) {
      wave.fail(formatv("{0} LDS at {1} while a load to it is on its way: s_waitcnt is missing", verb, address));
      return false;
    }
    if (othersWrote || othersRead) {
      int16_t other = othersWrote ? use.writer : use.reader;
      wave.fail(formatv("{0} LDS at {1}, which {2} {3} since the last barrier: s_barrier is missing", verb, address,
                        other == Lds::kSeveral ? "several waves" : formatv("wave {0}", other).str(), othersWrote ? "wrote" : "read"));
      return false;
    }
    uint32_t &epoch = isWrite ? use.writeEpoch : use.readEpoch;
    int16_t &user = isWrite ? use.writer : use.reader;
    uint8_t &mask = isWrite ? use.written : use.read;
    if (epoch != lds.epoch) {
      epoch = lds.epoch;
      user = self;
      mask = 0;
    }
    // Several waves may read a word, or write different bytes of it.
    if (user != self)
      user = Lds::kSeveral;
    mask |= touched;
  }
  return true;
}

bool primus::emulator::readLds(Wave &wave, uint32_t address, void *data, void *shadow, unsigned bytes) {
  if (!checkLds(wave, address, bytes, /*isWrite=*/false))
    return false;
  std::memcpy(data, wave.lds.data.data() + address, bytes);
  std::memcpy(shadow, wave.lds.poison.data() + address, bytes);
  return true;
}

bool primus::emulator::writeLds(Wave &wave, uint32_t address, const void *data, const void *shadow, unsigned bytes) {
  if (!checkLds(wave, address, bytes, /*isWrite=*/true))
    return false;
  std::memcpy(wave.lds.data.data() + address, data, bytes);
  std::memcpy(wave.lds.poison.data() + address, shadow, bytes);
  return true;
}

namespace {
void finish(Wave &wave, const Operand &result, PendingAccess access = {}) {
  access.result = result;
  wave.addPending(wave.lgkmAccesses, std::move(access));
}

void touch(const Wave &wave, PendingAccess &access, uint32_t address, unsigned bytes) {
  if (!wave.isAlone)
    for (uint32_t word = address / 4; word <= (address + bytes - 1) / 4; ++word)
      access.touched.push_back(word);
}

/// No other wave can interfere, and nothing is on its way to LDS: accesses need no check but for bounds.
bool isPrivate(const Wave &wave) { return wave.isAlone && wave.vectorAccesses.empty(); }

/// One or two loads per lane, `Bytes` each; with two, offsets are in units of Bytes * Stride.
template <unsigned Bytes, LoadKind Kind = LoadKind::Words, unsigned Count = 1, unsigned Stride = 1>
void load(Wave &wave, const Instruction &instruction) {
  std::array<uint64_t, kLanes> addresses;
  LaneMask mask = wave.exec();
  if (!readAddresses(wave, instruction.sources[0], mask, addresses))
    return;
  LaneData data;
  PendingAccess pending;
  bool isAlone = isPrivate(wave);
  constexpr unsigned words = (Bytes + 3) / 4;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!(mask >> lane & 1))
      continue;
    for (unsigned part = 0; part < Count; ++part) {
      uint32_t offset = Count == 1 ? instruction.bits(0, 16) : instruction.bits(8 * part, 8) * Bytes * Stride;
      uint32_t read[words] = {}, shadow[words] = {}, address = uint32_t(addresses[lane]) + offset;
      if (isAlone && uint64_t(address) + Bytes <= wave.lds.data.size()) {
        std::memcpy(read, wave.lds.data.data() + address, Bytes);
        std::memcpy(shadow, wave.lds.poison.data() + address, Bytes);
      } else if (!readLds(wave, address, read, shadow, Bytes)) {
        return;
      }
      touch(wave, pending, address, Bytes);
      for (unsigned word = 0; word < words; ++word) {
        data.words[part * words + word][lane] = read[word];
        data.shadow[part * words + word][lane] = shadow[word];
      }
    }
  }
  writeLanes(wave, instruction.results[0], Kind, data, mask);
  finish(wave, instruction.results[0], std::move(pending));
}

template <unsigned Bytes, unsigned Shift = 0, unsigned Count = 1, unsigned Stride = 1>
void store(Wave &wave, const Instruction &instruction) {
  std::array<uint64_t, kLanes> addresses;
  LaneMask mask = wave.exec();
  if (!readAddresses(wave, instruction.sources[0], mask, addresses))
    return;
  PendingAccess pending;
  pending.isWrite = true;
  for (unsigned part = 0; part < Count; ++part) {
    LaneData data;
    readLanes(wave, instruction.sources[1 + part], data);
    uint32_t offset = Count == 1 ? instruction.bits(0, 16) : instruction.bits(8 * part, 8) * Bytes * Stride;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      if (!(mask >> lane & 1))
        continue;
      constexpr unsigned words = (Bytes + 3) / 4;
      uint32_t written[words], shadow[words];
      for (unsigned word = 0; word < words; ++word) {
        written[word] = data.words[word][lane] >> Shift;
        shadow[word] = data.shadow[word][lane] >> Shift;
      }
      if (!writeLds(wave, uint32_t(addresses[lane]) + offset, written, shadow, Bytes))
        return;
      touch(wave, pending, uint32_t(addresses[lane]) + offset, Bytes);
    }
  }
  finish(wave, {}, std::move(pending));
}

/// A read-modify-write in each lane, in order.
template <typename T, auto F>
void atomic(Wave &wave, const Instruction &instruction) {
  std::array<uint64_t, kLanes> addresses;
  LaneMask mask = wave.exec();
  if (!readAddresses(wave, instruction.sources[0], mask, addresses))
    return;
  LaneData operands[2], old;
  for (unsigned k = 1; k < instruction.uses; ++k)
    readLanes(wave, instruction.sources[k], operands[k - 1]);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!(mask >> lane & 1))
      continue;
    uint32_t address = uint32_t(addresses[lane]) + instruction.bits(0, 16);
    if (uint64_t(address) + sizeof(T) > wave.lds.data.size())
      return wave.fail(formatv("updates LDS at {0}, past its end at {1}", address, wave.lds.data.size()));
    T before, shadow;
    std::memcpy(&before, wave.lds.data.data() + address, sizeof(T));
    std::memcpy(&shadow, wave.lds.poison.data() + address, sizeof(T));
    T operand = getLane<T>(operands[0].words, lane), second = getLane<T>(operands[1].words, lane);
    shadow |= getLane<T>(operands[0].shadow, lane);
    T after = F(before, operand, second);
    std::memcpy(wave.lds.data.data() + address, &after, sizeof(T));
    std::memcpy(wave.lds.poison.data() + address, &shadow, sizeof(T));
    // Updates do not conflict with one another, but with every other access before a barrier.
    for (uint32_t word = address / 4; word <= (address + sizeof(T) - 1) / 4; ++word) {
      Lds::Use &use = wave.lds.uses[word];
      use.writeEpoch = wave.lds.epoch;
      use.writer = Lds::kSeveral;
      use.written = 0xf;
    }
    setLane<T>(old.words, lane, before);
    setLane<T>(old.shadow, lane, shadow);
  }
  if (instruction.definitions)
    writeLanes(wave, instruction.results[0], LoadKind::Words, old, mask);
  finish(wave, instruction.definitions ? instruction.results[0] : Operand());
}

/// A lane of the wave reads (`Pull`) the register of the lane that its address names, or sends its own there.
template <bool Pull>
void permute(Wave &wave, const Instruction &instruction) {
  std::array<uint64_t, kLanes> addresses;
  LaneMask mask = wave.exec();
  if (!readAddresses(wave, instruction.sources[0], mask, addresses))
    return;
  LaneData source, result;
  readLanes(wave, instruction.sources[1], source);
  result.words[0].fill(0);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!(mask >> lane & 1))
      continue;
    unsigned other = (addresses[lane] + instruction.bits(0, 16)) / 4 % kLanes;
    unsigned from = Pull ? other : lane, to = Pull ? lane : other;
    if (Pull && !(mask >> other & 1))
      continue; // an inactive lane gives zero
    result.words[0][to] = source.words[0][from];
    result.shadow[0][to] = source.shadow[0][from];
  }
  writeLanes(wave, instruction.results[0], LoadKind::Words, result, mask);
  finish(wave, instruction.results[0]);
}

/// A fixed pattern: four lanes permuted, or within 32 lanes an and, or and xor of the lane's number.
void swizzle(Wave &wave, const Instruction &instruction) {
  unsigned pattern = instruction.bits(0, 16);
  LaneMask mask = wave.exec();
  LaneData source, result;
  readLanes(wave, instruction.sources[0], source);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    unsigned from = pattern & 0x8000 ? (lane & ~3u) + (pattern >> (2 * (lane & 3)) & 3)
                                     : (lane & 32) + ((((lane & 31) & pattern) | (pattern >> 5)) ^ (pattern >> 10)) % 32;
    bool active = mask >> from & 1;
    result.words[0][lane] = active ? source.words[0][from] : 0;
    result.shadow[0][lane] = active ? source.shadow[0][from] : 0;
  }
  writeLanes(wave, instruction.results[0], LoadKind::Words, result, mask);
  finish(wave, instruction.results[0]);
}

struct AddAtomic {
  OperationTable &table;
  template <typename T, auto F>
  void add(StringRef name) {
    table.add(("ds_" + name).str(), {atomic<T, F>, InstructionClass::Lds});
    if (name.starts_with("wrxchg") || name.starts_with("cmpst")) // "rtn" is part of every name below
      return;
    auto [operation, type] = name.rsplit('_');
    table.add(("ds_" + operation + "_rtn_" + type).str(), {atomic<T, F>, InstructionClass::Lds});
  }
};
} // namespace

void primus::emulator::addLdsOperations(OperationTable &table) {
  auto add = [&](StringRef name, Handler handler) { table.add(("ds_" + name).str(), {handler, InstructionClass::Lds}); };
  add("read_b32", load<4>);
  add("read_b64", load<8>);
  add("read_b96", load<12>);
  add("read_b128", load<16>);
  add("read_u8", load<1, LoadKind::U8>);
  add("read_i8", load<1, LoadKind::I8>);
  add("read_u16", load<2, LoadKind::U16>);
  add("read_i16", load<2, LoadKind::I16>);
  add("read_u8_d16", load<1, LoadKind::U8Low>);
  add("read_i8_d16", load<1, LoadKind::I8Low>);
  add("read_u16_d16", load<2, LoadKind::U16Low>);
  add("read_u8_d16_hi", load<1, LoadKind::U8High>);
  add("read_i8_d16_hi", load<1, LoadKind::I8High>);
  add("read_u16_d16_hi", load<2, LoadKind::U16High>);
  add("read2_b32", load<4, LoadKind::Words, 2>);
  add("read2_b64", load<8, LoadKind::Words, 2>);
  add("read2st64_b32", load<4, LoadKind::Words, 2, 64>);
  add("read2st64_b64", load<8, LoadKind::Words, 2, 64>);
  add("write_b8", store<1>);
  add("write_b16", store<2>);
  add("write_b8_d16_hi", store<1, 16>);
  add("write_b16_d16_hi", store<2, 16>);
  add("write_b32", store<4>);
  add("write_b64", store<8>);
  add("write_b96", store<12>);
  add("write_b128", store<16>);
  add("write2_b32", store<4, 0, 2>);
  add("write2_b64", store<8, 0, 2>);
  add("write2st64_b32", store<4, 0, 2, 64>);
  add("write2st64_b64", store<8, 0, 2, 64>);
  add("bpermute_b32", permute<true>);
  add("permute_b32", permute<false>);
  add("swizzle_b32", swizzle);
  addLdsAtomics(AddAtomic{table});
}
