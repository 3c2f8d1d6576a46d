//===- Lanes.cpp - Vector instructions from functions of one lane ---------===//

#include "tests/emulator/Lanes.h"

using namespace primus::emulator;

Half::Half(double value) {
  // Rounded to odd in float, whose 24 bits exceed those of a half by more than two, so that the second rounding is right.
  float narrow = float(value);
  if (std::isfinite(narrow) && double(narrow) != value && !(std::bit_cast<uint32_t>(narrow) & 1)) {
    bool tooLarge = std::fabs(double(narrow)) > std::fabs(value);
    narrow = std::bit_cast<float>(std::bit_cast<uint32_t>(narrow) + (tooLarge ? -1 : 1));
  }
  bits = toHalf(narrow);
}

namespace {
/// Moves lanes as DPP says. A lane without a source, or whose source is inactive, reads zero or is disabled.
template <typename Bits>
void swizzle(const Wave &wave, const DppControl &dpp, RawSource<Bits> &source, LaneMask &mask) {
  RawSource<Bits> moved;
  LaneMask exec = wave.exec(), enabled = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    bool selected = (dpp.rowMask >> (lane / 16) & 1) && (dpp.bankMask >> (lane / 4 % 4) & 1);
    auto from = getDppLane(dpp.control, lane);
    bool valid = from && (exec >> *from & 1);
    moved.bits[lane] = valid ? source.bits[*from] : 0;
    if (valid && source.dirty >> *from & 1) {
      moved.dirty |= LaneMask(1) << lane;
      moved.shadow[lane] = source.shadow[*from];
    }
    if (selected && (valid || dpp.boundControl))
      enabled |= LaneMask(1) << lane;
  }
  source = moved;
  mask &= enabled;
}

/// A byte or half of a word, as SDWA selects it.
uint32_t select(uint32_t value, uint8_t selection, bool isSigned) {
  if (selection < 4) {
    uint32_t byte = value >> (8 * selection) & 0xff;
    return isSigned ? int32_t(int8_t(byte)) : byte;
  }
  if (selection == 6)
    return value;
  uint32_t half = value >> (16 * (selection - 4)) & 0xffff;
  return isSigned ? int32_t(int16_t(half)) : half;
}
} // namespace

template <typename Bits>
void primus::emulator::readSource(const Wave &wave, const Instruction &instruction, unsigned k, bool halves, RawSource<Bits> &source,
                                  LaneMask &mask) {
  const Operand &operand = instruction.sources[k];
  if (operand.kind == Operand::Vector) {
    const VectorRegister &low = wave.vector[operand.index];
    if constexpr (sizeof(Bits) == 8) {
      const VectorRegister &high = wave.vector[operand.index + 1];
      for (unsigned lane = 0; lane < kLanes; ++lane)
        source.bits[lane] = low.lanes[lane] | uint64_t(high.lanes[lane]) << 32;
      source.dirty = low.dirty | high.dirty;
      if (source.dirty)
        for (unsigned lane = 0; lane < kLanes; ++lane)
          source.shadow[lane] = low.shadow[lane] | uint64_t(high.shadow[lane]) << 32;
    } else {
      source.bits = low.lanes;
      source.dirty = low.dirty;
      if (source.dirty)
        source.shadow = low.shadow;
    }
  } else {
    Wave::Value value = wave.readScalar(operand, sizeof(Bits) / 4);
    source.bits.fill(value.bits);
    if (value.shadow) {
      source.dirty = ~LaneMask(0);
      source.shadow.fill(value.shadow);
    }
  }
  if (instruction.isDpp && k == 0)
    swizzle(wave, instruction.dpp, source, mask);
  if constexpr (sizeof(Bits) == 4) {
    if (instruction.isSdwa && k < 2) {
      bool isSigned = instruction.sdwa.signExtend >> k & 1;
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        source.bits[lane] = select(source.bits[lane], instruction.sdwa.sources[k], isSigned);
        if (source.dirty >> lane & 1)
          source.shadow[lane] = select(source.shadow[lane], instruction.sdwa.sources[k], isSigned);
      }
    }
    if (halves && instruction.isVop3 && (instruction.modifiers.select >> k & 1)) {
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        source.bits[lane] >>= 16;
        if (source.dirty >> lane & 1)
          source.shadow[lane] >>= 16;
      }
    }
    // Of a 16-bit value, poison above is nobody's business.
    if (source.dirty)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        if ((source.dirty >> lane & 1) && !(halves ? source.shadow[lane] & 0xffff : source.shadow[lane]))
          source.dirty &= ~(LaneMask(1) << lane);
  }
}
template void primus::emulator::readSource(const Wave &, const Instruction &, unsigned, bool, RawSource<uint32_t> &, LaneMask &);
template void primus::emulator::readSource(const Wave &, const Instruction &, unsigned, bool, RawSource<uint64_t> &, LaneMask &);

void primus::emulator::writeResult(Wave &wave, const Instruction &instruction, unsigned bits, HighHalf high, const uint32_t *lanes,
                                   LaneMask mask, LaneMask dirty, const uint32_t *shadow) {
  uint16_t index = instruction.results[0].index;
  bool toHigh = bits == 16 && instruction.isVop3 && (instruction.modifiers.select & 8);
  bool isPart = instruction.isSdwa && instruction.sdwa.result != 6;
  if (!isPart && !toHigh && (bits == 32 || high == HighHalf::Zero)) {
    if (bits == 16 && dirty) {
      alignas(64) std::array<uint32_t, kLanes> low;
      for (unsigned lane = 0; lane < kLanes; ++lane)
        low[lane] = dirty >> lane & 1 ? shadow[lane] & 0xffff : 0;
      return wave.writeVector(index, lanes, mask, dirty, low.data());
    }
    return wave.writeVector(index, lanes, mask, dirty, shadow);
  }

  // A part of the register: a byte or a half, and what surrounds it.
  unsigned first = toHigh ? 16 : 0, width = 16;
  uint8_t unused = 2;
  if (isPart) {
    first = instruction.sdwa.result < 4 ? 8 * instruction.sdwa.result : 16 * (instruction.sdwa.result - 4);
    width = instruction.sdwa.result < 4 ? 8 : 16;
    unused = instruction.sdwa.unused;
  }
  uint32_t part = ((1u << width) - 1) << first;
  const VectorRegister &old = wave.vector[index];
  alignas(64) std::array<uint32_t, kLanes> merged, mergedShadow;
  LaneMask mergedDirty = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    auto merge = [&](uint32_t value, uint32_t before) {
      uint32_t placed = value << first & part;
      if (unused == 2)
        return placed | (before & ~part);
      if (unused == 1)
        return uint32_t(int32_t(placed << (32 - first - width)) >> (32 - first - width));
      return placed;
    };
    merged[lane] = merge(lanes[lane], old.lanes[lane]);
    mergedShadow[lane] = merge(dirty >> lane & 1 ? shadow[lane] : 0, old.shadow[lane]);
    if (mergedShadow[lane])
      mergedDirty |= LaneMask(1) << lane;
  }
  wave.writeVector(index, merged.data(), mask, mergedDirty, mergedShadow.data());
}

void primus::emulator::writeResult(Wave &wave, const Operand &operand, const uint64_t *lanes, LaneMask mask, LaneMask dirty,
                                   const uint64_t *shadow) {
  for (unsigned word = 0; word < 2; ++word) {
    alignas(64) std::array<uint32_t, kLanes> part, partShadow;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      part[lane] = lanes[lane] >> (32 * word);
    LaneMask partDirty = 0;
    if (dirty)
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        partShadow[lane] = dirty >> lane & 1 ? uint32_t(shadow[lane] >> (32 * word)) : 0;
        if (partShadow[lane])
          partDirty |= LaneMask(1) << lane;
      }
    wave.writeVector(operand.index + word, part.data(), mask, partDirty, partShadow.data());
  }
}

void primus::emulator::writeLaneMask(Wave &wave, const Operand &operand, LaneMask value, LaneMask mask, LaneMask dirty) {
  wave.writeScalar(operand, {value & mask, dirty & mask}, 2);
}
