//===- Families.h - One accessor per kernel family ---------------*- C++ -*-===//

#pragma once

#include "passes/kernels/KernelFamily.h"

namespace primus::kernels {

/// Flash attention.
const KernelFamily *getAttentionFamily();
/// Its gradients.
const KernelFamily *getAttentionGradFamily();
/// Elementwise ops, broadcasts and reductions over the last dimension.
const KernelFamily *getRowsFamily();

} // namespace primus::kernels
