//===- HipTrainTest.cpp - primus-train on emulated GPUs -------------------===//

#include "tests/runtime/TestDevice.h"
#include "tests/runtime/TrainFixture.h"

#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>

using namespace primus::test;

namespace {

class HipTrain : public TrainFixture {
protected:
  void SetUp() override {
    TrainFixture::SetUp();
    useTarget("gfx942");
  }

  void useTarget(const std::string &target) {
    executable = makeBigramExecutable(target);
    executable.mutable_training()->add_data_paths(folder / "text.txt");
  }

  void saveEvery(int64_t steps) {
    primus::executable::Checkpoint &checkpoint = *executable.mutable_training()->mutable_checkpoint();
    checkpoint.set_save(folder / "checkpoints");
    checkpoint.set_interval(steps);
    // The model's optimizer has no state.
    checkpoint.set_fresh_optimizer(true);
  }

  int trainOnGpu(std::vector<std::string> options = {}, const std::string &properties = "",
                 std::vector<std::string> environment = {}) {
    for (std::string &entry : getEmulatedHip(properties))
      environment.push_back(entry);
    return train(std::move(options), std::move(environment));
  }
};

} // namespace

TEST_F(HipTrain, BothChipsLearnWhatTheProcessorLearns) {
  executable = makeBigramExecutable();
  executable.mutable_training()->add_data_paths(folder / "text.txt");
  ASSERT_EQ(train({"--metrics", folder / "cpu.jsonl"}), 0) << output;
  std::vector<nlohmann::json> expected = readMetrics("cpu.jsonl");
  for (const char *target : {"gfx942", "gfx950"}) {
    useTarget(target);
    ASSERT_EQ(trainOnGpu({"--metrics", folder / "gpu.jsonl"}), 0) << output;
    std::vector<nlohmann::json> metrics = readMetrics("gpu.jsonl");
    ASSERT_EQ(metrics.size(), expected.size());
    for (size_t i = 0; i < metrics.size(); ++i)
      for (const char *key : {"loss", "grad_norm", "validation_loss"})
        if (expected[i].contains(key))
          EXPECT_NEAR(metrics[i][key].get<double>() / expected[i][key].get<double>(), 1, 1e-4) << key << " of step " << i + 1;
    EXPECT_TRUE(says("--- generated\n")) << output;
  }
}

TEST_F(HipTrain, GoesOnFromACheckpointWithTheSameBits) {
  saveEvery(5);
  ASSERT_EQ(trainOnGpu({"--metrics", folder / "whole.jsonl"}), 0) << output;
  for (const char *step : {"step_00000010", "step_00000015", "step_00000020"})
    std::filesystem::remove_all(folder / "checkpoints/" + step);
  ASSERT_EQ(trainOnGpu({"--metrics", folder / "rest.jsonl", "--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("goes on after step 5")) << output;
  std::vector<nlohmann::json> whole = readMetrics("whole.jsonl"), rest = readMetrics("rest.jsonl");
  ASSERT_EQ(rest.size(), 15u);
  for (size_t i = 0; i < rest.size(); ++i)
    EXPECT_EQ(rest[i]["loss"], whole[i + 5]["loss"]);
}

//===----------------------------------------------------------------------===//
// What is missing
//===----------------------------------------------------------------------===//

TEST_F(HipTrain, WithoutAHipLibrary) {
  EXPECT_EQ(train({}, {"PRIMUS_HIP_LIBRARY=" + (folder / "nothing.so")}), 3);
  EXPECT_TRUE(says("PRIMUS_HIP_LIBRARY: cannot open it: " + (folder / "nothing.so"))) << output;
  EXPECT_TRUE(says("install ROCm 5, 6 or 7")) << output;
}

TEST_F(HipTrain, WithAnotherLibrary) {
  EXPECT_EQ(train({}, {"PRIMUS_HIP_LIBRARY=" PRIMUS_TEST_KERNELS}), 3);
  EXPECT_TRUE(says("it has no function 'hip")) << output;
}

TEST_F(HipTrain, WithAnUnknownVersion) {
  EXPECT_EQ(trainOnGpu({}, "version=80100000"), 3);
  EXPECT_TRUE(says("is HIP 8 (version 80100000), and this program knows HIP 5 to 7")) << output;
}

TEST_F(HipTrain, WithoutAGpu) {
  EXPECT_EQ(trainOnGpu({}, "devices=0"), 3);
  EXPECT_TRUE(says("there is no GPU that this process can use")) << output;
  EXPECT_TRUE(says("hipGetDeviceCount failed: no ROCm-capable device is detected (hipErrorNoDevice, 100)")) << output;
  EXPECT_TRUE(says("/dev/kfd")) << output;
}

TEST_F(HipTrain, OnAnotherArchitecture) {
  EXPECT_EQ(trainOnGpu({}, "architecture=gfx950"), 3);
  EXPECT_TRUE(says("the program is compiled for gfx942, and GPU 0 (emulated) is a gfx95x")) << output;
  EXPECT_TRUE(says("--target")) << output;
}

TEST_F(HipTrain, WithTooLittleMemory) {
  EXPECT_EQ(trainOnGpu({}, "memory=200000"), 3);
  EXPECT_TRUE(says("out of memory: the tensors need 0.00 GiB, and GPU 0 (emulated) has 0.00 of its 0.00 GiB available"))
      << output;
}

//===----------------------------------------------------------------------===//
// Faults on the way
//===----------------------------------------------------------------------===//

TEST_F(HipTrain, AnErrorInAKernelIsReportedWithItsNameAndTheLastCheckpointStays) {
  saveEvery(2);
  EXPECT_EQ(trainOnGpu({}, "fault_launch=6"), 3);
  EXPECT_TRUE(says("hipErrorIllegalAddress, 700")) << output;
  EXPECT_TRUE(says("in kernel 'test_train_step'")) << output;
  EXPECT_TRUE(std::filesystem::exists(folder / "checkpoints/step_00000004")) << output;
  EXPECT_FALSE(std::filesystem::exists(folder / "checkpoints/step_00000006"));
  ASSERT_EQ(trainOnGpu({"--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("goes on after step 4")) << output;
}

TEST_F(HipTrain, WaitingAfterEachKernelNamesTheOneAtFault) {
  EXPECT_EQ(trainOnGpu({}, "fault_launch=3", {"PRIMUS_HIP_SYNCHRONOUS=1"}), 3);
  EXPECT_TRUE(says("GPU 0 (emulated): running kernel 'test_train_step': hipStreamSynchronize failed")) << output;
}

TEST_F(HipTrain, ALostDeviceEndsTheRun) {
  EXPECT_EQ(trainOnGpu({}, "lose_launch=2"), 3);
  EXPECT_TRUE(says("hipErrorUnknown, 999")) << output;
}
