//===- Check.h - Proof that a pipeline schedule works ------------*- C++ -*-===//

#pragma once

#include "passes/schedules/Table.h"

#include <optional>

namespace primus::schedules {

/// The first cell, in the order of rows, that cannot be as it is, or that is missing: then `column` is the row's length.
struct Defect {
  int32_t rank;
  int32_t column;
  std::string message;
};

/// Whether ranks that follow the table compute each stage's forward and backward pass of each microbatch exactly once and
/// come to an end. In time linear in the table:
/// - each action is of an existing stage, on its rank, and there once; nothing is missing, messages included
/// - on each rank actions come in an order that their data allows: a stage's backward pass after its forward pass, the
///   gradient of weights after that of inputs, a receive before and a send after its computation, parameters gathered
///   before, gradients reduced after
/// - messages between two ranks are received in the order in which they are sent
/// - no ranks wait for each other in a circle
std::optional<Defect> check(const Table &table);

/// What a stage keeps per microbatch on its rank, in bytes.
struct StageBytes {
  /// From the forward to the end of the backward pass; where that is divided, `weightInputs` from then to the gradient of
  /// weights.
  int64_t activations = 0, weightInputs = 0;
  /// A received input and a received gradient, from the start of the receive until it was used.
  int64_t input = 0, gradient = 0;
};

/// The most that each rank keeps at once. The table has passed `check`.
std::vector<int64_t> getPeakBytes(const Table &table, llvm::ArrayRef<StageBytes> stages);

} // namespace primus::schedules
