//===- GlobalMemory.cpp - Vector accesses to buffers ----------------------===//
//
// Three ways to form addresses (global, flat, buffer resources), and what is done there: loads to registers or to LDS,
// stores, read-modify-writes.
//
//===----------------------------------------------------------------------===//

#include "tests/emulator/Access.h"
#include "tests/emulator/Atomic.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/FormatVariadic.h"

#include <bit>

using namespace llvm;
using namespace primus::emulator;

namespace {
enum class Form { Global, Flat, Buffer };

/// Where each lane accesses memory.
struct Addresses {
  std::array<uint64_t, kLanes> lanes;
  LaneMask active = 0;
  // Buffer resources only: which words of each lane lie inside, as one mask per word.
  std::array<LaneMask, 4> inside;
  std::array<Operand, 2> data{}; ///< of stores and read-modify-writes
  unsigned dataCount = 0;
};

bool readScalarAddress(Wave &wave, const Operand &operand, unsigned words, uint64_t &value) {
  Wave::Value read = wave.readScalar(operand, words);
  if (read.shadow)
    wave.fail("the address depends on a value that was never written");
  value = read.bits;
  return !read.shadow;
}

/// Operands are told apart by their registers: a scalar one is the base; among the vector ones the address comes first.
bool getFlatAddresses(Wave &wave, const Instruction &instruction, Addresses &result) {
  const Operand *base = nullptr, *address = nullptr;
  for (unsigned k = 0; k < instruction.uses; ++k) {
    const Operand &operand = instruction.sources[k];
    if (operand.kind == Operand::Scalar)
      base = &operand;
    else if (!address)
      address = &operand;
    else
      result.data[result.dataCount++] = operand;
  }
  uint64_t scalar = 0;
  if (base && !readScalarAddress(wave, *base, 2, scalar))
    return false;
  if (!address || !readAddresses(wave, *address, result.active, result.lanes)) {
    wave.fail("the emulator does not know this form of address");
    return false;
  }
  int64_t offset = int64_t(instruction.bits(0, 13) << 51) >> 51;
  for (uint64_t &lane : result.lanes)
    lane += scalar + offset;
  return true;
}

/// Whether words lie inside the buffer. The range check sees the lane's offset and the constant; accounts differ on
/// whether the scalar offset counts too, so an access for which that matters is an error.
bool getBufferAddresses(Wave &wave, const Instruction &instruction, unsigned bytes, Addresses &result) {
  bool hasOffset = instruction.bits(12, 1);
  if (instruction.bits(13, 1)) {
    wave.fail("the emulator does not know indexed buffers");
    return false;
  }
  // Operands: [data], [address], resource, scalar offset.
  unsigned next = 0;
  bool hasData = instruction.uses == 3 + hasOffset;
  if (hasData)
    result.data[result.dataCount++] = instruction.sources[next++];
  std::array<uint64_t, kLanes> offsets{};
  if (hasOffset && !readAddresses(wave, instruction.sources[next++], result.active, offsets))
    return false;
  auto resource = BufferResource::read(wave, instruction.sources[next++]);
  uint64_t scalar = 0;
  if (!resource || !readScalarAddress(wave, instruction.sources[next++], 1, scalar))
    return false;
  // A word is checked by itself; less than a word, whole.
  unsigned words = (bytes + 3) / 4, step = std::min(bytes, 4u);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    uint64_t offset = offsets[lane] + instruction.bits(0, 12);
    result.lanes[lane] = resource->base + scalar + offset;
    if (!(result.active >> lane & 1))
      continue;
    for (unsigned word = 0; word < words; ++word) {
      uint64_t first = offset + 4 * word, last = first + step - 1;
      bool inside = last < resource->bytes, outside = first >= resource->bytes;
      if (inside == outside || (inside && last + scalar >= resource->bytes)) {
        wave.fail(formatv("bytes {0} to {1} (and a scalar offset of {2}) of a buffer of {3} bytes: inside or outside is not certain",
                          first, last, scalar, resource->bytes));
        return false;
      }
      result.inside[word] |= LaneMask(inside) << lane;
    }
  }
  return true;
}

template <Form F>
bool getAddresses(Wave &wave, const Instruction &instruction, unsigned bytes, Addresses &result) {
  result.active = wave.exec();
  result.inside.fill(F == Form::Buffer ? 0 : ~LaneMask(0));
  if constexpr (F == Form::Buffer)
    return getBufferAddresses(wave, instruction, bytes, result);
  else
    return getFlatAddresses(wave, instruction, result);
}

/// A generic address that points into LDS.
template <Form F>
bool isLds(uint64_t address) {
  return F == Form::Flat && address >> 32 == kSharedAperture >> 32;
}

/// One lane's access, in one piece where all of it is inside.
template <Form F, bool IsWrite, typename Data, typename Shadow>
bool accessLane(Wave &wave, const Addresses &addresses, unsigned lane, unsigned bytes, Data *data, Shadow *shadow) {
  uint64_t address = addresses.lanes[lane];
  auto access = [&](uint64_t at, Data *values, Shadow *poison, unsigned count) {
    if (isLds<F>(at)) {
      if constexpr (IsWrite)
        return writeLds(wave, uint32_t(at), values, poison, count);
      else
        return readLds(wave, uint32_t(at), values, poison, count);
    }
    if constexpr (IsWrite)
      return writeMemory(wave, at, values, poison, count);
    else
      return readMemory(wave, at, values, poison, count);
  };
  unsigned words = (bytes + 3) / 4, inside = 0;
  for (unsigned word = 0; word < words; ++word)
    inside += addresses.inside[word] >> lane & 1;
  if (inside == words)
    return access(address, data, shadow, bytes);
  for (unsigned word = 0; word < words; ++word)
    if (addresses.inside[word] >> lane & 1)
      if (!access(address + 4 * word, data + word, shadow + word, 4))
        return false;
  return true;
}

/// The mapping that the first active lane accesses: most often it holds what all lanes access.
const Mapping *getCommonMapping(const Wave &wave, const Addresses &addresses, Access refused) {
  if (!addresses.active)
    return nullptr;
  const Mapping *mapping = wave.memory.find(addresses.lanes[std::countr_zero(addresses.active)]);
  return mapping && mapping->access != refused ? mapping : nullptr;
}
/// The lane's access lies whole in that mapping and is not masked by a buffer resource.
template <unsigned Bytes>
bool isInside(const Mapping *mapping, const Addresses &addresses, unsigned lane) {
  if (!mapping || mapping->bytes < Bytes || addresses.lanes[lane] - mapping->address > mapping->bytes - Bytes)
    return false;
  for (unsigned word = 0; word < (Bytes + 3) / 4; ++word)
    if (!(addresses.inside[word] >> lane & 1))
      return false;
  return true;
}

template <Form F>
void finish(Wave &wave, PendingAccess access) {
  // A flat access may go either way, and so counts in both counters.
  if constexpr (F == Form::Flat)
    wave.addPending(wave.lgkmAccesses, access);
  wave.addPending(wave.vectorAccesses, std::move(access));
}

/// Loads to LDS: lane by lane from the place that M0 and the constant offset say. (CDNA 3 ISA, "Memory Buffer Load to
/// LDS".)
template <Form F, unsigned Bytes>
void loadToLds(Wave &wave, const Instruction &instruction) {
  Addresses addresses;
  if (!getAddresses<F>(wave, instruction, Bytes, addresses))
    return;
  Operand m0;
  m0.kind = Operand::Scalar;
  m0.index = kM0;
  uint64_t base = 0;
  if (!readScalarAddress(wave, m0, 1, base))
    return;
  base = (base & 0xffff) + (F == Form::Buffer ? instruction.bits(0, 12) : instruction.bits(0, 13));
  constexpr unsigned step = std::max(Bytes, 4u);
  PendingAccess pending;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!(addresses.active >> lane & 1))
      continue;
    uint32_t data[4] = {}, shadow[4] = {};
    uint32_t place = base + lane * step;
    if (!accessLane<F, false>(wave, addresses, lane, Bytes, data, shadow) || !writeLds(wave, place, data, shadow, step))
      return;
    for (unsigned word = place / 4; word < (place + step) / 4; ++word)
      pending.arriving.push_back(word);
  }
  for (uint32_t word : pending.arriving)
    wave.lds.uses[word].arriving = true;
  pending.isWrite = true;
  pending.touched = pending.arriving;
  finish<F>(wave, std::move(pending));
}

template <Form F, unsigned Bytes, LoadKind Kind>
void load(Wave &wave, const Instruction &instruction) {
  if (F == Form::Buffer && instruction.bits(16, 1))
    return loadToLds<F, Bytes>(wave, instruction);
  Addresses addresses;
  if (!getAddresses<F>(wave, instruction, Bytes, addresses))
    return;
  LaneData data;
  const Mapping *mapping = getCommonMapping(wave, addresses, Access::Write);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!(addresses.active >> lane & 1))
      continue;
    uint32_t read[4] = {}, shadow[4] = {};
    if (isInside<Bytes>(mapping, addresses, lane)) {
      std::memcpy(read, mapping->data + (addresses.lanes[lane] - mapping->address), Bytes);
      std::memcpy(shadow, mapping->poison + (addresses.lanes[lane] - mapping->address), Bytes);
    } else if (!accessLane<F, false>(wave, addresses, lane, Bytes, read, shadow)) {
      return;
    }
    for (unsigned word = 0; word < (Bytes + 3) / 4; ++word) {
      data.words[word][lane] = read[word];
      data.shadow[word][lane] = shadow[word];
    }
  }
  writeLanes(wave, instruction.results[0], Kind, data, addresses.active);
  PendingAccess pending;
  pending.result = instruction.results[0];
  finish<F>(wave, std::move(pending));
}

template <Form F, unsigned Bytes, unsigned Shift>
void store(Wave &wave, const Instruction &instruction) {
  Addresses addresses;
  if (!getAddresses<F>(wave, instruction, Bytes, addresses))
    return;
  LaneData data;
  readLanes(wave, addresses.data[0], data);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!(addresses.active >> lane & 1))
      continue;
    uint32_t written[4], shadow[4];
    for (unsigned word = 0; word < (Bytes + 3) / 4; ++word) {
      written[word] = data.words[word][lane] >> Shift;
      shadow[word] = data.shadow[word][lane] >> Shift;
    }
    if (!accessLane<F, true>(wave, addresses, lane, Bytes, written, shadow))
      return;
  }
  finish<F>(wave, {});
}

template <Form F, typename T, auto Update>
void atomic(Wave &wave, const Instruction &instruction) {
  Addresses addresses;
  if (!getAddresses<F>(wave, instruction, sizeof(T), addresses))
    return;
  // Through a buffer resource, one operand is both the data and the result.
  if (!addresses.dataCount)
    addresses.data[0] = instruction.results[0];
  LaneData operand, old;
  readLanes(wave, addresses.data[0], operand);
  // Of a compare-and-swap, the comparand follows the new value in the same operand.
  constexpr unsigned words = sizeof(T) / 4;
  LaneData second;
  if (addresses.data[0].words == 2 * words)
    for (unsigned word = 0; word < words; ++word) {
      second.words[word] = operand.words[words + word];
      second.shadow[word] = operand.shadow[words + word];
    }
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!(addresses.active >> lane & 1))
      continue;
    T before = 0, shadow = 0;
    if (!accessLane<F, false>(wave, addresses, lane, sizeof(T), reinterpret_cast<uint32_t *>(&before),
                              reinterpret_cast<uint32_t *>(&shadow)))
      return;
    setLane<T>(old.words, lane, before);
    setLane<T>(old.shadow, lane, shadow);
    T after = Update(before, getLane<T>(operand.words, lane), getLane<T>(second.words, lane));
    T poison = shadow | getLane<T>(operand.shadow, lane) | getLane<T>(second.shadow, lane);
    if (!accessLane<F, true>(wave, addresses, lane, sizeof(T), reinterpret_cast<uint32_t *>(&after),
                             reinterpret_cast<uint32_t *>(&poison)))
      return;
  }
  PendingAccess pending;
  if (instruction.definitions) {
    writeLanes(wave, instruction.results[0], LoadKind::Words, old, addresses.active);
    pending.result = instruction.results[0];
  }
  finish<F>(wave, std::move(pending));
}

template <Form F>
struct AddAtomic {
  OperationTable &table;
  StringRef prefix;
  template <typename T, auto Update>
  void add(StringRef name) {
    table.add((prefix + "atomic_" + name).str(), {atomic<F, T, Update>, InstructionClass::Memory});
  }
};

template <Form F>
void addForm(OperationTable &table, StringRef prefix) {
  auto add = [&](StringRef name, Handler handler) { table.add((prefix + name).str(), {handler, InstructionClass::Memory}); };
  add("load_dword", load<F, 4, LoadKind::Words>);
  add("load_dwordx2", load<F, 8, LoadKind::Words>);
  add("load_dwordx3", load<F, 12, LoadKind::Words>);
  add("load_dwordx4", load<F, 16, LoadKind::Words>);
  add("load_ubyte", load<F, 1, LoadKind::U8>);
  add("load_sbyte", load<F, 1, LoadKind::I8>);
  add("load_ushort", load<F, 2, LoadKind::U16>);
  add("load_sshort", load<F, 2, LoadKind::I16>);
  add("load_ubyte_d16", load<F, 1, LoadKind::U8Low>);
  add("load_sbyte_d16", load<F, 1, LoadKind::I8Low>);
  add("load_short_d16", load<F, 2, LoadKind::U16Low>);
  add("load_ubyte_d16_hi", load<F, 1, LoadKind::U8High>);
  add("load_sbyte_d16_hi", load<F, 1, LoadKind::I8High>);
  add("load_short_d16_hi", load<F, 2, LoadKind::U16High>);
  add("store_byte", store<F, 1, 0>);
  add("store_short", store<F, 2, 0>);
  add("store_byte_d16_hi", store<F, 1, 16>);
  add("store_short_d16_hi", store<F, 2, 16>);
  add("store_dword", store<F, 4, 0>);
  add("store_dwordx2", store<F, 8, 0>);
  add("store_dwordx3", store<F, 12, 0>);
  add("store_dwordx4", store<F, 16, 0>);
  addMemoryAtomics(AddAtomic<F>{table, prefix});
}
} // namespace

void primus::emulator::addMemoryOperations(OperationTable &table) {
  addForm<Form::Global>(table, "global_");
  addForm<Form::Flat>(table, "flat_");
  addForm<Form::Buffer>(table, "buffer_");
  auto add = [&](StringRef name, Handler handler) { table.add(name, {handler, InstructionClass::Memory}); };
  add("global_load_lds_ubyte", loadToLds<Form::Global, 1>);
  add("global_load_lds_ushort", loadToLds<Form::Global, 2>);
  add("global_load_lds_dword", loadToLds<Form::Global, 4>);
  if (table.chip == Chip::Gfx950) {
    add("global_load_lds_dwordx3", loadToLds<Form::Global, 12>);
    add("global_load_lds_dwordx4", loadToLds<Form::Global, 16>);
  }
}
