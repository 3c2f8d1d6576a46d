//===- Fp8.h - Linear layers of 8-bit floats ---------------------*- C++ -*-===//

#pragma once

#include "frontend/config/Flavour.h"

namespace primus::config {

/// The linear layers of a decoder layer, as the model names them: attention.q ... feed_forward.down.
std::span<const char *const> linearNames();

/// The recipes' names in specs, which are Megatron's.
std::vector<std::string> fp8RecipeNames();

/// Whether a recipe's name speaks of a format of four bits.
bool isFourBits(std::string_view recipe);

/// An error for a recipe that is none of ours. `supported` are those that are, where it stands.
void refuseFp8Recipe(Mapping &mapping, const Setting<std::string> &recipe, std::string_view supported);

/// Sets training.fp8.encoding to what the target computes in; to ocp for the CPU, which computes in either. `wanted`
/// ("ocp", "fnuz"), where the keys say it, must fit the target. `recipe` must, too.
void setFp8Encoding(Mapping &mapping, const Setting<std::string> &recipe, std::optional<Setting<std::string>> wanted);

} // namespace primus::config
