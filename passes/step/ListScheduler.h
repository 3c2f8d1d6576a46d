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

/// What bounds the memory of an order.
struct ScheduleLimits {
  /// Bytes: what one rank sends at most for collectives that travel together.
  int64_t bucketBytes;
  /// How many groups ahead of a reduction that has not been dealt with actions may run.
  int64_t trail;
};

/// Puts the actions of a block into an order in which collectives start when what they need is there and are waited for where something
/// first needs them, with other work between. A group begins when that before the last one is done, but for what trails: that bounds the memory of
/// what is gathered ahead and of what waits to be reduced. Where several collectives could use a link, the one from which most is left to do comes
/// first. Collectives of one kind that can start together form a bucket.
///
/// Depends on the block only, which is the same on all ranks: so is the order.
llvm::SmallVector<Scheduled> schedule(const ActionGraph &graph, ScheduleLimits limits);

} // namespace primus::step
