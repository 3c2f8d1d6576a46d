//===- CommunicatorTest.cpp - Ranks that are threads ----------------------===//

#include "runtime/communicators/local/LocalCommunicator.h"
#include "runtime/communicators/Reduce.h"
#include "tests/runtime/communicators/CollectiveCases.h"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <thread>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;

/// Runs a function as each rank, and returns what the ranks return.
static std::vector<std::string> runRanks(int ranks, const CommunicatorOptions &options,
                                         const std::function<std::string(Communicator &)> &function) {
  std::vector<std::unique_ptr<Communicator>> communicators = createLocalCommunicators(ranks, options);
  std::vector<std::string> results(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < results.size(); ++rank)
    threads.emplace_back([&, rank] { results[rank] = function(*communicators[rank]); });
  for (std::thread &thread : threads)
    thread.join();
  return results;
}

static CollectiveDescription makeAllReduce(Communicator &communicator, std::vector<float> &values) {
  CollectiveDescription description;
  description.kind = CollectiveKind::AllReduce;
  description.type = executable::F32;
  description.elementBytes = 4;
  for (int rank = 0; rank < communicator.getNumRanks(); ++rank)
    description.group.push_back(rank);
  description.index = communicator.getRank();
  auto *bytes = reinterpret_cast<std::byte *>(values.data());
  description.parts.push_back({{static_cast<int64_t>(values.size())}, 0, 0, bytes, bytes});
  description.name = "all_reduce";
  return description;
}

static double measureSeconds(const std::function<void()> &function) {
  auto start = std::chrono::steady_clock::now();
  function();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class LocalCommunicatorRanks : public testing::TestWithParam<int> {};

TEST_P(LocalCommunicatorRanks, RandomCollectives) {
  for (uint64_t seed = 1; seed <= 3; ++seed)
    for (const std::string &result :
         runRanks(GetParam(), {}, [&](Communicator &c) { return checkRandomCollectives(c, seed, 20); }))
      ASSERT_EQ(result, "") << "seed " << seed;
}

TEST_P(LocalCommunicatorRanks, RandomMessages) {
  for (uint64_t seed = 1; seed <= 3; ++seed)
    for (const std::string &result : runRanks(GetParam(), {}, [&](Communicator &c) { return checkRandomMessages(c, seed, 40); }))
      ASSERT_EQ(result, "") << "seed " << seed;
}

TEST_P(LocalCommunicatorRanks, HostHelpers) {
  for (const std::string &result : runRanks(GetParam(), {}, checkHostHelpers))
    EXPECT_EQ(result, "");
}

INSTANTIATE_TEST_SUITE_P(Upto8, LocalCommunicatorRanks, testing::Range(1, 9));

TEST(LocalCommunicator, NamesTheRankThatDoesNotCome) {
  CommunicatorOptions options;
  options.timeoutSeconds = 0.5;
  std::vector<std::string> results;
  double seconds = measureSeconds([&] {
    results = runRanks(4, options, [](Communicator &communicator) {
      std::vector<float> values(10);
      std::unique_ptr<Collective> collective = communicator.prepare(makeAllReduce(communicator, values));
      // The others learn of it wherever they are.
      if (communicator.getRank() == 2)
        return std::string();
      if (communicator.getRank() == 3)
        communicator.start(*collective);
      Error error = communicator.getRank() == 3 ? communicator.wait(*collective) : communicator.run(*collective);
      return error ? error.getMessage() : "no error";
    });
  });
  for (size_t rank : {0, 1, 3})
    EXPECT_EQ(results[rank],
              "rank 2 did not come to all_reduce within 0.5 seconds and counts as lost (--timeout)");
  EXPECT_LT(seconds, 5);
}

TEST(LocalCommunicator, BlamesTheRankAtTheEndOfAChain) {
  CommunicatorOptions options;
  options.timeoutSeconds = 0.5;
  std::vector<std::string> results = runRanks(4, options, waitInChains);
  for (size_t rank : {0, 1, 2})
    EXPECT_EQ(results[rank], "rank 3 did not come to all_reduce within 0.5 seconds and counts as lost (--timeout)");
}

TEST(LocalCommunicator, AFailureEndsAllWaitsAtOnce) {
  double seconds = measureSeconds([] {
    std::vector<std::string> results = runRanks(3, {}, [](Communicator &communicator) {
      if (communicator.getRank() == 1) {
        communicator.fail("the disk is full");
        return std::string();
      }
      std::vector<float> values(10);
      std::unique_ptr<Collective> collective = communicator.prepare(makeAllReduce(communicator, values));
      Error error = communicator.getRank() == 0 ? communicator.barrier() : communicator.run(*collective);
      EXPECT_TRUE(communicator.getFailure());
      return error ? error.getMessage() : "no error";
    });
    for (size_t rank : {0, 2})
      EXPECT_EQ(results[rank], "rank 1 failed: the disk is full");
  });
  EXPECT_LT(seconds, 5);
}

/// What ranks have agreed on names a rank already.
TEST(LocalCommunicator, RanksAreNamedOnce) {
  for (std::string message : {"rank 0: the disk is full", "ranks 0, 1 did not come to barrier"}) {
    std::vector<std::string> results = runRanks(2, {}, [&](Communicator &communicator) {
      if (communicator.getRank() == 1)
        communicator.fail(message);
      return communicator.barrier().getMessage();
    });
    EXPECT_EQ(results[0], message);
  }
}

TEST(LocalCommunicator, AModelledLinkDelaysButDoesNotBlock) {
  CommunicatorOptions options;
  options.link.latencySeconds = 0.1;
  options.link.bytesPerSecond = 1e6;
  for (const std::string &result : runRanks(2, options, [](Communicator &communicator) {
         // Sends 100 kB: half of it, and again half of it.
         std::vector<float> values(25000, 1);
         std::unique_ptr<Collective> collective = communicator.prepare(makeAllReduce(communicator, values));
         double startSeconds = measureSeconds([&] { communicator.start(*collective); });
         double waitSeconds = measureSeconds([&] { (void)bool(communicator.wait(*collective)); });
         return startSeconds < 0.1 && waitSeconds > 0.15 && waitSeconds < 1 && values[7] == 2
                    ? std::string()
                    : std::to_string(startSeconds) + " " + std::to_string(waitSeconds);
       }))
    EXPECT_EQ(result, "");
}

TEST(LocalCommunicator, ModelledLinksDelayWhoReceives) {
  CommunicatorOptions options;
  options.link.latencySeconds = 0.2;
  for (const std::string &result : runRanks(2, options, checkMessagesOnLinks))
    EXPECT_EQ(result, "");
}

TEST(LocalCommunicator, AModelledLinkInProcessorTimeDelaysNothing) {
  CommunicatorOptions options;
  options.link.latencySeconds = 10;
  options.link.onProcessorTime = true;
  double seconds = measureSeconds([&] {
    for (const std::string &result : runRanks(2, options, [](Communicator &communicator) {
           std::vector<float> values(16, 1);
           std::unique_ptr<Collective> collective = communicator.prepare(makeAllReduce(communicator, values));
           communicator.start(*collective);
           // What is computed meanwhile is not waited for.
           for (std::atomic<int> count = 0; count < 1'000'000;)
             ++count;
           (void)bool(communicator.wait(*collective));
           double computed = communicator.getComputeSeconds(), waited = communicator.getLinkSeconds();
           bool isRight = computed > 0 && std::abs(computed + waited - 10) < 1e-6;
           (void)bool(communicator.run(*collective));
           isRight &= std::abs(communicator.getLinkSeconds() - waited - 10) < 1e-6;
           return isRight ? std::string() : std::to_string(computed) + " " + std::to_string(waited);
         }))
      EXPECT_EQ(result, "");
  });
  EXPECT_LT(seconds, 5);
}

TEST(LinkModel, ReadsTheEnvironment) {
  setenv("PRIMUS_LINK", "latency=50e-6,bandwidth=1e9", 1);
  Expected<LinkModel> model = LinkModel::fromEnvironment();
  ASSERT_TRUE(model);
  EXPECT_EQ(model->latencySeconds, 50e-6);
  EXPECT_EQ(model->bytesPerSecond, 1e9);
  EXPECT_FALSE(model->onProcessorTime);
  setenv("PRIMUS_LINK", "clock=processor,latency=1", 1);
  model = LinkModel::fromEnvironment();
  ASSERT_TRUE(model);
  EXPECT_TRUE(model->onProcessorTime);
  EXPECT_EQ(model->latencySeconds, 1);
  for (const char *wrong : {"latency", "latency=-1", "speed=1", "latency=1s", "latency=inf", "bandwidth=nan", "clock=wall"}) {
    setenv("PRIMUS_LINK", wrong, 1);
    Expected<LinkModel> refused = LinkModel::fromEnvironment();
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.takeError().getExitCode(), 2);
  }
  unsetenv("PRIMUS_LINK");
  model = LinkModel::fromEnvironment();
  ASSERT_TRUE(model);
  EXPECT_FALSE(model->isActive());
}

TEST(Reduce, NaNsAndInfinitiesPass) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  float a[] = {1, nan, infinity, -infinity}, b[] = {nan, 1, 1, infinity}, target[4];
  const std::byte *sources[] = {reinterpret_cast<std::byte *>(a), reinterpret_cast<std::byte *>(b)};
  reduceElements(Reduction::Max, executable::F32, sources, reinterpret_cast<std::byte *>(target), 4);
  EXPECT_TRUE(std::isnan(target[0]) && std::isnan(target[1]));
  EXPECT_EQ(target[2], infinity);
  EXPECT_EQ(target[3], infinity);
  reduceElements(Reduction::Sum, executable::F32, sources, reinterpret_cast<std::byte *>(target), 4);
  EXPECT_TRUE(std::isnan(target[0]) && std::isnan(target[1]) && std::isnan(target[3]));
  // A NaN whose bits are only in the lower half would become infinity when narrowed.
  uint16_t quiet[] = {0x7F81}, results[1];
  const std::byte *narrow[] = {reinterpret_cast<std::byte *>(quiet)};
  reduceElements(Reduction::Sum, executable::BF16, narrow, reinterpret_cast<std::byte *>(results), 1);
  EXPECT_GT(results[0] & 0x7FFF, 0x7F80);
}
