//===- CrossLane.h - Which lane reads which -----------------------*- C++ -*-===//

#pragma once

#include "tests/emulator/Instruction.h"

#include <optional>

namespace primus::emulator {

/// The lane that `lane` reads under a DPP control; none where the pattern leaves the row or the wave.
std::optional<unsigned> getDppLane(uint16_t control, unsigned lane);
/// Other codes are refused by the decoder.
bool isKnownDpp(uint16_t control);

} // namespace primus::emulator
