//===- Check.cpp - Proof that a pipeline schedule works -------------------===//

#include "passes/schedules/Check.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <array>
#include <map>

using namespace primus;
using namespace primus::schedules;

namespace {

constexpr size_t kKinds = static_cast<size_t>(ActionKind::Reduce) + 1;
constexpr int32_t kNone = -1;

class Checker {
public:
  explicit Checker(const Table &table) : table(table) {
    for (std::vector<int32_t> &places : columns)
      places.assign(size_t(table.stages) * table.microbatches, kNone);
    reduces.assign(table.stages, kNone);
  }

  std::optional<Defect> run();

private:
  /// The column of an action in its rank's row, or kNone.
  int32_t &find(ActionKind kind, int32_t stage, int32_t microbatch) {
    return columns[static_cast<size_t>(kind)][size_t(stage) * table.microbatches + microbatch];
  }
  /// Keeps the defect that comes first in the table.
  template <typename... Values>
  void report(int32_t rank, int32_t column, const char *format, Values &&...values) {
    if (!defect || std::pair(rank, column) < std::pair(defect->rank, defect->column))
      defect = Defect{rank, column, llvm::formatv(format, std::forward<Values>(values)...)};
  }
  std::string name(ActionKind kind, int32_t stage, int32_t microbatch) { return toString({kind, stage, microbatch}); }

  void enter(int32_t rank, int32_t column, const Action &action);
  void checkStage(int32_t stage, int32_t microbatch);
  void checkMessage(ActionKind send, ActionKind receive, int32_t stage, int32_t to, int32_t microbatch);
  void checkParameters();
  void checkChannels();
  void checkProgress();
  /// `first` has to come before `second` in the stage's row. Both exist.
  void requireOrder(int32_t stage, int32_t microbatch, ActionKind first, ActionKind second);

  const Table &table;
  std::array<std::vector<int32_t>, kKinds> columns;
  std::vector<int32_t> reduces;
  std::optional<Defect> defect;
};

} // namespace

void Checker::enter(int32_t rank, int32_t column, const Action &action) {
  if (action.kind == ActionKind::Idle)
    return;
  std::string text = toString(action);
  if (action.stage < 0 || action.stage >= table.stages)
    return report(rank, column, "{0} is of stage {1}, but there are {2} stages", text, action.stage, table.stages);
  if (table.rankOfStage[action.stage] != rank)
    return report(rank, column, "{0} belongs to rank {1}, which runs stage {2}", text, table.rankOfStage[action.stage],
                  action.stage);
  bool ofParameters = isOfParameters(action.kind);
  if (!ofParameters && (action.microbatch < 0 || action.microbatch >= table.microbatches))
    return report(rank, column, "{0} is of microbatch {1}, but there are {2} microbatches", text, action.microbatch,
                  table.microbatches);
  if (ofParameters && action.kind != ActionKind::Reduce)
    return; // any number of times
  int32_t &place = ofParameters ? reduces[action.stage] : find(action.kind, action.stage, action.microbatch);
  if (place != kNone)
    return report(rank, column, "{0} stands in column {1} already", text, place + 1);
  place = column;
}

void Checker::requireOrder(int32_t stage, int32_t microbatch, ActionKind first, ActionKind second) {
  int32_t before = find(first, stage, microbatch), after = find(second, stage, microbatch);
  if (before != kNone && after != kNone && before > after)
    report(table.rankOfStage[stage], after, "{0} comes before {1}", name(second, stage, microbatch), name(first, stage, microbatch));
}

void Checker::checkStage(int32_t stage, int32_t microbatch) {
  int32_t rank = table.rankOfStage[stage], end = static_cast<int32_t>(table.rows[rank].size());
  auto has = [&](ActionKind kind) { return find(kind, stage, microbatch) != kNone; };
  if (!has(ActionKind::Forward))
    report(rank, end, "{0} is missing", name(ActionKind::Forward, stage, microbatch));
  bool whole = has(ActionKind::Backward), input = has(ActionKind::InputGradient), weight = has(ActionKind::WeightGradient);
  if (whole && (input || weight)) {
    ActionKind half = input ? ActionKind::InputGradient : ActionKind::WeightGradient;
    report(rank, std::max(find(ActionKind::Backward, stage, microbatch), find(half, stage, microbatch)),
           "{0} and {1} are both there: the backward pass would be computed twice", name(ActionKind::Backward, stage, microbatch),
           name(half, stage, microbatch));
  } else if (!whole && !input && !weight) {
    report(rank, end, "{0} is missing", name(ActionKind::Backward, stage, microbatch));
  } else if (!whole && input != weight) {
    report(rank, end, "{0} is missing",
           name(input ? ActionKind::WeightGradient : ActionKind::InputGradient, stage, microbatch));
  }
  ActionKind backward = whole ? ActionKind::Backward : ActionKind::InputGradient;
  requireOrder(stage, microbatch, ActionKind::Forward, backward);
  requireOrder(stage, microbatch, ActionKind::InputGradient, ActionKind::WeightGradient);
  requireOrder(stage, microbatch, ActionKind::ReceiveForward, ActionKind::Forward);
  requireOrder(stage, microbatch, ActionKind::ReceiveBackward, backward);
  requireOrder(stage, microbatch, ActionKind::Forward, ActionKind::SendForward);
  requireOrder(stage, microbatch, backward, ActionKind::SendBackward);
  checkMessage(ActionKind::SendForward, ActionKind::ReceiveForward, stage, stage + 1, microbatch);
  checkMessage(ActionKind::SendBackward, ActionKind::ReceiveBackward, stage, stage - 1, microbatch);
}

void Checker::checkMessage(ActionKind send, ActionKind receive, int32_t stage, int32_t to, int32_t microbatch) {
  bool exists = to >= 0 && to < table.stages;
  bool needed = exists && table.rankOfStage[stage] != table.rankOfStage[to];
  auto judge = [&](ActionKind kind, int32_t owner) {
    int32_t rank = table.rankOfStage[owner], column = find(kind, owner, microbatch);
    if (needed && column == kNone)
      report(rank, static_cast<int32_t>(table.rows[rank].size()), "{0} is missing", name(kind, owner, microbatch));
    if (!needed && column != kNone)
      report(rank, column, "{0} has no counterpart on another rank", name(kind, owner, microbatch));
  };
  judge(send, stage);
  if (exists)
    judge(receive, to);
}

void Checker::checkParameters() {
  // A stage is gathered on demand, or always there if the table never gathers it.
  enum State : char { There, Gathered, Freed };
  std::vector<char> states(table.stages, There);
  std::vector<int32_t> lastGradient(table.stages, kNone);
  for (const std::vector<Action> &row : table.rows)
    for (const Action &action : row)
      if (action.kind == ActionKind::Unshard)
        states[action.stage] = Freed;
  for (auto [rank, row] : llvm::enumerate(table.rows)) {
    for (auto [column, action] : llvm::enumerate(row)) {
      if (action.kind == ActionKind::Idle)
        continue;
      char &state = states[action.stage];
      if (isCompute(action.kind)) {
        if (state == Freed)
          report(rank, column, "{0} needs parameters that are not gathered; {1} has to come before", toString(action),
                 toString({ActionKind::Unshard, action.stage, kNone}));
        if (action.kind != ActionKind::Forward)
          lastGradient[action.stage] = column;
      } else if (action.kind == ActionKind::Unshard) {
        if (state == Gathered)
          report(rank, column, "{0} gathers what is gathered already", toString(action));
        state = Gathered;
      } else if (action.kind == ActionKind::Reshard) {
        if (state != Gathered)
          report(rank, column, "{0} frees what is not gathered", toString(action));
        state = Freed;
      }
    }
  }
  for (auto [stage, column] : llvm::enumerate(reduces))
    if (column != kNone && column < lastGradient[stage]) {
      int32_t rank = table.rankOfStage[stage];
      report(rank, column, "{0} comes before {1}", toString(table.rows[rank][column]),
             toString(table.rows[rank][lastGradient[stage]]));
    }
}

void Checker::checkChannels() {
  // Receives of each pair of ranks in their order; sends are then compared one by one.
  std::map<std::pair<int32_t, int32_t>, std::vector<std::pair<Action, int32_t>>> receives;
  std::map<std::pair<int32_t, int32_t>, size_t> used;
  for (auto [rank, row] : llvm::enumerate(table.rows))
    for (auto [column, action] : llvm::enumerate(row)) {
      bool forward = action.kind == ActionKind::ReceiveForward;
      if (forward || action.kind == ActionKind::ReceiveBackward)
        receives[{table.rankOfStage[action.stage + (forward ? -1 : 1)], rank}].push_back({action, column});
    }
  for (auto [rank, row] : llvm::enumerate(table.rows))
    for (const Action &action : row) {
      bool forward = action.kind == ActionKind::SendForward;
      if (!forward && action.kind != ActionKind::SendBackward)
        continue;
      Action expected{forward ? ActionKind::ReceiveForward : ActionKind::ReceiveBackward, action.stage + (forward ? 1 : -1),
                      action.microbatch};
      std::pair<int32_t, int32_t> ranks(rank, table.rankOfStage[expected.stage]);
      auto [received, column] = receives[ranks][used[ranks]++];
      if (received != expected)
        report(ranks.second, column, "{0} is received where rank {1} sends {2}: messages between two ranks keep their order",
               toString(received), rank, toString(action));
    }
}

void Checker::checkProgress() {
  // A rank runs until it waits for a stage next to one of its own; the action that it waits for wakes it.
  size_t ranks = table.rows.size();
  std::vector<size_t> next(ranks, 0);
  auto isDone = [&](const Action &action) {
    int32_t column = find(action.kind, action.stage, action.microbatch);
    return column < static_cast<int32_t>(next[table.rankOfStage[action.stage]]);
  };
  // What has to be done before a cell, by another stage: a computation or, on another rank, the sending of its result.
  auto getNeeded = [&](const Action &action) -> Action {
    Action needed;
    if (action.kind == ActionKind::Forward && action.stage > 0) {
      bool isSent = table.isSplitAfter(action.stage - 1);
      needed = {isSent ? ActionKind::SendForward : ActionKind::Forward, action.stage - 1, action.microbatch};
    }
    bool backward = action.kind == ActionKind::Backward || action.kind == ActionKind::InputGradient;
    if (backward && action.stage + 1 < table.stages) {
      bool whole = find(ActionKind::Backward, action.stage + 1, action.microbatch) != kNone;
      bool isSent = table.isSplitAfter(action.stage);
      needed = {isSent ? ActionKind::SendBackward : whole ? ActionKind::Backward : ActionKind::InputGradient, action.stage + 1,
                action.microbatch};
    }
    return needed.kind == ActionKind::Idle || isDone(needed) ? Action() : needed;
  };
  std::vector<int32_t> ready(ranks);
  std::vector<std::vector<int32_t>> waiting(ranks); // by the rank that is waited for
  for (size_t rank = 0; rank < ranks; ++rank)
    ready[rank] = static_cast<int32_t>(rank);
  std::vector<Action> needed(ranks);
  while (!ready.empty()) {
    int32_t rank = ready.back();
    ready.pop_back();
    const std::vector<Action> &row = table.rows[rank];
    while (next[rank] < row.size()) {
      needed[rank] = getNeeded(row[next[rank]]);
      if (needed[rank].kind != ActionKind::Idle) {
        waiting[table.rankOfStage[needed[rank].stage]].push_back(rank);
        break;
      }
      Action done = row[next[rank]++];
      llvm::erase_if(waiting[rank], [&](int32_t waiter) {
        if (needed[waiter] != done)
          return false;
        ready.push_back(waiter);
        return true;
      });
    }
  }
  std::vector<bool> seen(ranks, false);
  for (size_t rank = 0; rank < ranks; ++rank) {
    if (next[rank] == table.rows[rank].size())
      continue;
    // Whoever waits, waits for a rank that waits: this leads into the circle.
    int32_t first = static_cast<int32_t>(rank);
    for (; !seen[first]; first = table.rankOfStage[needed[first].stage])
      seen[first] = true;
    std::string circle;
    int32_t waiter = first;
    do {
      circle += llvm::formatv("{0}{1} of rank {2} waits for {3}", circle.empty() ? "" : "; ",
                              toString(table.rows[waiter][next[waiter]]), waiter, toString(needed[waiter]));
      waiter = table.rankOfStage[needed[waiter].stage];
    } while (waiter != first);
    return report(first, next[first], "no rank can go on: {0}", circle);
  }
}

std::optional<Defect> Checker::run() {
  for (auto [rank, row] : llvm::enumerate(table.rows))
    for (auto [column, action] : llvm::enumerate(row))
      enter(rank, column, action);
  if (defect)
    return defect;
  for (int32_t stage = 0; stage < table.stages; ++stage)
    for (int32_t microbatch = 0; microbatch < table.microbatches; ++microbatch)
      checkStage(stage, microbatch);
  checkParameters();
  // The rest relies on what was checked so far.
  if (!defect)
    checkChannels();
  if (!defect)
    checkProgress();
  return defect;
}

std::optional<Defect> schedules::check(const Table &table) { return Checker(table).run(); }

std::vector<int64_t> schedules::getPeakBytes(const Table &table, llvm::ArrayRef<StageBytes> stages) {
  std::vector<int64_t> peaks;
  for (const std::vector<Action> &row : table.rows) {
    int64_t now = 0, peak = 0;
    for (const Action &action : row) {
      const StageBytes *stage = action.kind == ActionKind::Idle ? nullptr : &stages[action.stage];
      auto receives = [&](int32_t neighbour) {
        return neighbour >= 0 && neighbour < table.stages && table.rankOfStage[neighbour] != table.rankOfStage[action.stage];
      };
      int64_t after = 0; // what the action frees
      switch (action.kind) {
      case ActionKind::ReceiveForward:
        now += stage->input;
        break;
      case ActionKind::ReceiveBackward:
        now += stage->gradient;
        break;
      case ActionKind::Forward:
        now += stage->activations;
        after = receives(action.stage - 1) ? stage->input : 0;
        break;
      case ActionKind::Backward:
      case ActionKind::InputGradient:
        if (action.kind == ActionKind::InputGradient)
          now += stage->weightInputs;
        after = stage->activations + (receives(action.stage + 1) ? stage->gradient : 0);
        break;
      case ActionKind::WeightGradient:
        after = stage->weightInputs;
        break;
      default:
        break;
      }
      peak = std::max(peak, now);
      now -= after;
    }
    peaks.push_back(peak);
  }
  return peaks;
}
