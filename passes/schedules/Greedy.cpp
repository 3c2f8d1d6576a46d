//===- Greedy.cpp - Schedules by simulation -------------------------------===//

#include "passes/schedules/Greedy.h"

#include "passes/schedules/Check.h"

#include "llvm/ADT/STLExtras.h"

#include <deque>
#include <limits>

using namespace primus;
using namespace primus::schedules;

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// What a rank may do next, and from when on.
struct Choice {
  Action action;
  double start = kNever;
  int32_t priority = 0;

  bool isBetterThan(const Choice &other) const {
    return start != other.start ? start < other.start : priority > other.priority;
  }
};

class Simulation {
public:
  Simulation(const Request &request, const Table &places, int32_t mostInFlight)
      : request(request), places(places), mostInFlight(mostInFlight), rows(request.ranks), clock(request.ranks, 0),
        inFlight(request.ranks, 0), stages(places.stages) {
    for (auto [index, stage] : llvm::enumerate(stages)) {
      stage.forwardReady.assign(request.microbatches, index == 0 ? 0 : kNever);
      stage.backwardReady.assign(request.microbatches, kNever);
    }
  }

  Rows run();

private:
  struct Stage {
    /// When the input and the gradient of the output of each microbatch are there.
    std::vector<double> forwardReady, backwardReady;
    int32_t nextForward = 0, nextBackward = 0;
    std::deque<int32_t> weights; ///< microbatches whose gradients of weights are still to be formed
  };

  Choice choose(int32_t rank) const;
  void apply(int32_t rank, const Choice &choice);

  const Request &request;
  const Table &places;
  int32_t mostInFlight;
  Rows rows;
  std::vector<double> clock;
  std::vector<int32_t> inFlight;
  std::vector<Stage> stages;
};

} // namespace

Choice Simulation::choose(int32_t rank) const {
  Choice best;
  auto offer = [&](ActionKind kind, int32_t stage, int32_t microbatch, double ready, int32_t priority) {
    Choice choice{{kind, stage, microbatch}, std::max(ready, clock[rank]), priority};
    if (choice.isBetterThan(best))
      best = choice;
  };
  int32_t count = places.stages, lastOfRank = count - 1;
  while (places.rankOfStage[lastOfRank] != rank)
    --lastOfRank;
  for (int32_t index = 0; index < count; ++index) {
    if (places.rankOfStage[index] != rank)
      continue;
    const Stage &stage = stages[index];
    if (stage.nextBackward < request.microbatches)
      offer(ActionKind::InputGradient, index, stage.nextBackward, stage.backwardReady[stage.nextBackward], 2 * count + index);
    // The way to the last stage stays open: forward passes of earlier stages leave room for one of each that follows.
    int32_t room = mostInFlight - (lastOfRank - index) / request.ranks;
    if (stage.nextForward < request.microbatches && inFlight[rank] < room)
      offer(ActionKind::Forward, index, stage.nextForward, stage.forwardReady[stage.nextForward], count + index);
    if (!stage.weights.empty())
      offer(ActionKind::WeightGradient, index, stage.weights.front(), 0, index);
  }
  return best;
}

void Simulation::apply(int32_t rank, const Choice &choice) {
  const Action &action = choice.action;
  Stage &stage = stages[action.stage];
  double end = clock[rank] = choice.start + request.costs[action.stage].get(action.kind);
  rows[rank].push_back(action);
  bool isLast = action.stage + 1 == places.stages;
  switch (action.kind) {
  case ActionKind::Forward:
    ++inFlight[rank];
    ++stage.nextForward;
    (isLast ? stage.backwardReady : stages[action.stage + 1].forwardReady)[action.microbatch] = end;
    break;
  case ActionKind::InputGradient:
    ++stage.nextBackward;
    stage.weights.push_back(action.microbatch);
    if (action.stage > 0)
      stages[action.stage - 1].backwardReady[action.microbatch] = end;
    break;
  default:
    --inFlight[rank];
    stage.weights.pop_front();
    break;
  }
}

Rows Simulation::run() {
  // The rank whose next action starts first goes on: nothing that happens later can offer it anything earlier.
  while (true) {
    Choice best;
    int32_t rank = -1;
    for (int32_t candidate = 0; candidate < request.ranks; ++candidate)
      if (Choice choice = choose(candidate); choice.start < best.start) {
        best = choice;
        rank = candidate;
      }
    if (rank < 0)
      return std::move(rows);
    apply(rank, best);
  }
}

Rows schedules::generateGreedily(const Request &request, const Table &places, int32_t mostInFlight) {
  // What is best now is not best in the end: the order of equal stages may suit these, too.
  Request equal = request;
  equal.costs.assign(places.stages, StageSeconds());
  return chooseFastest(request, places, {Simulation(request, places, mostInFlight).run(), Simulation(equal, places, mostInFlight).run()});
}

Rows schedules::chooseFastest(const Request &request, const Table &places, std::vector<Rows> candidates) {
  size_t best = 0;
  double least = kNever;
  for (auto [index, rows] : llvm::enumerate(candidates)) {
    Table table = places;
    table.rows = rows;
    addMessages(table);
    // Rounding must not decide between equals.
    if (double seconds = check(table) ? kNever : simulate(table, request.costs).seconds; seconds < least * (1 - 1e-9)) {
      least = seconds;
      best = index;
    }
  }
  return std::move(candidates[best]);
}
