//===- Schedules.cpp - The table of pipeline schedules --------------------===//

#include "passes/schedules/Schedules.h"

#include "passes/schedules/Check.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <limits>

using namespace primus;
using namespace primus::schedules;

static constexpr int32_t kAny = std::numeric_limits<int32_t>::max();

static constexpr Schedule kSchedules[] = {
    {"gpipe", "all forward passes, then all backward passes", 1, kAny, false, generateGPipe},
    {"1f1b", "one forward, one backward: as few microbatches in flight as stages follow", 1, 1, false,
     generateOneForwardOneBackward},
    {"interleaved", "1f1b over several stages a rank: a shorter bubble, more messages", 1, kAny, false, generateInterleaved},
    {"zero-bubble", "gradients of weights fill the bubble of 1f1b, in its memory", 1, kAny, false, generateZeroBubble},
    {"zbv", "two stages a rank, up the ranks and down again: next to no bubble, in the memory of 1f1b", 2, 2, true,
     generateZbV},
};

llvm::ArrayRef<Schedule> schedules::getSchedules() { return kSchedules; }

const Schedule *schedules::findSchedule(llvm::StringRef name) {
  const Schedule *found = llvm::find_if(kSchedules, [&](const Schedule &schedule) { return schedule.name == name; });
  return found == std::end(kSchedules) ? nullptr : found;
}

llvm::Expected<Table> schedules::generate(const Schedule &schedule, const Request &request) {
  auto fail = [](auto &&...values) { return llvm::createStringError(llvm::formatv(values...)); };
  if (request.ranks < 1 || request.stagesPerRank < 1 || request.microbatches < 1)
    return fail("a pipeline of {0} ranks, {1} stages a rank and {2} microbatches cannot be; each is at least 1", request.ranks,
                request.stagesPerRank, request.microbatches);
  if (request.stagesPerRank < schedule.leastStagesPerRank || request.stagesPerRank > schedule.mostStagesPerRank)
    return fail("the schedule {0} has {1} stages a rank, not {2}", schedule.name,
                schedule.leastStagesPerRank == schedule.mostStagesPerRank
                    ? std::to_string(schedule.leastStagesPerRank)
                    : std::to_string(schedule.leastStagesPerRank) + " or more",
                request.stagesPerRank);
  Request complete = request;
  Table table;
  table.stages = request.ranks * request.stagesPerRank;
  table.microbatches = request.microbatches;
  complete.costs.resize(table.stages);
  for (int32_t stage = 0; stage < table.stages; ++stage) {
    int32_t place = stage % request.ranks;
    table.rankOfStage.push_back(schedule.isV && (stage / request.ranks) % 2 == 1 ? request.ranks - 1 - place : place);
  }
  table.rows = schedule.generate(complete, table);
  addMessages(table);
  if (std::optional<Defect> defect = check(table))
    return fail("the schedule {0} of {1} ranks, {2} stages a rank and {3} microbatches is wrong (rank {4}, cell {5}): {6}",
                schedule.name, request.ranks, request.stagesPerRank, request.microbatches, defect->rank, defect->column + 1,
                defect->message);
  return table;
}
