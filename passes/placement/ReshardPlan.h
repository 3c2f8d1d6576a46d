//===- ReshardPlan.h - From one layout to another in collectives -*- C++ -*-===//
//
// Pure: layouts in, steps out.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/placement/Layout.h"

namespace primus::placement {

struct ReshardStep {
  enum Kind {
    /// Sum over `axes`; every rank gets the result, or its block of `dim`.
    AllReduce,
    ReduceScatter,
    /// Join the blocks of `dim`.
    AllGather,
    /// Move `axes` from the end of `concatDim`'s list to that of `dim`.
    AllToAll,
    /// Keep the rank's block of `dim`.
    Block,
    /// Divide by the number of ranks: a whole value becomes a pending sum over `axes`.
    Divide
  } kind;
  Axes axes;
  int64_t dim = -1, concatDim = -1;
  /// The layout after the step.
  Layout after;
};

/// The steps from `from` to `to`, of few bytes: what makes a value smaller comes first (blocks and scattered sums, which
/// also save the reduction of what a rank does not keep), then what keeps its size, gathers last; the axes that both
/// lists of a dimension begin with stay.
llvm::SmallVector<ReshardStep> planReshard(const Layout &from, const Layout &to, graph::MeshAttr mesh);

} // namespace primus::placement
