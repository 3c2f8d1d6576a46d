//===- RanksResumeTest.cpp - Several ranks that stop, die and go on -------===//

#include "tests/runtime/ResumeFixture.h"

#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <random>
#include <thread>
#include <unistd.h>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;
namespace fs = std::filesystem;

namespace {

class RanksResume : public ResumeFixture {
protected:
  void SetUp() override {
    ResumeFixture::SetUp();
    executable.mutable_training()->set_train_steps(60);
    executable.mutable_training()->set_sample_bytes(0);
    executable.mutable_training()->set_log_interval(1000);
    ASSERT_EQ(train({"--metrics", folder / "whole.jsonl"}), 0) << output;
    expected = getResult("whole.jsonl");
    fs::remove_all(checkpoints());
  }

  /// Starts lives of 2, 3 and 1 ranks in turn, and kills each while it writes a checkpoint: all of it, or with mpirun one
  /// of the ranks. Then one more life ends the run.
  void killAgainAndAgain(int lives, bool usesMpi) {
    config().set_interval(1);
    config().set_keep(3);
    std::mt19937 random(20);
    int64_t step = 0;
    for (int life = 0; life < lives; ++life) {
      int64_t ranks = std::vector<int64_t>{2, 3, 1}[static_cast<size_t>(life % 3)];
      setRanks(ranks);
      Process process(getLife(ranks, usesMpi));
      step += 1 + static_cast<int64_t>(random() % 3);
      bool hasSaved = process.waitFor(fmt::format("step {}  saved in", step));
      ASSERT_TRUE(hasSaved) << process.getOutput();
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 10000));
      std::vector<pid_t> victims = usesMpi && ranks > 1 ? findRanks(process.getPid()) : std::vector{process.getPid()};
      ASSERT_FALSE(victims.empty());
      kill(victims[random() % victims.size()], SIGKILL);
      EXPECT_NE(process.wait(), 0) << process.getOutput();
      // Later ones may have been finished in that time.
      step = std::max(step, findNewest());
      ASSERT_LT(step, 50) << "the run must not end before it is killed";
    }
    setRanks(2);
    ASSERT_EQ(train({"--metrics", folder / "parts.jsonl", "--resume", "auto"}), 0) << output;
    EXPECT_EQ(getResult("parts.jsonl"), expected);
    EXPECT_EQ(listCheckpoints(), (std::vector<std::string>{"step_00000058", "step_00000059", "step_00000060"}));
  }

  std::string expected;

private:
  std::vector<std::string> getLife(int64_t ranks, bool usesMpi) {
    std::vector<std::string> command = getCommand({"--metrics", folder / "parts.jsonl", "--resume", "auto"});
    if (usesMpi && ranks > 1) {
      std::vector<std::string> launcher = {"/usr/bin/env", "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", std::to_string(ranks)};
      command.insert(command.begin(), launcher.begin(), launcher.end());
    }
    return command;
  }

  /// The processes of primus-train that mpirun has started.
  static std::vector<pid_t> findRanks(pid_t launcher) {
    std::vector<pid_t> ranks;
    for (const auto &task : fs::directory_iterator(fmt::format("/proc/{}/task", launcher))) {
      std::ifstream children(task.path() / "children");
      for (pid_t child; children >> child;)
        ranks.push_back(child);
    }
    return ranks;
  }

  int64_t findNewest() const {
    int64_t newest = 0;
    for (const std::string &name : listCheckpoints())
      if (name.starts_with("step_"))
        newest = std::max<int64_t>(newest, std::stoll(name.substr(5)));
    return newest;
  }
};

} // namespace

TEST_F(RanksResume, FewerAndMoreGoOnToTheLastBit) {
  executable.mutable_training()->set_exit_interval(20);
  for (int64_t ranks : {3, 1, 4}) {
    setRanks(ranks);
    ASSERT_EQ(train({"--metrics", folder / "parts.jsonl", "--resume", "auto"}), 0) << output;
  }
  EXPECT_TRUE(says("goes on after step 40 from") && says(", which 1 ranks have written")) << output;
  EXPECT_EQ(getResult("parts.jsonl"), expected);
}

TEST_F(RanksResume, ASignalSavesOnce) {
  executable.mutable_training()->set_train_steps(1 << 30);
  executable.mutable_training()->set_log_interval(1);
  setRanks(3);
  Process process(getCommand({"--metrics", folder / "m.jsonl"}));
  ASSERT_TRUE(process.waitFor("step          5"));
  kill(process.getPid(), SIGTERM);
  EXPECT_EQ(process.wait(), 0);
  EXPECT_NE(process.getOutput().find("--resume auto goes on from there"), std::string::npos) << process.getOutput();
  size_t steps = readMetrics("m.jsonl").size();
  executable.mutable_training()->set_train_steps(static_cast<int64_t>(steps) + 3);
  setRanks(1);
  ASSERT_EQ(train({"--metrics", folder / "m.jsonl", "--resume", "auto"}), 0) << output;
  EXPECT_TRUE(says(fmt::format("goes on after step {} from", steps))) << output;
}

TEST_F(RanksResume, AFullDiskOfOneEndsAllAndLosesNothing) {
  // Of the three variables, rank 0 writes two.
  int64_t arena = executable.memory().arena();
  executable::Variable &variable = *executable.add_variables();
  variable = executable.variables(1);
  variable.set_name("table.v");
  variable.set_offset(arena);
  executable.mutable_memory()->set_arena(arena + 256 * 256 * 4);
  executable.mutable_memory()->set_activations(arena + 256 * 256 * 4);
  setRanks(2);
  config().set_interval(20);
  executable.mutable_training()->set_exit_interval(20);
  ASSERT_EQ(train(), 0) << output;
  executable.mutable_training()->set_exit_interval(0);

  std::vector<std::string> command = {"/bin/bash", "-c", "ulimit -f 300; exec \"$@\"", "bash"};
  for (const std::string &argument : getCommand({"--resume", "auto"}))
    command.push_back(argument);
  Process process(command);
  EXPECT_EQ(process.wait(), 3);
  EXPECT_NE(process.getOutput().find("rank 0: cannot write '" + checkpoints() + "/.step_00000040."),
            std::string::npos)
      << process.getOutput();
  EXPECT_EQ(listCheckpoints(), std::vector<std::string>{"step_00000020"});
}

TEST_F(RanksResume, KilledThreadsLoseNothing) { killAgainAndAgain(12, /*usesMpi=*/false); }

TEST_F(RanksResume, KilledProcessesLoseNothing) { killAgainAndAgain(3, /*usesMpi=*/true); }
