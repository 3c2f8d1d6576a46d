//===- ProfileTest.cpp - Timelines of CPU and GPU runs --------------------===//

#include "tests/runtime/TestDevice.h"
#include "tests/runtime/TrainFixture.h"

#include <gtest/gtest.h>
#include <set>

using namespace primus;
using namespace primus::test;

namespace {

/// GetParam is the target.
class ProfileOnDevices : public TrainFixture, public testing::WithParamInterface<std::string> {
protected:
  std::vector<nlohmann::json> trainWithProfile() {
    std::vector<std::string> environment;
    if (GetParam() != "cpu")
      environment = getEmulatedHip("devices=2");
    EXPECT_EQ(train({"--profile", folder / "trace.json"}, environment), 0) << output;
    nlohmann::json trace = nlohmann::json::parse(readFile(folder / "trace.json"));
    std::vector<nlohmann::json> events;
    for (nlohmann::json &event : trace["traceEvents"])
      if (event["ph"] == "X")
        events.push_back(event);
    return events;
  }
};

} // namespace

INSTANTIATE_TEST_SUITE_P(Devices, ProfileOnDevices, testing::Values("cpu", "gfx942"),
                         [](const auto &info) { return info.param; });

TEST_P(ProfileOnDevices, KernelsAndCollectivesOfAllRanksStandOneAfterTheOther) {
  executable = makeRankedBigramExecutable(2, GetParam());
  executable.mutable_training()->add_data_paths(folder / "text.txt");
  executable.mutable_training()->set_train_steps(4);
  executable.mutable_training()->set_eval_interval(0);
  executable.mutable_kernels(0)->set_flops(1000);
  std::vector<nlohmann::json> events = trainWithProfile();
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
