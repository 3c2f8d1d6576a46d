//===- ListScheduler.h - An order in which communication is hidden -*- C++ -*-===//

#pragma once

#include "passes/step/ActionGraph.h"

namespace primus::step {

/// One entry of a new order.
struct Scheduled {
  enum Kind {
    /// Run an action, the first of `actions`.
    Run,
    /// Start collectives, together.
    Start,
    /// Wait for those that were started together with the first of `actions`.
    Wait
  } kind;
  llvm::SmallVector<unsigned> actions;
};

/// Puts the actions of a block into an order in which collectives start as soon as what they need is there and are waited for where something
/// first needs them, with other work between. Two groups of actions are under way at most: that bounds the memory of what is gathered ahead and
/// of what waits to be reduced. Collectives of one kind that can start together and send at most `bucketBytes` form a bucket.
///
/// Depends on the block only, which is the same on all ranks: so is the order.
llvm::SmallVector<Scheduled> schedule(const ActionGraph &graph, int64_t bucketBytes);

} // namespace primus::step
