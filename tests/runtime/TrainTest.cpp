//===- TrainTest.cpp - primus-train on an executable made by hand ---------===//

#include "runtime/executable/ExecutableFile.h"
#include "tests/runtime/TrainFixture.h"

#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;

using Train = TrainFixture;

TEST_F(Train, LearnsAndReportsEveryStep) {
  ASSERT_EQ(train({"--metrics", folder / "m.jsonl"}), 0) << output;
  std::vector<nlohmann::json> metrics = readMetrics("m.jsonl");
  ASSERT_EQ(metrics.size(), 20u);
  for (size_t i = 0; i < metrics.size(); ++i) {
    EXPECT_EQ(metrics[i]["step"], i + 1);
    EXPECT_EQ(metrics[i]["tokens"], 64);
    EXPECT_EQ(metrics[i]["learning_rate"], 0.5);
    EXPECT_GT(metrics[i]["grad_norm"], 0);
    EXPECT_EQ(metrics[i].contains("validation_loss"), i == 9 || i == 19);
  }
  // The kernel learns within the step already, so that the first loss is somewhat below log(256) = 5.55.
  EXPECT_NEAR(metrics[0]["loss"].get<double>(), 5, 0.6);
  EXPECT_LT(metrics[19]["loss"], metrics[0]["loss"].get<double>() / 2);
  EXPECT_TRUE(says("step  1/20  loss ")) << output;
  EXPECT_TRUE(says("step 20/20  loss "));
  EXPECT_TRUE(says("done: 20 steps, 1280 tokens in "));
  EXPECT_TRUE(says("validation loss "));
  EXPECT_TRUE(says("order-1 byte model's loss on the same text: "));
  EXPECT_TRUE(says("--- generated\n"));
}

TEST_F(Train, TwoRunsAndAnyNumberOfThreadsGiveEqualBits) {
  auto values = [&](std::vector<std::string> options, std::vector<std::string> environment) {
    options.insert(options.end(), {"--metrics", folder / "m.jsonl"});
    EXPECT_EQ(train(options, environment), 0) << output;
    std::string text;
    for (nlohmann::json &metrics : readMetrics("m.jsonl")) {
      metrics.erase("tokens_per_second");
      metrics.erase("step_seconds");
      text += metrics.dump() + "\n";
    }
    return text + output.substr(output.find("--- prompt"));
  };
  std::string expected = values({}, {});
  EXPECT_EQ(values({}, {}), expected);
  EXPECT_EQ(values({"--threads", "1"}, {}), expected);
  EXPECT_EQ(values({}, {"PRIMUS_THREADS=3"}), expected);
}

TEST_F(Train, TheReportCountsTheArenaAndListsWhatElseThereIs) {
  ASSERT_EQ(train({"--report", folder / "r.json"}), 0) << output;
  nlohmann::json report = nlohmann::json::parse(readFile(folder / "r.json"));
  EXPECT_EQ(report["parameters"], 65536);
  EXPECT_EQ(report["ranks"][0]["peak_bytes"], executable.memory().arena());
  EXPECT_EQ(report["allocated_bytes"], executable.memory().arena());
  EXPECT_EQ(report["kernels"].size(), 3u);
  const nlohmann::json &process = report["process_bytes"];
  // The kernel's own figures: the arena is its bytes rounded up to pages, all of them present.
  int64_t pages = (executable.memory().arena() + 4095) / 4096 * 4096;
  EXPECT_EQ(process["arena"]["mapped"], pages);
  EXPECT_EQ(process["arena"]["resident"], pages);
  EXPECT_GT(process["kernels"]["mapped"], 0);
  EXPECT_GT(process["libraries"]["mapped"], 0);
  EXPECT_GE(process["data"]["mapped"], int64_t(std::filesystem::file_size(folder / "text.txt")));
  EXPECT_GT(process["heap"]["resident"], 0);
}

TEST_F(Train, NeedsNoCompiler) {
  executable.mutable_training()->set_train_steps(1 << 30);
  Process process(getCommand());
  ASSERT_TRUE(process.waitFor("step 3"));
  std::string maps = readFile("/proc/" + std::to_string(process.getPid()) + "/maps");
  EXPECT_NE(maps.find("libprimus_runtime"), std::string::npos);
  for (const char *library : {"libMLIR", "libLLVM", "libprimus_compiler", "liblld"})
    EXPECT_EQ(maps.find(library), std::string::npos) << library;
}

TEST_F(Train, ASignalFinishesTheStep) {
  executable.mutable_training()->set_train_steps(1 << 30);
  for (int signal : {SIGINT, SIGTERM}) {
    Process process(getCommand({"--metrics", folder / "m.jsonl"}));
    ASSERT_TRUE(process.waitFor("step          5"));
    kill(process.getPid(), signal);
    EXPECT_EQ(process.wait(), 0);
    EXPECT_NE(process.getOutput().find(signal == SIGINT ? "stopped by SIGINT after step" : "stopped by SIGTERM"),
              std::string::npos);
    EXPECT_GE(readMetrics("m.jsonl").size(), 5u);
  }
}

TEST_F(Train, StopsAtTheTimeLimitWithAFullSummary) {
  executable.mutable_training()->set_train_steps(1 << 30);
  executable.mutable_training()->set_time_limit_seconds(0.5);
  executable.mutable_training()->set_log_interval(1000);
  ASSERT_EQ(train(), 0) << output;
  EXPECT_TRUE(says("the time limit of ")) << output;
  EXPECT_TRUE(says("validation loss "));
  EXPECT_TRUE(says("--- generated\n"));
}

TEST_F(Train, ALossThatIsNotFiniteEndsTheRun) {
  executable.mutable_training()->set_learning_rate(1e38);
  EXPECT_EQ(train({"--metrics", folder / "m.jsonl"}), 3);
  EXPECT_TRUE(says("error: the loss of step ")) << output;
  EXPECT_TRUE(says("smaller learning rate"));
  EXPECT_TRUE(says("; first: 'test_")) << output;
  // The step that failed is on record.
  std::vector<nlohmann::json> metrics = readMetrics("m.jsonl");
  EXPECT_TRUE(metrics.back()["loss"].is_null() || metrics.back()["grad_norm"].is_null());
}

TEST_F(Train, FrozenRunsBuildEverythingAndTrainNothing) {
  executable.mutable_training()->set_frozen(true);
  ASSERT_EQ(train({"--report", folder / "r.json"}), 0) << output;
  EXPECT_TRUE(says("nothing is trained"));
  EXPECT_FALSE(says("step "));
  EXPECT_TRUE(std::filesystem::exists(folder / "r.json"));
}

TEST_F(Train, OtherDataByCommandLine) {
  std::filesystem::create_directory(folder / "texts");
  writeFile(folder / "texts/a", std::string(3000, 'x'));
  ASSERT_EQ(train({"--data", folder / "texts", "--metrics", folder / "m.jsonl"}), 0) << output;
  // One byte throughout: much easier than the text.
  EXPECT_LT(readMetrics("m.jsonl").back()["loss"], 0.5);
  writeFile(folder / "short", "too short");
  EXPECT_EQ(train({"--data", folder / "short"}), 2);
  EXPECT_TRUE(says("--data: ") && says("needs 33")) << output;
}

TEST_F(Train, MockDataNeedsNoFiles) {
  executable.mutable_training()->set_data_kind("mock");
  executable.mutable_training()->clear_data_paths();
  ASSERT_EQ(train(), 0) << output;
  EXPECT_FALSE(says("--- generated")) << "there is no text to continue";
}

TEST_F(Train, WrongCommandLinesAreExitCodeTwo) {
  std::vector<std::vector<std::string>> wrong = {
      {"--bogus"},          {"--ranks", "2"},    {"--communicator", "rccl"}, {"--timeout", "0"}, {"--communicator", "pigeon"},
      {"--threads", "0"},   {"seq_length=3"},    {"--threads", "many"},     {"--data", folder / "missing"},
      {"--timeout", "-1"},
  };
  for (const std::vector<std::string> &options : wrong)
    EXPECT_EQ(train(options), 2) << options[0] << "\n" << output;
  EXPECT_EQ(train({}, {"PRIMUS_THREADS=none"}), 2);
  EXPECT_EQ(train({"--communicator", "local"}, {"OMPI_COMM_WORLD_SIZE=2"}), 2);
  EXPECT_EQ(Process({PRIMUS_TRAIN}).wait(), 2);
  EXPECT_EQ(Process({PRIMUS_TRAIN, folder / "missing.primus"}).wait(), 2);
  EXPECT_EQ(Process({PRIMUS_TRAIN, "--help"}).wait(), 0);
  EXPECT_EQ(train({"--timeout", "10", "--communicator", "local", "--ranks", "1"}), 0) << output;
}

TEST_F(Train, BrokenExecutablesAreExitCodeThree) {
  std::string bytes = serializeExecutable(executable);
  writeFile(folder / "broken.primus", bytes.substr(0, bytes.size() - 7));
  Process process({PRIMUS_TRAIN, folder / "broken.primus"});
  EXPECT_EQ(process.wait(), 3);
  EXPECT_NE(process.getOutput().find("broken.primus"), std::string::npos);
  executable.mutable_programs(0)->set_name("other");
  EXPECT_EQ(train(), 3);
  EXPECT_TRUE(says("no program 'train_step'")) << output;
}

TEST_F(Train, RanksHaveToBeThoseOfTheProgram) {
  setMesh(executable, {{"dp", 4}});
  EXPECT_EQ(train({"--ranks", "2"}), 2);
  EXPECT_TRUE(says("--ranks 2: ") && says("is compiled for 4")) << output;
}
