//===- Liveness.h - When buffers are live ------------------------*- C++ -*-===//

#pragma once

#include "ir/step/StepDialect.h"

namespace primus::step {

/// Bytes: buffers start and end at multiples of it. A cache line and a vector register.
inline constexpr int64_t kBufferAlignment = 64;

/// A buffer with its place in time (positions of actions, both ends included) and, once planned, in memory.
struct LiveBuffer {
  /// A step.buffer's result, or a program's argument.
  mlir::Value value;
  int64_t bytes;
  unsigned first, last;
  int64_t offset = -1;

  bool overlapsInTime(const LiveBuffer &other) const { return first <= other.last && other.first <= last; }
};

/// Live ranges of what the planner places in a function's or program's body: its step.buffers (variables apart) and, in a program, the
/// arguments. A buffer from outside a loop is live in all of a loop that uses it; what an asynchronous exchange uses is live until the wait; a program's
/// inputs and outputs are live throughout.
llvm::SmallVector<LiveBuffer> computeLiveness(mlir::Block &body);

} // namespace primus::step
