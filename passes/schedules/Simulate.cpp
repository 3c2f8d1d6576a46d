//===- Simulate.cpp - How long a pipeline schedule takes ------------------===//

#include "passes/schedules/Simulate.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace primus;
using namespace primus::schedules;

double StageSeconds::get(ActionKind kind) const {
  switch (kind) {
  case ActionKind::Forward:
    return forward;
  case ActionKind::Backward:
    return inputGradient + weightGradient;
  case ActionKind::InputGradient:
    return inputGradient;
  case ActionKind::WeightGradient:
    return weightGradient;
  default:
    return 0;
  }
}

namespace {

/// When, and in which cell, a stage's forward or backward pass of a microbatch is done, and has been sent where it has to
/// be.
struct Done {
  double end = -1;
  Timing::Cell cell{-1, -1};
};

class Simulator {
public:
  Simulator(const Table &table, llvm::ArrayRef<StageSeconds> stages, double messageSeconds)
      : table(table), stages(stages), messageSeconds(messageSeconds) {
    forward.resize(size_t(table.stages) * table.microbatches);
    backward.resize(forward.size());
    for (const std::vector<Action> &row : table.rows)
      timing.spans.emplace_back(row.size());
  }

  Timing run();

private:
  size_t number(const Action &action) const { return size_t(action.stage) * table.microbatches + action.microbatch; }
  /// What the stage next to it has to have done, or null if there is none.
  const Done *getNeeded(const Action &action, int32_t &neighbour) const;
  /// Runs the rank's cells as far as they go.
  bool advance(int32_t rank);

  const Table &table;
  llvm::ArrayRef<StageSeconds> stages;
  double messageSeconds;
  std::vector<Done> forward, backward;
  std::vector<int32_t> next;
  /// When the rank is free, and its last computing cell.
  std::vector<double> clock;
  std::vector<int32_t> last;
  /// Per cell the one that it waited for.
  std::vector<std::vector<Timing::Cell>> causes;
  Timing timing;
};

} // namespace

const Done *Simulator::getNeeded(const Action &action, int32_t &neighbour) const {
  bool isForward = action.kind == ActionKind::Forward;
  if (!isForward && action.kind != ActionKind::Backward && action.kind != ActionKind::InputGradient)
    return nullptr;
  neighbour = action.stage + (isForward ? -1 : 1);
  if (neighbour < 0 || neighbour >= table.stages)
    return nullptr;
  return &(isForward ? forward : backward)[number({action.kind, neighbour, action.microbatch})];
}

bool Simulator::advance(int32_t rank) {
  const std::vector<Action> &row = table.rows[rank];
  bool moved = false;
  for (; next[rank] < static_cast<int32_t>(row.size()); ++next[rank], moved = true) {
    const Action &action = row[next[rank]];
    int32_t column = next[rank], neighbour = 0;
    const Done *needed = getNeeded(action, neighbour);
    if (needed && needed->end < 0)
      break;
    double start = clock[rank], end = start;
    Timing::Cell cause{rank, last[rank]};
    if (needed) {
      double arrival = needed->end + (table.rankOfStage[neighbour] == rank ? 0 : messageSeconds);
      if (arrival > start) {
        start = arrival;
        cause = needed->cell;
      }
    }
    if (isCompute(action.kind)) {
      end = start + stages[action.stage].get(action.kind);
      causes[rank][column] = cause;
      clock[rank] = end;
      last[rank] = column;
    }
    timing.spans[rank][column] = {start, end};
    Timing::Cell cell{rank, last[rank]};
    bool sendsForward = table.isSplitAfter(action.stage), sendsBackward = action.stage > 0 && table.isSplitAfter(action.stage - 1);
    if (action.kind == (sendsForward ? ActionKind::SendForward : ActionKind::Forward))
      forward[number(action)] = {end, cell};
    bool backs = action.kind == ActionKind::Backward || action.kind == ActionKind::InputGradient;
    if (sendsBackward ? action.kind == ActionKind::SendBackward : backs)
      backward[number(action)] = {end, cell};
  }
  return moved;
}

Timing Simulator::run() {
  int32_t ranks = table.getRanks();
  next.assign(ranks, 0);
  clock.assign(ranks, 0);
  last.assign(ranks, -1);
  for (const std::vector<Action> &row : table.rows)
    causes.emplace_back(row.size(), Timing::Cell{-1, -1});
  // Rounds over the ranks: each goes on at least to the next message.
  for (bool moved = true; moved;) {
    moved = false;
    for (int32_t rank = 0; rank < ranks; ++rank)
      moved |= advance(rank);
  }

  double busy = 0;
  Timing::Cell cell{-1, -1};
  for (int32_t rank = 0; rank < ranks; ++rank) {
    for (auto [action, span] : llvm::zip_equal(table.rows[rank], timing.spans[rank]))
      if (isCompute(action.kind))
        busy += span.end - span.start;
    if (clock[rank] > timing.seconds) {
      timing.seconds = clock[rank];
      cell = {rank, last[rank]};
    }
  }
  if (timing.seconds > 0)
    timing.bubble = 1 - busy / (ranks * timing.seconds);
  for (; cell.column >= 0; cell = causes[cell.rank][cell.column])
    timing.criticalPath.push_back(cell);
  std::reverse(timing.criticalPath.begin(), timing.criticalPath.end());
  return std::move(timing);
}

Timing schedules::simulate(const Table &table, llvm::ArrayRef<StageSeconds> stages, double messageSeconds) {
  return Simulator(table, stages, messageSeconds).run();
}

std::string schedules::draw(const Table &table, const Timing &timing, double unit) {
  size_t width = 1;
  for (const std::vector<Action> &row : table.rows)
    for (const Action &action : row)
      if (isCompute(action.kind))
        width = std::max(width, toString(action).size() + 1);
  std::string text;
  for (auto [row, spans] : llvm::zip_equal(table.rows, timing.spans)) {
    std::string line;
    for (auto [action, span] : llvm::zip_equal(row, spans))
      if (isCompute(action.kind)) {
        size_t column = width * static_cast<size_t>(std::llround(span.start / unit));
        // Cells that are shorter than a column stand side by side.
        line.resize(std::max(line.size() + (line.empty() ? 0 : 1), column), ' ');
        line += toString(action);
      }
    text += line + "\n";
  }
  return text;
}
