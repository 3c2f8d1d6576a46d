//===- Wave.cpp - Registers of 64 lanes, and what is still on its way -----===//

#include "tests/emulator/Wave.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

using namespace llvm;
using namespace primus::emulator;

Wave::Wave(unsigned vectorRegisters, Memory &memory, Lds &lds, std::mt19937_64 &random)
    : vector(vectorRegisters), memory(memory), lds(lds), random(random), pendingVector(vectorRegisters) {
  // A value that tests notice if poison should ever be lost: a NaN that differs from run to run.
  for (VectorRegister &reg : vector) {
    reg.lanes.fill(0x7fc00000 | (random() & 0x3fffff));
    reg.shadow.fill(~0u);
  }
  scalarShadow.fill(~0u);
  scalar.fill(0x7fc00000 | (random() & 0x3fffff));
}

void Wave::fail(const Twine &message) {
  if (error.empty())
    error = message.str();
}

std::string primus::emulator::getName(const Operand &operand) {
  return ((operand.kind == Operand::Vector ? "vector register " : "scalar register ") + Twine(operand.index)).str();
}

Wave::Value Wave::readScalar(const Operand &operand, unsigned words) const {
  switch (operand.kind) {
  case Operand::Constant:
    return {words == 1 ? uint32_t(operand.constant) : operand.constant, 0};
  case Operand::Scalar:
    if (words == 1 || operand.index == kScc)
      return {scalar[operand.index], operand.index == kScc ? scalarShadow[kScc] & 1 : scalarShadow[operand.index]};
    return {scalar[operand.index] | uint64_t(scalar[operand.index + 1]) << 32,
            scalarShadow[operand.index] | uint64_t(scalarShadow[operand.index + 1]) << 32};
  case Operand::Vector:
    return {vector[operand.index].lanes[0], vector[operand.index].shadow[0]};
  case Operand::None:
    break;
  }
  return {};
}

void Wave::writeScalar(const Operand &operand, Value value, unsigned words) {
  for (unsigned word = 0; word < words; ++word) {
    unsigned index = operand.index + word;
    scalar[index] = value.bits >> (32 * word);
    scalarShadow[index] = value.shadow >> (32 * word);
    if ((index == kExecLo || index == kExecLo + 1) && scalarShadow[index])
      fail("the execution mask depends on a value that was never written");
  }
}

void Wave::writeVector(unsigned index, const uint32_t *lanes, LaneMask mask, LaneMask dirty, const uint32_t *shadow) {
  VectorRegister &reg = vector[index];
  if (mask == ~LaneMask(0)) {
    std::copy_n(lanes, kLanes, reg.lanes.data());
  } else {
    for (unsigned lane = 0; lane < kLanes; ++lane)
      reg.lanes[lane] = mask >> lane & 1 ? lanes[lane] : reg.lanes[lane];
  }
  if (!((reg.dirty | dirty) & mask))
    return;
  for (unsigned lane = 0; lane < kLanes; ++lane)
    if (mask >> lane & 1)
      reg.shadow[lane] = dirty >> lane & 1 ? shadow[lane] : 0;
  reg.dirty = (reg.dirty & ~mask) | (dirty & mask);
}

void Wave::addPending(std::deque<PendingAccess> &queue, PendingAccess access) {
  for (unsigned word = 0; word < access.result.words; ++word) {
    if (access.result.kind == Operand::Vector)
      ++pendingVector[access.result.index + word];
    else if (access.result.kind == Operand::Scalar)
      ++pendingScalar[access.result.index + word];
  }
  queue.push_back(std::move(access));
}

void Wave::complete(PendingAccess &access) {
  for (unsigned word = 0; word < access.result.words; ++word) {
    if (access.result.kind == Operand::Vector)
      --pendingVector[access.result.index + word];
    else if (access.result.kind == Operand::Scalar)
      --pendingScalar[access.result.index + word];
  }
  for (uint32_t word : access.arriving)
    lds.uses[word].arriving = false;
}

void Wave::waitForVector(unsigned count) {
  while (vectorAccesses.size() > count) {
    complete(vectorAccesses.front());
    vectorAccesses.pop_front();
  }
}

void Wave::waitForLgkm(unsigned count) {
  // Accesses to LDS finish in order, but scalar loads at any time: while one is on its way, it may be the one that the
  // counter has counted down for.
  size_t scalars = llvm::count_if(lgkmAccesses, [](const PendingAccess &a) { return a.isScalar; });
  if (count == 0) {
    for (PendingAccess &access : lgkmAccesses)
      complete(access);
    lgkmAccesses.clear();
    return;
  }
  for (auto access = lgkmAccesses.begin(); access != lgkmAccesses.end() && lgkmAccesses.size() > count + scalars;) {
    if (access->isScalar) {
      ++access;
      continue;
    }
    complete(*access);
    access = lgkmAccesses.erase(access);
  }
}

void Wave::restampPending() {
  for (auto *queue : {&lgkmAccesses, &vectorAccesses})
    for (const PendingAccess &access : *queue)
      for (uint32_t word : access.touched) {
        Lds::Use &use = lds.uses[word];
        uint32_t &epoch = access.isWrite ? use.writeEpoch : use.readEpoch;
        int16_t &user = access.isWrite ? use.writer : use.reader;
        user = epoch == lds.epoch && user != int16_t(number) ? Lds::kSeveral : int16_t(number);
        (access.isWrite ? use.written : use.read) = 0xf;
        epoch = lds.epoch;
      }
}

void Wave::checkPending(const Instruction &instruction) {
  if (vectorAccesses.empty() && lgkmAccesses.empty())
    return;
  auto check = [&](const Operand &operand) {
    for (unsigned word = 0; word < operand.words; ++word)
      if ((operand.kind == Operand::Vector && pendingVector[operand.index + word]) ||
          (operand.kind == Operand::Scalar && pendingScalar[operand.index + word]))
        fail("uses " + getName(operand) + " while a load to it is on its way: s_waitcnt is missing");
  };
  // Loads from memory return in order: what the latest of them writes stays.
  auto isArriving = [&](const Operand &operand) {
    return llvm::any_of(lgkmAccesses, [&](const PendingAccess &access) {
      return access.result.kind == operand.kind && access.result.index < operand.index + operand.words &&
             operand.index < access.result.index + access.result.words;
    });
  };
  for (unsigned k = 0; k < instruction.definitions; ++k)
    if (instruction.kind != InstructionClass::Memory || isArriving(instruction.results[k]))
      check(instruction.results[k]);
  for (unsigned k = 0; k < instruction.uses; ++k)
    check(instruction.sources[k]);
}
