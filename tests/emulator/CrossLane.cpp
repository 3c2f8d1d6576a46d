//===- CrossLane.cpp - Which lane reads which -----------------------------===//
//
// Source: "AMD Instinct MI300 Instruction Set Architecture", chapter on DPP. A row is 16 lanes.
//
//===----------------------------------------------------------------------===//

#include "tests/emulator/CrossLane.h"

using namespace primus::emulator;

bool primus::emulator::isKnownDpp(uint16_t control) {
  switch (control) {
  case 0x130: // wave_shl
  case 0x134: // wave_rol
  case 0x138: // wave_shr
  case 0x13c: // wave_ror
  case 0x140: // row_mirror
  case 0x141: // row_half_mirror
  case 0x142: // row_bcast:15
  case 0x143: // row_bcast:31
    return true;
  default:
    return control < 0x100 || (control > 0x100 && control < 0x130 && (control & 15)) || (control >> 4) == 0x15;
  }
}

std::optional<unsigned> primus::emulator::getDppLane(uint16_t control, unsigned lane) {
  unsigned row = lane & ~15u, place = lane & 15, amount = control & 15;
  if (control < 0x100) // quad_perm
    return (lane & ~3u) + (control >> (2 * (lane & 3)) & 3);
  switch (control >> 4) {
  case 0x10: // row_shl: from the right
    return place + amount < 16 ? std::optional(lane + amount) : std::nullopt;
  case 0x11: // row_shr: from the left
    return place >= amount ? std::optional(lane - amount) : std::nullopt;
  case 0x12: // row_ror
    return row + ((place - amount) & 15);
  case 0x15: // row_newbcast
    return row + amount;
  default:
    break;
  }
  switch (control) {
  case 0x130:
    return lane < 63 ? std::optional(lane + 1) : std::nullopt;
  case 0x134:
    return (lane + 1) & 63;
  case 0x138:
    return lane > 0 ? std::optional(lane - 1) : std::nullopt;
  case 0x13c:
    return (lane - 1) & 63;
  case 0x140:
    return row + 15 - place;
  case 0x141:
    return (lane & ~7u) + 7 - (lane & 7);
  case 0x142: // the last lane of the row before
    return lane >= 16 ? std::optional(row - 1) : std::nullopt;
  case 0x143: // the last lane of the first half
    return lane >= 32 ? std::optional(31u) : std::nullopt;
  default:
    return std::nullopt;
  }
}
