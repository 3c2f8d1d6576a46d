//===- VectorMove.cpp - Copies, selections, and words between lanes -------===//

#include "tests/emulator/Lanes.h"

#include "llvm/ADT/Twine.h"

#include <bit>

using namespace primus::emulator;

/// The second source where the mask (third source) has a bit, else the first.
static void select(Wave &wave, const Instruction &instruction) {
  RawSource<uint32_t> sources[2];
  LaneMask mask = wave.exec();
  readSource(wave, instruction, 0, false, sources[0], mask);
  readSource(wave, instruction, 1, false, sources[1], mask);
  Wave::Value choice = wave.readScalar(instruction.sources[2], 2);
  alignas(64) std::array<uint32_t, kLanes> result, shadow;
  LaneMask dirty = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    unsigned k = choice.bits >> lane & 1;
    result[lane] = std::bit_cast<uint32_t>(getValue<float>(sources[k].bits[lane], instruction.modifiers, k));
    bool isPoison = choice.shadow >> lane & 1;
    shadow[lane] = isPoison ? ~0u : sources[k].dirty >> lane & 1 ? sources[k].shadow[lane] : 0;
    dirty |= LaneMask(shadow[lane] != 0) << lane;
  }
  writeResult(wave, instruction, 32, HighHalf::Zero, result.data(), mask, dirty & mask, shadow.data());
}

static void swap(Wave &wave, const Instruction &instruction) {
  VectorRegister first = wave.vector[instruction.results[0].index], second = wave.vector[instruction.results[1].index];
  LaneMask mask = wave.exec();
  wave.writeVector(instruction.results[0].index, second.lanes.data(), mask, second.dirty & mask, second.shadow.data());
  wave.writeVector(instruction.results[1].index, first.lanes.data(), mask, first.dirty & mask, first.shadow.data());
}

/// One lane of a vector register, or any scalar.
static Wave::Value readLane(const Wave &wave, const Operand &operand, unsigned lane) {
  if (operand.kind != Operand::Vector)
    return wave.readScalar(operand);
  const VectorRegister &reg = wave.vector[operand.index];
  return {reg.lanes[lane], reg.shadow[lane]};
}

static void readFirstLane(Wave &wave, const Instruction &instruction) {
  unsigned lane = wave.exec() ? std::countr_zero(wave.exec()) : 0;
  wave.writeScalar(instruction.results[0], readLane(wave, instruction.sources[0], lane));
}

static void readLane(Wave &wave, const Instruction &instruction) {
  Wave::Value lane = wave.readScalar(instruction.sources[1]);
  if (lane.shadow)
    return wave.fail("the number of the lane depends on a value that was never written");
  wave.writeScalar(instruction.results[0], readLane(wave, instruction.sources[0], lane.bits % kLanes));
}

static void writeLane(Wave &wave, const Instruction &instruction) {
  Wave::Value value = wave.readScalar(instruction.sources[0]), lane = wave.readScalar(instruction.sources[1]);
  if (lane.shadow)
    return wave.fail("the number of the lane depends on a value that was never written");
  std::array<uint32_t, kLanes> lanes, shadow;
  lanes.fill(value.bits);
  shadow.fill(value.shadow);
  LaneMask mask = LaneMask(1) << (lane.bits % kLanes);
  wave.writeVector(instruction.results[0].index, lanes.data(), mask, value.shadow ? mask : 0, shadow.data());
}

/// Exchanges rows of 16 or halves of 32 lanes: the odd ones of the first register with the even ones of the second.
template <unsigned Width>
static void permlaneSwap(Wave &wave, const Instruction &instruction) {
  VectorRegister first = wave.vector[instruction.results[0].index], second = wave.vector[instruction.results[1].index];
  LaneMask exec = wave.exec();
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (lane & Width || !(exec >> lane & 1) || !(exec >> (lane + Width) & 1))
      continue;
    std::swap(first.lanes[lane + Width], second.lanes[lane]);
    std::swap(first.shadow[lane + Width], second.shadow[lane]);
  }
  for (auto [operand, reg] : {std::pair(instruction.results[0], &first), std::pair(instruction.results[1], &second)}) {
    LaneMask dirty = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      dirty |= LaneMask(reg->shadow[lane] != 0) << lane;
    wave.writeVector(operand.index, reg->lanes.data(), exec, dirty & exec, reg->shadow.data());
  }
}

void primus::emulator::addMoveOperations(OperationTable &table) {
  table.add("v_nop", {[](Wave &, const Instruction &) {}, InstructionClass::Vector});
  for (const char *name : {"v_mov_b32", "v_accvgpr_read_b32", "v_accvgpr_write_b32", "v_accvgpr_mov_b32"})
    table.add(name, vectorOperation<[](uint32_t a) { return a; }>());
  table.add("v_mov_b64", vectorOperation<[](uint64_t a) { return a; }>());
  table.add("v_cndmask_b32", {select, InstructionClass::Vector});
  table.add("v_swap_b32", {swap, InstructionClass::Vector});
  table.add("v_readfirstlane_b32", {readFirstLane, InstructionClass::Vector});
  table.add("v_readlane_b32", {readLane, InstructionClass::Vector});
  table.add("v_writelane_b32", {writeLane, InstructionClass::Vector});
  if (table.chip == Chip::Gfx950) {
    table.add("v_permlane16_swap_b32", {permlaneSwap<16>, InstructionClass::Vector});
    table.add("v_permlane32_swap_b32", {permlaneSwap<32>, InstructionClass::Vector});
  }
}
