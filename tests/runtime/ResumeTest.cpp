//===- ResumeTest.cpp - Runs that stop and go on --------------------------===//

#include "tests/runtime/ResumeFixture.h"

#include <csignal>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;
namespace fs = std::filesystem;

namespace {
using Resume = ResumeFixture;
} // namespace

TEST_F(Resume, GoesOnToTheLastBit) {
  ASSERT_EQ(train({"--metrics", folder / "whole.jsonl"}), 0) << output;
  std::string expected = getResult("whole.jsonl");
  EXPECT_EQ(listCheckpoints(), std::vector<std::string>{"step_00000020"}) << "saved at the end";
  fs::remove_all(checkpoints());

  executable.mutable_training()->set_exit_interval(7);
  for (const char *end : {"stopped after step 7 of 20: exit_interval is 7", "stopped after step 14 of 20", "done: 6 steps"}) {
    ASSERT_EQ(train({"--metrics", folder / "parts.jsonl", "--resume", "auto"}), 0) << output;
    EXPECT_TRUE(says(end)) << output;
  }
  EXPECT_EQ(getResult("parts.jsonl"), expected);
  // Once more there is nothing to do, and nothing changes.
  ASSERT_EQ(train({"--metrics", folder / "parts.jsonl", "--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("all 20 steps are done already")) << output;
  EXPECT_EQ(getResult("parts.jsonl"), expected);
  EXPECT_EQ(listCheckpoints(), (std::vector<std::string>{"step_00000007", "step_00000014", "step_00000020"}));
}

TEST_F(Resume, TheMetricsGoOnWithoutRepetition) {
  ASSERT_EQ(train({"--metrics", folder / "whole.jsonl"}), 0) << output;
  std::string expected = getResult("whole.jsonl");
  fs::remove_all(checkpoints());
  trainToEight();
  // What a run that was killed later leaves: further rows, and a part of one.
  std::string rows = readFile(folder / "whole.jsonl");
  size_t end = 0;
  for (int i = 0; i < 11; ++i)
    end = rows.find('\n', end) + 1;
  writeFile(folder / "m.jsonl", rows.substr(0, end + 9));
  ASSERT_EQ(train({"--metrics", folder / "m.jsonl", "--resume", "auto"}), 0) << output;
  EXPECT_EQ(getResult("m.jsonl"), expected);
}

TEST_F(Resume, ASignalSaves) {
  executable.mutable_training()->set_train_steps(1 << 30);
  Process process(getCommand({"--metrics", folder / "m.jsonl"}));
  ASSERT_TRUE(process.waitFor("step          5"));
  kill(process.getPid(), SIGTERM);
  EXPECT_EQ(process.wait(), 0);
  EXPECT_NE(process.getOutput().find("--resume auto goes on from there"), std::string::npos) << process.getOutput();
  size_t steps = readMetrics("m.jsonl").size();
  executable.mutable_training()->set_train_steps(static_cast<int64_t>(steps) + 3);
  ASSERT_EQ(train({"--metrics", folder / "m.jsonl", "--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("goes on after step " + std::to_string(steps) + " from")) << output;
  EXPECT_TRUE(says("done: 3 steps, 192 tokens in "));
}

TEST_F(Resume, TheTimeLimitSaves) {
  executable.mutable_training()->set_train_steps(1 << 30);
  executable.mutable_training()->set_time_limit_seconds(0.2);
  executable.mutable_training()->set_log_interval(1000);
  ASSERT_EQ(train(), 0) << output;
  EXPECT_TRUE(says("saved in '" + checkpoints())) << output;
}

TEST_F(Resume, WithoutACheckpointItStartsFromTheBeginning) {
  ASSERT_EQ(train({"--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("no checkpoint in '" + checkpoints() + "' to go on from")) << output;
  EXPECT_TRUE(says("done: 20 steps"));
  EXPECT_EQ(train({"--resume", folder.str()}), 3);
  EXPECT_EQ(train({"--resume", folder / "nowhere"}), 2);
  EXPECT_TRUE(says("--resume: there is no checkpoint in '" + folder / "nowhere")) << output;
  config().clear_save();
  ASSERT_EQ(train({"--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("this run saves no checkpoints to go on from (save is not set)")) << output;
}

TEST_F(Resume, OfSeveralOnlyTheNewestStay) {
  config().set_interval(1);
  config().set_keep(2);
  ASSERT_EQ(train(), 0) << output;
  EXPECT_EQ(listCheckpoints(), (std::vector<std::string>{"step_00000019", "step_00000020"}));
}

TEST_F(Resume, TheLastCheckpointCanBeSkipped) {
  config().set_interval(8);
  config().set_skip_last(true);
  ASSERT_EQ(train(), 0) << output;
  EXPECT_EQ(listCheckpoints(), (std::vector<std::string>{"step_00000008", "step_00000016"}));
}

//===----------------------------------------------------------------------===//
// What goes wrong
//===----------------------------------------------------------------------===//

TEST_F(Resume, ADiskThatIsFullLosesNothing) {
  trainToEight();
  config().set_interval(10);
  // A limit on the size of files stands for the disk.
  std::vector<std::string> command = {"/bin/bash", "-c", "ulimit -f 300; exec \"$@\"", "bash"};
  for (const std::string &argument : getCommand({"--resume", "auto"}))
    command.push_back(argument);
  Process process(command);
  EXPECT_EQ(process.wait(), 3);
  EXPECT_NE(process.getOutput().find("error: cannot write '" + checkpoints() + "/.step_00000010."), std::string::npos)
      << process.getOutput();
  EXPECT_EQ(listCheckpoints(), (std::vector<std::string>{"step_00000004", "step_00000008"}));
  ASSERT_EQ(train({"--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("goes on after step 8")) << output;
}

TEST_F(Resume, AFolderThatCannotBeWrittenIsFoundBeforeTraining) {
  config().set_save("/proc/self/checkpoints");
  EXPECT_EQ(train({"--metrics", folder / "m.jsonl"}), 3);
  EXPECT_TRUE(says("error: cannot create the folder of checkpoints '/proc/self/checkpoints': ")) << output;
  EXPECT_FALSE(fs::exists(folder / "m.jsonl"));
}

TEST_F(Resume, ADamagedCheckpointIsSkippedByAutoAndRefusedByName) {
  trainToEight();
  std::string bytes = readFile(getShard("step_00000008"));
  for (bool truncated : {false, true}) {
    std::string damaged = truncated ? bytes.substr(0, bytes.size() / 2) : bytes;
    damaged[damaged.size() / 2] ^= 4;
    writeFile(getShard("step_00000008"), damaged);
    EXPECT_EQ(train({"--resume", checkpoints() + "/step_00000008"}), 3);
    EXPECT_TRUE(says("error: '" + getShard("step_00000008") + "' ")) << output;
    ASSERT_EQ(train({"--resume", "auto"}), 0) << output;
    EXPECT_TRUE(says("step_00000008' is not used: ") && says("goes on after step 4 ")) << output;
    // As it was before.
    for (const std::string &name : listCheckpoints())
      if (name != "step_00000004" && name != "step_00000008")
        fs::remove_all(checkpoints() + "/" + name);
  }
}

TEST_F(Resume, ACheckpointOfAnotherModelIsRefusedWithAList) {
  trainToEight();
  executable.mutable_variables(0)->set_name("other");
  executable.mutable_settings(0)->set_value("512");
  EXPECT_EQ(train({"--resume", "auto"}), 3);
  EXPECT_TRUE(says("step_00000008' is of another model:\n  other of F32[256x256] is missing\n  table of F32[256x256] is "
                   "unknown here\n  model.width is 256 instead of 512\n"))
      << output;
}

TEST_F(Resume, ADifferenceInTrainingIsAWarning) {
  trainToEight();
  executable.mutable_settings(1)->set_value("0.25");
  ASSERT_EQ(train({"--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("optimizer.learning_rate is 0.5 instead of 0.25")) << output;
  EXPECT_FALSE(says("data.training_tokens"));
}

//===----------------------------------------------------------------------===//
// load, finetune and what belongs to them
//===----------------------------------------------------------------------===//

TEST_F(Resume, LoadTakesAFolderOrOneCheckpoint) {
  trainToEight();
  config().set_save("");
  config().set_load(checkpoints());
  ASSERT_EQ(train(), 0) << output;
  EXPECT_TRUE(says("goes on after step 8 ")) << output;
  config().set_load_step(4);
  ASSERT_EQ(train(), 0) << output;
  EXPECT_TRUE(says("goes on after step 4 ")) << output;
  config().set_load_step(5);
  ASSERT_EQ(train(), 0) << output;
  EXPECT_TRUE(says("no checkpoint of step 5 in '" + checkpoints())) << output;
  EXPECT_TRUE(says("done: 20 steps"));
  config().set_required(true);
  EXPECT_EQ(train(), 3);
  EXPECT_TRUE(says("exit_on_missing_checkpoint")) << output;
}

TEST_F(Resume, FineTuningBeginsANewRun) {
  trainToEight();
  config().set_save(folder / "tuned");
  config().set_load(checkpoints());
  config().set_finetune(true);
  ASSERT_EQ(train({"--metrics", folder / "tuned.jsonl"}), 0) << output;
  EXPECT_TRUE(says("starts with the parameters of the checkpoint '" + checkpoints() + "/step_00000008'")) << output;
  std::vector<nlohmann::json> before = readMetrics("m.jsonl"), after = readMetrics("tuned.jsonl");
  ASSERT_EQ(after.size(), 20u);
  EXPECT_LT(after[0]["loss"], before[0]["loss"].get<double>() / 1.5);
  // Its own checkpoints are gone on from, though.
  executable.mutable_training()->set_train_steps(22);
  ASSERT_EQ(train({"--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("goes on after step 20 ") && says("done: 2 steps")) << output;
}

TEST_F(Resume, PretrainedStandsInForLoad) {
  trainToEight();
  config().set_load(folder / "none");
  config().set_pretrained(checkpoints());
  ASSERT_EQ(train(), 0) << output;
  EXPECT_TRUE(says("starts with the parameters of")) << output;
  config().set_pretrained(folder / "none");
  EXPECT_EQ(train(), 3);
  EXPECT_TRUE(says("pretrained_checkpoint")) << output;
}

TEST_F(Resume, WithoutTheOptimizersStateItMustBeSaidHow) {
  config().set_parameters_only(true);
  trainToEight();
  EXPECT_EQ(train({"--resume", "auto"}), 3);
  EXPECT_TRUE(says("of step 8 has no optimizer state; no_load_optim: true goes on")) << output;
  config().set_fresh_optimizer(true);
  ASSERT_EQ(train({"--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says("goes on after step 8 ")) << output;
}
