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
/// Quantisation by blocks of neighbours, also of a transposed matrix.
const KernelFamily *getBlocksFamily();
/// Reductions over all dimensions but the last.
const KernelFamily *getColumnsFamily();
/// Maxima along rows and along columns of a matrix together.
const KernelFamily *getMarginsFamily();
/// Products with an epilogue: elementwise ops, and reductions of what they give.
const KernelFamily *getMatmulFamily();
/// Reductions to a scalar.
const KernelFamily *getTotalFamily();
/// One concatenation or padding.
const KernelFamily *getCopyFamily();
/// One permutation that moves the last dimension.
const KernelFamily *getTransposeFamily();
/// Sums of rows into a table.
const KernelFamily *getScatterFamily();
/// One rotary position embedding.
const KernelFamily *getRopeFamily();
/// One graph.pack.
const KernelFamily *getPackFamily();

} // namespace primus::kernels
