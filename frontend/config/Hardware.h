//===- Hardware.h - The device that a run is meant for -----------*- C++ -*-===//

#pragma once

#include "frontend/config/Flavour.h"

namespace primus::config {

/// Fills `hardware` of the spec from the preset `<root>/hardware/<name>.yaml` that the key `hardware` names. Without the
/// key a GPU target takes the first preset of that target; the CPU target takes none: anything may be compiled there.
void mapHardware(Mapping &mapping);
/// The same for flavours that have a key `hardware` of their own: from the target alone.
void mapTargetHardware(Mapping &mapping);

} // namespace primus::config
