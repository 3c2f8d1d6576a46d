//===- BuildMegatron.h - The megatron flavour's entry ------------*- C++ -*-===//

#pragma once

#include "frontend/config/Config.h"

namespace primus::config::megatron {

/// Judges every key and maps those that have a meaning; what is wrong goes to `diagnostics`.
SpecResult buildMegatronSpec(const ResolvedConfig &config, Diagnostics &diagnostics);

} // namespace primus::config::megatron
