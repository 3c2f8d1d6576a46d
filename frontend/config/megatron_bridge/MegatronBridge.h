//===- MegatronBridge.h - The megatron_bridge flavour ------------*- C++ -*-===//
//
// A Megatron-Bridge experiment names a recipe (a Python module), a flavor (a function in it) and sometimes a Hugging
// Face model; the recipe knows the rest. Here the model is our own preset of it, and what the recipes set themselves is
// a table in MegatronBridge.cpp.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Flavour.h"

namespace primus::config::megatron_bridge {

const FateTable &fates();
void map(Mapping &mapping);

/// The preset below configs/models/megatron of the model that recipe, flavor and hf_path name; errors for what has none.
/// hf_path is the stronger one: recipes take the architecture from it.
std::optional<Setting<std::string>> findModel(Mapping &mapping);

} // namespace primus::config::megatron_bridge
