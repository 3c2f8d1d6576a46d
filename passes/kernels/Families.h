//===- Families.h - One accessor per kernel family ---------------*- C++ -*-===//

#pragma once

#include "passes/kernels/KernelFamily.h"

namespace primus::kernels {

/// Elementwise ops, broadcasts and reductions over the last dimension.
const KernelFamily *getRowsFamily();

} // namespace primus::kernels
