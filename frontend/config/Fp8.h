//===- Fp8.h - Linear layers of 8-bit floats ---------------------*- C++ -*-===//

#pragma once

#include "frontend/config/Flavour.h"

namespace primus::config {

/// The linear layers of a decoder layer, as the model names them: attention.q ... feed_forward.down.
std::span<const char *const> linearNames();

/// Sets training.fp8.encoding to what the target computes in; to ocp for the CPU, which computes in either. `wanted`
/// ("ocp", "fnuz"), where the keys say it, must fit the target. `recipe` must, too.
void setFp8Encoding(Mapping &mapping, const Setting<std::string> &recipe, std::optional<Setting<std::string>> wanted);

} // namespace primus::config
