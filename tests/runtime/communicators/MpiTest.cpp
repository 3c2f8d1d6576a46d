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

INSTANTIATE_TEST_SUITE_P(Upto8, MpiRanks, testing::Range(1, 9));
