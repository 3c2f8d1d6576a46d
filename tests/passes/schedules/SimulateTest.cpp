//===- SimulateTest.cpp - Time of pipeline schedules ----------------------===//

#include "passes/schedules/Schedules.h"

#include <gtest/gtest.h>

using namespace primus::schedules;

TEST(ScheduleSimulation, FollowsStagesAndMessages) {
  Table table = llvm::cantFail(generate(*findSchedule("1f1b"), {2, 1, 2, {}}));
  std::vector<StageSeconds> stages{{1, 1, 1}, {2, 2, 2}};
  Timing timing = simulate(table, stages, 0.5);
  // Stage 1 computes 2 * 6 s without a break from 1.5 s on; its last gradient travels, then stage 0 needs 2 s.
  EXPECT_DOUBLE_EQ(timing.seconds, 1.5 + 12 + 0.5 + 2);
  EXPECT_DOUBLE_EQ(timing.bubble, 1 - 18 / (2 * 16.0));
  std::vector<std::string> path;
  for (Timing::Cell cell : timing.criticalPath)
    path.push_back(toString(table.rows[cell.rank][cell.column]));
  EXPECT_EQ(path, (std::vector<std::string>{"0F0", "1F0", "1B0", "1F1", "1B1", "0B1"}));
}

TEST(ScheduleSimulation, DrawsTimeFromLeftToRight) {
  Table table = llvm::cantFail(generate(*findSchedule("gpipe"), {2, 1, 2, {}}));
  std::vector<StageSeconds> stages(2, {1, 0.5, 0.5});
  EXPECT_EQ(draw(table, simulate(table, stages), 1), "0F0 0F1         0B0 0B1\n"
                                                     "    1F0 1F1 1B0 1B1\n");
}
