//===- AddMessages.cpp - Sends and receives of a pipeline schedule --------===//

#include "passes/schedules/Table.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"

#include <map>

using namespace primus;
using namespace primus::schedules;

namespace {

/// A receive that has to be started before the cell `position` of its rank's row.
struct Receive {
  Action action;
  size_t position;
};

} // namespace

/// What sends the result of a computing action to another rank; Idle where it stays.
static Action getSend(const Table &table, const Action &action) {
  if (action.kind == ActionKind::Forward && table.isSplitAfter(action.stage))
    return {ActionKind::SendForward, action.stage, action.microbatch};
  bool isBackward = action.kind == ActionKind::Backward || action.kind == ActionKind::InputGradient;
  if (isBackward && action.stage > 0 && table.isSplitAfter(action.stage - 1))
    return {ActionKind::SendBackward, action.stage, action.microbatch};
  return {};
}

/// What receives what a send sends.
static Action getReceive(const Action &send) {
  return send.kind == ActionKind::SendForward
             ? Action{ActionKind::ReceiveForward, send.stage + 1, send.microbatch}
             : Action{ActionKind::ReceiveBackward, send.stage - 1, send.microbatch};
}

void schedules::addMessages(Table &table) {
  auto number = [&](int32_t stage, int32_t microbatch) { return size_t(stage) * table.microbatches + microbatch; };
  // Where each message is needed.
  size_t count = size_t(table.stages) * table.microbatches;
  std::vector<size_t> forward(count, 0), backward(count, 0);
  for (const std::vector<Action> &row : table.rows)
    for (auto [position, action] : llvm::enumerate(row)) {
      if (action.kind == ActionKind::Forward)
        forward[number(action.stage, action.microbatch)] = position;
      else if (action.kind == ActionKind::Backward || action.kind == ActionKind::InputGradient)
        backward[number(action.stage, action.microbatch)] = position;
    }

  // Per pair of ranks the messages in the order in which they are sent.
  std::map<std::pair<int32_t, int32_t>, std::vector<Receive>> channels;
  for (auto [rank, row] : llvm::enumerate(table.rows))
    for (const Action &action : row)
      if (Action send = getSend(table, action); send.kind != ActionKind::Idle) {
        Action receive = getReceive(send);
        size_t user = (receive.kind == ActionKind::ReceiveForward ? forward : backward)[number(receive.stage, receive.microbatch)];
        // One action ahead, so that the message travels beside it.
        channels[{static_cast<int32_t>(rank), table.rankOfStage[receive.stage]}].push_back({receive, user ? user - 1 : 0});
      }

  std::vector<std::vector<std::vector<Action>>> before(table.rows.size());
  for (auto [rank, row] : llvm::enumerate(table.rows))
    before[rank].resize(row.size() + 1);
  for (auto &[ranks, receives] : channels) {
    size_t position = table.rows[ranks.second].size();
    for (Receive &receive : llvm::reverse(receives))
      position = receive.position = std::min(position, receive.position);
    for (const Receive &receive : receives)
      before[ranks.second][receive.position].push_back(receive.action);
  }

  for (auto [rank, row] : llvm::enumerate(table.rows)) {
    std::vector<Action> filled;
    for (auto [position, action] : llvm::enumerate(row)) {
      llvm::append_range(filled, before[rank][position]);
      filled.push_back(action);
      if (Action send = getSend(table, action); send.kind != ActionKind::Idle)
        filled.push_back(send);
    }
    row = std::move(filled);
  }
}
