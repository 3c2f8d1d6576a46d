//===- Table.h - A pipeline schedule as a table ------------------*- C++ -*-===//
//
// A row per rank of the pipeline, a cell per action, run from left to right. Tables are what generators make, what a
// CSV file holds, what is checked (Check.h) and what step programs follow.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace primus::schedules {

/// What a cell does. Computing actions occupy the rank; the others only start something that goes on beside it: a
/// message is there when the action that needs it runs, or that action waits.
enum class ActionKind : uint8_t {
  Idle,
  Forward,
  /// The whole backward pass of a stage, or its two halves: what the stage before waits for, and the rest.
  Backward,
  InputGradient,
  WeightGradient,
  SendForward,
  ReceiveForward,
  SendBackward,
  ReceiveBackward,
  /// A stage's parameters are gathered, freed, its gradients reduced.
  Unshard,
  Reshard,
  Reduce,
};

/// Of one microbatch, but for actions on a stage's parameters, whose `microbatch` is -1.
struct Action {
  ActionKind kind = ActionKind::Idle;
  int32_t stage = 0, microbatch = -1;

  bool operator==(const Action &) const = default;
};

/// Forward, Backward, InputGradient or WeightGradient.
bool isCompute(ActionKind kind);
/// Unshard, Reshard or Reduce: of a stage, whatever the microbatch.
bool isOfParameters(ActionKind kind);

/// "2F0": stage 2 forward, microbatch 0; likewise B, I, W, SEND_F, RECV_F, SEND_B, RECV_B, and "2UNSHARD", "2RESHARD",
/// "2REDUCE_GRAD". These are the names that torch.distributed.pipelining gives its actions (PyTorch 2.5 and later), so
/// that its CSV files can be read. Nothing for an idle cell.
std::string toString(const Action &action);
/// The inverse; an error says what is wrong with the text.
llvm::Expected<Action> parseAction(llvm::StringRef text);

struct Table {
  int32_t stages = 0, microbatches = 0;
  /// The rank of each stage.
  std::vector<int32_t> rankOfStage;
  std::vector<std::vector<Action>> rows;

  int32_t getRanks() const { return static_cast<int32_t>(rows.size()); }
  /// Whether a stage and the one behind it are on different ranks.
  bool isSplitAfter(int32_t stage) const {
    return stage + 1 < stages && rankOfStage[stage] != rankOfStage[stage + 1];
  }
  bool hasMessages() const;
};

/// Reads lines of cells separated by commas, a line per rank. The number of stages and of microbatches and the places
/// of stages follow from the forward actions. Errors name line and cell; what the table means is for `check` to judge.
llvm::Expected<Table> parseCsv(llvm::StringRef text);
std::string toCsv(const Table &table);

/// Adds to a table that only computes the messages between ranks. A message is sent as soon as it exists; its receive is
/// started one computing action before the one that needs it, or earlier where an earlier message of the same ranks
/// would otherwise overtake it. Messages between two ranks are received in the order in which they are sent.
void addMessages(Table &table);

} // namespace primus::schedules
