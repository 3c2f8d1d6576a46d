//===- TableTest.cpp - Pipeline schedules as text -------------------------===//

#include "passes/schedules/Check.h"
#include "passes/schedules/Schedules.h"

#include <gtest/gtest.h>

using namespace primus::schedules;

namespace {

std::string getError(llvm::StringRef csv) {
  llvm::Expected<Table> table = parseCsv(csv);
  return table ? "" : llvm::toString(table.takeError());
}

} // namespace

TEST(ScheduleTable, SurvivesItsText) {
  for (const Schedule &schedule : getSchedules()) {
    llvm::Expected<Table> table = generate(schedule, {3, schedule.leastStagesPerRank, 5, {}});
    ASSERT_TRUE(static_cast<bool>(table));
    llvm::Expected<Table> read = parseCsv(toCsv(*table));
    ASSERT_TRUE(static_cast<bool>(read)) << llvm::toString(read.takeError());
    EXPECT_EQ(read->rows, table->rows);
    EXPECT_EQ(read->rankOfStage, table->rankOfStage);
    EXPECT_EQ(read->stages, table->stages);
    EXPECT_EQ(read->microbatches, table->microbatches);
  }
}

TEST(ScheduleTable, KeepsIdleCellsAndSpaces) {
  llvm::Expected<Table> table = parseCsv("0F0, 0F1,,0B0,0B1\n,1F0,1B0,1F1 ,1B1\r\n\n");
  ASSERT_TRUE(static_cast<bool>(table));
  EXPECT_EQ(table->getRanks(), 2);
  EXPECT_EQ(table->stages, 2);
  EXPECT_EQ(table->microbatches, 2);
  EXPECT_EQ(toCsv(*table), "0F0,0F1,,0B0,0B1\n,1F0,1B0,1F1,1B1\n");
}

TEST(ScheduleTable, MessagesKeepTheOrderOfTheirRanks) {
  // Rank 1 wants the second microbatch first; the first one's receive is started before it all the same.
  llvm::Expected<Table> table = parseCsv("0F0,0F1,0B1,0B0\n1F1,1B1,1F0,1B0\n");
  ASSERT_TRUE(static_cast<bool>(table));
  EXPECT_FALSE(table->hasMessages());
  addMessages(*table);
  EXPECT_EQ(toCsv(*table), "0F0,0SEND_F0,0RECV_B1,0F1,0SEND_F1,0RECV_B0,0B1,0B0\n"
                           "1RECV_F0,1RECV_F1,1F1,1B1,1SEND_B1,1F0,1B0,1SEND_B0\n");
  EXPECT_FALSE(check(*table));
}

TEST(ScheduleTable, SaysWhatIsWrongWithACell) {
  EXPECT_NE(getError("0F0,0X0").find("line 1, cell 2: '0X0' is no action"), std::string::npos);
  EXPECT_NE(getError("F0").find("does not begin with the number of a stage"), std::string::npos);
  EXPECT_NE(getError("0F").find("does not end with the number of a microbatch"), std::string::npos);
  EXPECT_NE(getError("0F99999999999").find("does not end"), std::string::npos);
  EXPECT_NE(getError("0UNSHARD1").find("names a microbatch"), std::string::npos);
  EXPECT_NE(getError("0F0\n0F1").find("line 2, cell 1: stage 0 is on rank 0 already"), std::string::npos);
  EXPECT_NE(getError("1F0").find("no rank runs stage 0 forward"), std::string::npos);
  EXPECT_NE(getError("0F0,7B0").find("cell 2: 7B0 is of a stage or microbatch that nothing runs forward"), std::string::npos);
  EXPECT_NE(getError(" \n").find("no line"), std::string::npos);
}
