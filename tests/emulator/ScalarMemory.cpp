//===- ScalarMemory.cpp - Loads to scalar registers -----------------------===//

#include "tests/emulator/Access.h"

#include "llvm/ADT/Twine.h"

using namespace primus::emulator;

namespace {
/// Offset of a scalar load: a 21-bit constant, and a register where there is one.
int64_t getOffset(Wave &wave, const Instruction &instruction) {
  bool hasConstant = instruction.bits(17, 1);
  int64_t offset = hasConstant ? int64_t(instruction.bits(32, 21) << 43) >> 43 : 0;
  if (instruction.uses < 2)
    return offset;
  Wave::Value added = wave.readScalar(instruction.sources[1]);
  if (added.shadow)
    wave.fail("the address depends on a value that was never written");
  return offset + int64_t(added.bits);
}

void finish(Wave &wave, const Instruction &instruction, const std::array<uint32_t, 16> &words, const std::array<uint32_t, 16> &shadow) {
  for (unsigned word = 0; word < instruction.results[0].words; ++word) {
    Operand one = instruction.results[0];
    one.index += word;
    wave.writeScalar(one, {words[word], shadow[word]});
  }
  PendingAccess access;
  access.result = instruction.results[0];
  access.isScalar = true;
  wave.addPending(wave.lgkmAccesses, std::move(access));
}

void load(Wave &wave, const Instruction &instruction) {
  Wave::Value base = wave.readScalar(instruction.sources[0], 2);
  if (base.shadow)
    return wave.fail("the address depends on a value that was never written");
  uint64_t address = (base.bits + getOffset(wave, instruction)) & ~uint64_t(3);
  std::array<uint32_t, 16> words{}, shadow{};
  if (readMemory(wave, address, words.data(), shadow.data(), 4 * instruction.results[0].words))
    finish(wave, instruction, words, shadow);
}

void bufferLoad(Wave &wave, const Instruction &instruction) {
  auto resource = BufferResource::read(wave, instruction.sources[0]);
  if (!resource)
    return;
  uint64_t offset = getOffset(wave, instruction) & ~int64_t(3);
  std::array<uint32_t, 16> words{}, shadow{};
  for (unsigned word = 0; word < instruction.results[0].words; ++word)
    if (offset + 4 * word + 4 <= resource->bytes)
      if (!readMemory(wave, resource->base + offset + 4 * word, &words[word], &shadow[word], 4))
        return;
  finish(wave, instruction, words, shadow);
}
} // namespace

void primus::emulator::addScalarMemoryOperations(OperationTable &table) {
  for (const char *size : {"", "x2", "x4", "x8", "x16"}) {
    table.add(("s_load_dword" + llvm::Twine(size)).str(), {load, InstructionClass::ScalarMemory});
    table.add(("s_buffer_load_dword" + llvm::Twine(size)).str(), {bufferLoad, InstructionClass::ScalarMemory});
  }
}
