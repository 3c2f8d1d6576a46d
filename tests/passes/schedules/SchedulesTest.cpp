//===- SchedulesTest.cpp - The generators ---------------------------------===//

#include "passes/schedules/Check.h"
#include "passes/schedules/Schedules.h"

#include <gtest/gtest.h>

#include <random>

using namespace primus::schedules;

namespace {

Table get(llvm::StringRef name, int32_t ranks, int32_t stagesPerRank, int32_t microbatches) {
  return llvm::cantFail(generate(*findSchedule(name), {ranks, stagesPerRank, microbatches, {}}));
}

/// Seconds of a table whose actions take one second each, beyond the work of one rank.
double getBubbleSeconds(const Table &table) {
  std::vector<StageSeconds> stages(table.stages);
  return simulate(table, stages).seconds - 3.0 * table.microbatches * table.stages / table.getRanks();
}

/// The most microbatches, counted per stage, that each rank keeps.
std::vector<int64_t> getInFlight(const Table &table) {
  return getPeakBytes(table, std::vector<StageBytes>(table.stages, {1, 0, 0, 0}));
}

} // namespace

TEST(Schedules, AllOfManySizesPassTheCheck) {
  // `generate` runs the check on what it returns.
  int tables = 0;
  for (const Schedule &schedule : getSchedules())
    for (int32_t ranks = 1; ranks <= 8; ++ranks)
      for (int32_t stages = schedule.leastStagesPerRank; stages <= std::min(schedule.mostStagesPerRank, 4); ++stages)
        for (int32_t microbatches = 1; microbatches <= 24; ++microbatches, ++tables) {
          llvm::Expected<Table> table = generate(schedule, {ranks, stages, microbatches, {}});
          ASSERT_TRUE(static_cast<bool>(table)) << llvm::toString(table.takeError());
        }
  EXPECT_EQ(tables, (4 + 1 + 4 + 4 + 1) * 8 * 24);
}

TEST(Schedules, UnevenStagesPassTheCheck) {
  for (llvm::StringRef name : {"zero-bubble", "zbv"})
    for (int32_t ranks = 2; ranks <= 8; ranks += 2) {
      Request request{ranks, 2, 12, {}};
      for (int32_t stage = 0; stage < 2 * ranks; ++stage)
        request.costs.push_back({1.0 + stage % 3, 1.5, 0.5 * (1 + stage % 2)});
      EXPECT_TRUE(static_cast<bool>(generate(*findSchedule(name), request)));
    }
}

TEST(Schedules, UnevenStagesAreNoSlowerForBeingKnown) {
  std::mt19937 random(3);
  int faster = 0;
  for (int round = 0; round < 60; ++round) {
    const Schedule &schedule = *findSchedule(round % 2 ? "zbv" : "zero-bubble");
    Request request{2 + int32_t(random() % 5), round % 2 ? 2 : 1 + int32_t(random() % 2), 2 + int32_t(random() % 12), {}};
    Table blind = llvm::cantFail(generate(schedule, request));
    auto draw = [&] { return 0.2 + static_cast<double>(random() % 100) / 50; };
    for (int32_t stage = 0; stage < blind.stages; ++stage)
      request.costs.push_back({draw(), draw(), draw()});
    Table table = llvm::cantFail(generate(schedule, request));
    double seconds = simulate(table, request.costs).seconds, before = simulate(blind, request.costs).seconds;
    EXPECT_LE(seconds, before * (1 + 1e-9)) << "round " << round;
    faster += seconds < 0.99 * before;
    std::vector<int64_t> kept = getInFlight(table), keptBefore = getInFlight(blind);
    EXPECT_LE(*std::max_element(kept.begin(), kept.end()),
              std::max<int64_t>(*std::max_element(keptBefore.begin(), keptBefore.end()),
                                schedule.isV ? 2 * request.ranks
                                             : request.stagesPerRank > 1 ? (request.stagesPerRank + 1) * request.ranks - 1 : request.ranks))
        << "round " << round;
  }
  EXPECT_GT(faster, 10);
}

TEST(Schedules, BubblesAreThoseOfThePapers) {
  for (int32_t ranks : {2, 4, 8}) {
    int32_t others = ranks - 1;
    EXPECT_EQ(getBubbleSeconds(get("gpipe", ranks, 1, 16)), 3 * others);
    EXPECT_EQ(getBubbleSeconds(get("1f1b", ranks, 1, 16)), 3 * others);
    // A bubble is made of stages that are v times shorter: seconds are those of one of v stages.
    for (int32_t stages : {2, 4})
      EXPECT_EQ(getBubbleSeconds(get("interleaved", ranks, stages, 16)), 3 * others);
    // ZB-H1: (p - 1) (F + I - W). ZB-V: the way of the first microbatch to the last rank.
    EXPECT_EQ(getBubbleSeconds(get("zero-bubble", ranks, 1, 16)), others);
    EXPECT_EQ(getBubbleSeconds(get("zbv", ranks, 2, 16)), others);
  }
}

TEST(Schedules, MemoryIsThatOfThePapers) {
  EXPECT_EQ(getInFlight(get("gpipe", 4, 1, 16)), (std::vector<int64_t>{16, 16, 16, 16}));
  EXPECT_EQ(getInFlight(get("1f1b", 4, 1, 16)), (std::vector<int64_t>{4, 3, 2, 1}));
  EXPECT_EQ(getInFlight(get("interleaved", 4, 2, 16)), (std::vector<int64_t>{11, 9, 7, 5}));
  EXPECT_EQ(getInFlight(get("zbv", 4, 2, 16)), (std::vector<int64_t>{8, 8, 8, 8}));
}

TEST(Schedules, RefuseSizesThatCannotBe) {
  auto getError = [](llvm::StringRef name, const Request &request) {
    llvm::Expected<Table> table = generate(*findSchedule(name), request);
    return table ? "" : llvm::toString(table.takeError());
  };
  EXPECT_EQ(getError("1f1b", {4, 2, 8, {}}), "the schedule 1f1b has 1 stages a rank, not 2");
  EXPECT_EQ(getError("zbv", {4, 1, 8, {}}), "the schedule zbv has 2 stages a rank, not 1");
  EXPECT_NE(getError("gpipe", {4, 1, 0, {}}).find("0 microbatches cannot be"), std::string::npos);
  EXPECT_EQ(findSchedule("2f2b"), nullptr);
}
