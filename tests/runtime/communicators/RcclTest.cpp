//===- RcclTest.cpp - Emulated GPUs that talk -----------------------------===//

#include "runtime/communicators/local/LocalCommunicator.h"
#include "tests/runtime/MpiRun.h"
#include "tests/runtime/Process.h"
#include "tests/runtime/TestDevice.h"
#include "tests/runtime/TrainFixture.h"
#include "tests/runtime/communicators/CollectiveCases.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <thread>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;

TEST(RcclCommunicator, RandomCollectivesOfThreads) {
  // Sizes with and without divisors: strided tensors are packed and spread.
  for (int ranks : {1, 2, 3, 4}) {
    std::vector<std::unique_ptr<Communicator>> hosts = createLocalCommunicators(ranks, {});
    std::vector<std::string> messages(static_cast<size_t>(ranks));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank)
      threads.emplace_back([&, rank] {
        auto r = static_cast<size_t>(rank);
        std::unique_ptr<Device> device = createTestDevice("gfx942", 1, rank);
        Expected<std::unique_ptr<Communicator>> communicator = device->createCommunicator(*hosts[r]);
        if (!communicator)
          messages[r] = communicator.takeError().getMessage();
        else
          messages[r] = checkRandomCollectives(**communicator, 200 + static_cast<uint64_t>(ranks), 24, device.get());
        // The communicator before the device.
        communicator = std::unique_ptr<Communicator>();
      });
    for (std::thread &thread : threads)
      thread.join();
    for (const std::string &message : messages)
      EXPECT_EQ(message, "") << ranks << " ranks";
  }
}

/// A rank that ends before what it has started does not wait for those that do not come.
TEST(RcclCommunicator, WhoEndsEarlyWaitsForNobody) {
  std::vector<std::unique_ptr<Communicator>> hosts = createLocalCommunicators(2, {});
  std::vector<std::thread> threads;
  for (int rank : {0, 1})
    threads.emplace_back([&, rank] {
      // GPUs that no other test of this process uses: what is given up stays in their queues.
      std::unique_ptr<Device> device = createTestDevice("gfx942", 1, 6 + rank);
      Expected<std::unique_ptr<Communicator>> communicator = device->createCommunicator(*hosts[static_cast<size_t>(rank)]);
      Expected<std::byte *> memory = device->allocateArena(64);
      ASSERT_TRUE(communicator && memory);
      CollectiveDescription description;
      description.kind = CollectiveKind::AllReduce;
      description.type = executable::F32;
      description.elementBytes = 4;
      description.group = {0, 1};
      description.index = rank;
      description.parts.push_back({{16}, 0, 0, *memory, *memory});
      description.name = "all_reduce";
      std::unique_ptr<Collective> together = (*communicator)->prepare(description);
      std::unique_ptr<Collective> alone = (*communicator)->prepare(description);
      EXPECT_FALSE((*communicator)->run(*together));
      EXPECT_FALSE(device->synchronize({}));
      if (rank == 0)
        (*communicator)->start(*alone);
      // As an executor ends.
      together = nullptr;
      alone = nullptr;
      communicator = std::unique_ptr<Communicator>();
    });
  for (std::thread &thread : threads)
    thread.join();
}

namespace {

class RcclTrain : public TrainFixture {
protected:
  void SetUp() override {
    TrainFixture::SetUp();
    use(2, "gfx942");
  }

  void use(int ranks, const std::string &target) {
    executable = makeRankedBigramExecutable(ranks, target);
    executable.mutable_training()->add_data_paths(folder / "text.txt");
    executable.mutable_training()->set_train_steps(8);
    executable.mutable_training()->set_eval_interval(0);
  }

  std::vector<double> readLosses(const std::string &name) {
    std::vector<double> losses;
    for (const nlohmann::json &metrics : readMetrics(name))
      losses.push_back(metrics["loss"].get<double>());
    return losses;
  }
};

} // namespace

TEST_F(RcclTrain, ThreadsAndProcessesTrainAsProcessorsDo) {
  use(2, "cpu");
  ASSERT_EQ(train({"--metrics", folder / "cpu.jsonl"}), 0) << output;
  std::vector<double> expected = readLosses("cpu.jsonl");
  ASSERT_EQ(expected.size(), 8u);
  use(2, "gfx942");
  ASSERT_EQ(train({"--metrics", folder / "threads.jsonl", "--communicator", "rccl"}, getEmulatedHip("devices=2")), 0) << output;
  EXPECT_TRUE(says("on each of 2 ranks (rccl)")) << output;
  Process process(withMpirun(2, getCommand({"--metrics", folder / "processes.jsonl"})), getEmulatedHip("devices=2"));
  EXPECT_EQ(process.wait(), 0) << process.getOutput();
  for (const char *name : {"threads.jsonl", "processes.jsonl"}) {
    std::vector<double> losses = readLosses(name);
    ASSERT_EQ(losses.size(), expected.size()) << name;
    for (size_t i = 0; i < losses.size(); ++i)
      EXPECT_NEAR(losses[i] / expected[i], 1, 1e-5) << name << ", step " << i + 1;
  }
}

TEST_F(RcclTrain, MoreRanksThanGpusAreRefused) {
  use(3, "gfx942");
  EXPECT_EQ(train({}, getEmulatedHip("devices=2")), 2);
  EXPECT_TRUE(says("this host has 2 GPUs for rank 2")) << output;
}

TEST_F(RcclTrain, ARankWhoseKernelHangsIsNamedByTheOthers) {
  EXPECT_EQ(train({"--timeout", "1"}, getEmulatedHip("devices=2,fault_device=1,hang_launch=4")), 3);
  EXPECT_TRUE(says("rank 1 did not come to an exchange between all ranks within 1 seconds")) << output;
}

TEST_F(RcclTrain, AFaultOnOneGpuEndsAllRanks) {
  EXPECT_EQ(train({"--timeout", "20"}, getEmulatedHip("devices=2,fault_device=1,fault_launch=4")), 3);
  EXPECT_TRUE(says("GPU 1 (emulated)") && says("hipErrorIllegalAddress")) << output;
}

TEST_F(RcclTrain, WithoutRccl) {
  std::vector<std::string> environment = getEmulatedHip("devices=2");
  environment.push_back("PRIMUS_RCCL_LIBRARY=" + (folder / "nothing.so"));
  EXPECT_EQ(train({}, environment), 3);
  EXPECT_TRUE(says("RCCL, which several GPUs need: PRIMUS_RCCL_LIBRARY: cannot open it")) << output;
}
