//===- MpiTest.cpp - Ranks that are processes -----------------------------===//

#include "tests/runtime/MpiRun.h"
#include "tests/runtime/Process.h"

#include <gtest/gtest.h>

using namespace primus::test;

class MpiRanks : public testing::TestWithParam<int> {};

TEST_P(MpiRanks, CollectivesAndHostHelpers) {
  int ranks = GetParam();
  Process process(withMpirun(ranks, {PRIMUS_MPI_RANK, std::to_string(100 + ranks), "24"}));
  EXPECT_EQ(process.wait(), 0) << process.getOutput();
}

TEST(MpiCommunicator, ModelledLinksDelayWhoReceives) {
  Process process(withMpirun(2, {PRIMUS_MPI_RANK, "link"}));
  EXPECT_EQ(process.wait(), 0) << process.getOutput();
}

TEST(MpiCommunicator, BlamesTheRankAtTheEndOfAChain) {
  Process process(withMpirun(4, {PRIMUS_MPI_RANK, "lost"}));
  EXPECT_NE(process.wait(), 0);
  const std::string &output = process.getOutput();
  EXPECT_NE(output.find("rank 3 did not come to all_reduce"), std::string::npos) << output;
  EXPECT_EQ(output.find("rank 1 did not"), std::string::npos) << output;
}

INSTANTIATE_TEST_SUITE_P(Upto8, MpiRanks, testing::Range(1, 9));
