//===- ProfileTest.cpp - Timelines of CPU and GPU runs --------------------===//

#include "tests/runtime/TestDevice.h"
#include "tests/runtime/TrainFixture.h"

#include <gtest/gtest.h>
#include <set>

using namespace primus;
using namespace primus::test;

namespace {

class ProfileFixture : public TrainFixture {
protected:
  void makeExecutable(const std::string &target) {
    executable = makeRankedBigramExecutable(2, target);
    executable.mutable_training()->add_data_paths(folder / "text.txt");
    executable.mutable_training()->set_train_steps(4);
    executable.mutable_training()->set_eval_interval(0);
  }

  std::vector<nlohmann::json> trainWithProfile(std::vector<std::string> environment) {
    EXPECT_EQ(train({"--profile", folder / "trace.json"}, std::move(environment)), 0) << output;
    nlohmann::json trace = nlohmann::json::parse(readFile(folder / "trace.json"));
    std::vector<nlohmann::json> events;
    for (nlohmann::json &event : trace["traceEvents"])
      if (event["ph"] == "X")
        events.push_back(event);
    return events;
  }
};

/// GetParam is the target.
class ProfileOnDevices : public ProfileFixture, public testing::WithParamInterface<std::string> {};

} // namespace

INSTANTIATE_TEST_SUITE_P(Devices, ProfileOnDevices, testing::Values("cpu", "gfx942"),
                         [](const auto &info) { return info.param; });

TEST_P(ProfileOnDevices, KernelsAndCollectivesOfAllRanksStandOneAfterTheOther) {
  makeExecutable(GetParam());
  executable.mutable_kernels(0)->set_flops(1000);
  std::vector<nlohmann::json> events = trainWithProfile(GetParam() == "cpu" ? std::vector<std::string>() : getEmulatedHip("devices=2"));
  std::map<std::string, int> count;
  std::map<std::pair<int, int>, double> end;
  std::set<int> ranks;
  for (const nlohmann::json &event : events) {
    ++count[event["name"]];
    ranks.insert(event["pid"].get<int>());
    EXPECT_GE(event["dur"], 0) << event;
    EXPECT_GE(event["ts"], 0) << event;
    // What is on a device's track goes one after the other. (The times of a trace have their rounding.)
    if (event["tid"] != 1)
      continue;
    double &last = end[{event["pid"].get<int>(), event["tid"].get<int>()}];
    EXPECT_GE(event["ts"].get<double>(), last - 1) << event;
    last = event["ts"].get<double>() + event["dur"].get<double>();
  }
  EXPECT_EQ(ranks, (std::set<int>{0, 1}));
  EXPECT_EQ(count["test_update"], 2 * 4);
  EXPECT_GE(count["train_step"], 2 * 4);
  // The gradient's in the background and the scalars': each is on the exchange's track, and waited for.
  EXPECT_GE(count["all_reduce over dp"], 2 * 4 * 4);
  for (const nlohmann::json &event : events)
    if (event["name"] == "test_gradient") {
      EXPECT_EQ(event["cat"], "kernel");
      EXPECT_EQ(event["args"]["flops"], 1000);
      EXPECT_GT(event["args"]["gflops_per_second"], 0);
    }
}

TEST_F(ProfileFixture, OnProcessorTimeWaitsAreThoseForModelledLinks) {
  makeExecutable("cpu");
  double waited = 0, computed = 0, end = 0;
  for (const nlohmann::json &event : trainWithProfile({"PRIMUS_LINK=clock=processor,latency=100"})) {
    double seconds = event["dur"].get<double>() * 1e-6;
    EXPECT_GE(event["ts"], 0) << event;
    end = std::max(end, event["ts"].get<double>() * 1e-6 + seconds);
    if (event["cat"] == "wait")
      waited = std::max(waited, seconds);
    else if (event["cat"] == "kernel")
      computed = std::max(computed, seconds);
  }
  EXPECT_GT(waited, 99);
  EXPECT_GT(end, 4 * 100);
  EXPECT_LT(computed, 10);
}
