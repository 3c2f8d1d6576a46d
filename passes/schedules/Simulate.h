//===- Simulate.h - How long a pipeline schedule takes -----------*- C++ -*-===//

#pragma once

#include "passes/schedules/Table.h"

namespace primus::schedules {

/// Of one microbatch through one stage. A whole backward pass takes both gradients' times.
struct StageSeconds {
  double forward = 1, inputGradient = 1, weightGradient = 1;

  double get(ActionKind kind) const;
};

struct Timing {
  struct Span {
    double start, end;
  };
  struct Cell {
    int32_t rank, column;
  };
  /// Per cell of the table; of cells that compute nothing, when the rank came to them.
  std::vector<std::vector<Span>> spans;
  double seconds = 0;
  /// The share of the ranks' time in which they compute nothing.
  double bubble = 0;
  /// Computing cells, each of which starts when the one before it, or its message, is done; the last ends the step.
  std::vector<Cell> criticalPath;
};

/// Runs a table that has passed `check`: a rank computes one cell at a time, messages take `messageSeconds` each beside
/// that. `stages` has an entry per stage.
Timing simulate(const Table &table, llvm::ArrayRef<StageSeconds> stages, double messageSeconds = 0);

/// A line per rank with time from left to right, a column per `unit` seconds: the cells' names where they start.
std::string draw(const Table &table, const Timing &timing, double unit);

} // namespace primus::schedules
