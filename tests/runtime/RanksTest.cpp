//===- RanksTest.cpp - primus-train on several ranks ----------------------===//

#include "tests/runtime/MpiRun.h"
#include "tests/runtime/TrainFixture.h"

#include <chrono>
#include <csignal>
#include <random>

using namespace primus;
using namespace primus::test;
using nlohmann::json;

namespace {

class Ranks : public TrainFixture {
protected:
  void useRanks(int ranks) {
    executable = makeRankedBigramExecutable(ranks);
    executable.mutable_training()->add_data_paths(folder / "text.txt");
  }

  /// Runs under mpirun to the end and returns its exit code.
  int trainMpi(int ranks, std::vector<std::string> options = {}) {
    Process process(withMpirun(ranks, getCommand(std::move(options))));
    int code = process.wait();
    output = process.getOutput();
    return code;
  }

  /// Rows of a metrics file without what a clock says.
  std::vector<json> readResults(const std::string &name) {
    std::vector<json> rows = readMetrics(name);
    for (json &row : rows) {
      row.erase("step_seconds");
      row.erase("tokens_per_second");
    }
    return rows;
  }
};

} // namespace

TEST_F(Ranks, ThreadsAndProcessesGiveEqualBits) {
  useRanks(3);
  ASSERT_EQ(train({"--metrics", folder / "local.jsonl", "--report", folder / "local.json"}), 0) << output;
  ASSERT_EQ(trainMpi(3, {"--metrics", folder / "mpi.jsonl", "--report", folder / "mpi.json"}), 0) << output;
  std::vector<json> rows = readResults("local.jsonl");
  EXPECT_EQ(rows, readResults("mpi.jsonl"));
  ASSERT_EQ(rows.size(), 20u);
  EXPECT_EQ(rows[0]["tokens"], 3 * 2 * 32);
  EXPECT_LT(rows[19]["loss"].get<double>(), 0.8 * rows[0]["loss"].get<double>());
  EXPECT_TRUE(rows[9].contains("validation_loss"));
  for (const char *name : {"local.json", "mpi.json"}) {
    json report = json::parse(readFile(folder / name));
    EXPECT_EQ(report["allocated_bytes"], report["ranks"][0]["peak_bytes"]);
    EXPECT_EQ(report["ranks"][0]["count"], 3);
    ASSERT_EQ(report["rank_runs"].size(), 3u);
    for (const json &rank : report["rank_runs"])
      EXPECT_EQ(rank["allocated_bytes"], report["allocated_bytes"]);
  }
  // Rank 0 speaks for all.
  EXPECT_EQ(output.find("done: 20 steps"), output.rfind("done: 20 steps"));
  EXPECT_TRUE(says("--- generated")) << output;
}

TEST_F(Ranks, TwoHostsGiveTheSameBitsAsOne) {
  useRanks(4);
  std::vector<std::string> command = {PRIMUS_TWO_HOSTS, "4"};
  for (const std::string &word : getCommand({"--metrics", folder / "hosts.jsonl"}))
    command.push_back(word);
  Process process(command);
  int code = process.wait();
  if (code == 77)
    GTEST_SKIP() << "no network namespaces here";
  ASSERT_EQ(code, 0) << process.getOutput();
  ASSERT_EQ(train({"--metrics", folder / "one.jsonl"}), 0) << output;
  EXPECT_EQ(readResults("hosts.jsonl"), readResults("one.jsonl"));
}

TEST_F(Ranks, TheNumberOfRanksDoesNotChangeTheHeldOutData) {
  std::vector<double> losses;
  for (int ranks : {1, 2, 4}) {
    useRanks(ranks);
    // A model that stays as it is. Its loss depends on what it reads.
    executable.mutable_variables(0)->mutable_initializer()->set_kind("normal");
    executable.mutable_training()->set_learning_rate(0);
    executable.mutable_training()->set_sample_bytes(0);
    // Six sequences, of which four ranks read eight at a time.
    executable.mutable_training()->set_eval_steps(3);
    ASSERT_EQ(train({"--metrics", folder / "m.jsonl"}), 0) << output;
    EXPECT_TRUE(says("(6 held-out sequences of 32 tokens)")) << output;
    losses.push_back(readMetrics("m.jsonl")[9]["validation_loss"]);
  }
  EXPECT_NEAR(losses[1], losses[0], 1e-5);
  EXPECT_NEAR(losses[2], losses[0], 1e-5);
}

TEST_F(Ranks, WhatDoesNotFitIsRefused) {
  useRanks(2);
  EXPECT_EQ(trainMpi(3), 2) << output;
  EXPECT_TRUE(says("is compiled for 2 ranks, but 3 were started (mpirun -n 2)")) << output;
  EXPECT_EQ(trainMpi(2, {"--data", folder / "missing.txt"}), 2) << output;
  // One of the ranks runs another program.
  std::vector<std::string> command = withMpirun(1, getCommand());
  executable.mutable_training()->set_learning_rate(0.1);
  ASSERT_FALSE(runtime::saveExecutable(executable, folder / "other.primus"));
  command.insert(command.end(), {":", "-n", "1", PRIMUS_TRAIN, folder / "other.primus"});
  Process process(command);
  EXPECT_EQ(process.wait(), 2);
  EXPECT_NE(process.getOutput().find("the ranks do not run the same: the program's checksum"), std::string::npos)
      << process.getOutput();
}

/// What is wrong for all ranks is said once, with the exit code that one rank would have.
TEST_F(Ranks, WhatCannotStartIsSaidOnce) {
  useRanks(2);
  auto isOne = [&](const std::string &message) {
    size_t first = output.find(message);
    return first != std::string::npos && first == output.rfind(message);
  };
  std::string nowhere = folder / "nowhere";
  EXPECT_EQ(train({"--resume", nowhere}), 2) << output;
  EXPECT_TRUE(isOne("error: --resume: there is no checkpoint in '" + nowhere + "'")) << output;
  EXPECT_EQ(trainMpi(2, {"--resume", nowhere}), 2) << output;
  EXPECT_TRUE(isOne("error: --resume: there is no checkpoint in '" + nowhere + "'")) << output;
  EXPECT_EQ(train({"--communicator", "mpi"}), 2) << output;
  EXPECT_TRUE(isOne("start the ranks by mpirun -n RANKS")) << output;
  EXPECT_EQ(train({}, {"SLURM_STEP_NUM_TASKS=2"}), 2) << output;
  EXPECT_TRUE(isOne("srun has started 2 processes that cannot reach each other; start them by srun --mpi=pmix")) << output;
  EXPECT_EQ(trainMpi(2, {"--communicator", "local"}), 2) << output;
  EXPECT_TRUE(says("leave the option away")) << output;

  executable.mutable_training()->mutable_checkpoint()->set_save("/dev/null/checkpoints");
  EXPECT_EQ(train(), 3) << output;
  EXPECT_TRUE(isOne("error: rank 0: cannot create the folder of checkpoints '/dev/null/checkpoints'")) << output;
  EXPECT_EQ(trainMpi(2), 3) << output;
  EXPECT_TRUE(isOne("error: rank 0: cannot create the folder of checkpoints '/dev/null/checkpoints'")) << output;
}

TEST_F(Ranks, AFailureOfOneEndsAll) {
  useRanks(3);
  EXPECT_EQ(trainMpi(3, {"--metrics", "/dev/full"}), 3) << output;
  EXPECT_TRUE(says("/dev/full")) << output;
  EXPECT_EQ(train({"--metrics", "/dev/full"}), 3) << output;
  EXPECT_TRUE(says("/dev/full")) << output;
}

TEST_F(Ranks, ASignalStopsAllAfterTheSameStep) {
  useRanks(2);
  executable.mutable_training()->set_train_steps(1000000);
  executable.mutable_training()->set_eval_interval(0);
  Process process(withMpirun(2, {"bash", "-c",
                                 "echo $$ > " + (folder / "pid.") + "$OMPI_COMM_WORLD_RANK; exec " PRIMUS_TRAIN " " +
                                     getCommand()[1] + " --metrics " + (folder / "m.jsonl")}));
  ASSERT_TRUE(process.waitFor("  20/1000000")) << process.getOutput();
  // To one rank, and not the one that logs.
  kill(static_cast<pid_t>(std::stol(readFile(folder / "pid.1"))), SIGTERM);
  EXPECT_EQ(process.wait(), 0) << process.getOutput();
  EXPECT_NE(process.getOutput().find("stopped by SIGTERM after step"), std::string::npos) << process.getOutput();

  Process threads(getCommand());
  ASSERT_TRUE(threads.waitFor("  20/1000000")) << threads.getOutput();
  kill(threads.getPid(), SIGINT);
  EXPECT_EQ(threads.wait(), 0) << threads.getOutput();
  EXPECT_NE(threads.getOutput().find("stopped by SIGINT after step"), std::string::npos) << threads.getOutput();
}

//===----------------------------------------------------------------------===//
// Faults
//===----------------------------------------------------------------------===//

namespace {

/// Random faults of a kind.
class Faults : public Ranks, public testing::WithParamInterface<const char *> {};

} // namespace

TEST_P(Faults, NoSurvivorHangs) {
  std::string kind = GetParam();
  std::mt19937 random(std::hash<std::string>()(kind) % 1000);
  constexpr double timeout = 6, startSeconds = 20; // all start at once, on a machine that may be busy
  // Side by side, as most of the time is spent waiting.
  struct Run {
    std::string fault, rank;
    std::unique_ptr<Process> process;
  };
  std::vector<Run> runs;
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) {
    int ranks = 2 + static_cast<int>(random() % 2), rank = static_cast<int>(random() % static_cast<unsigned>(ranks));
    int step = 1 + static_cast<int>(random() % 20);
    useRanks(ranks);
    std::string path = folder / std::to_string(i) + ".primus";
    ASSERT_FALSE(runtime::saveExecutable(executable, path));
    std::string fault = kind + " " + std::to_string(rank) + " " + std::to_string(step);
    std::vector<std::string> command = withMpirun(ranks, {PRIMUS_TRAIN, path, "--timeout", "6", "--threads", "1"});
    std::vector<std::string> environment = {"PRIMUS_TEST_FAULT=" + fault};
    runs.push_back({fault, std::to_string(rank), std::make_unique<Process>(command, environment)});
  }
  for (Run &run : runs) {
    int code = run.process->wait();
    std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    output = run.process->getOutput();
    EXPECT_NE(code, 0) << run.fault << "\n" << output;
    EXPECT_LT(elapsed.count(), startSeconds + timeout + 5) << run.fault;
    // mpirun's words for a process that has ended, or ours for one that is silent.
    EXPECT_TRUE(says("process rank " + run.rank) || says(",1]," + run.rank + "]") ||
                says("rank " + run.rank + " did not come"))
        << run.fault << "\n" << output;
    if (kind == "stop" || kind == "hang") {
      EXPECT_EQ(code, 3) << run.fault << "\n" << output;
      EXPECT_TRUE(says("rank " + run.rank + " did not come to all_reduce over dp")) << run.fault << "\n" << output;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeded, Faults, testing::Values("kill", "stop", "exit", "hang"),
                         [](const auto &info) { return std::string(info.param); });

TEST_F(Ranks, AHangingThreadIsLost) {
  useRanks(3);
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(train({"--timeout", "1"}, {"PRIMUS_TEST_FAULT=hang 2 5"}), 3) << output;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15)); // start-up on a busy machine included
  EXPECT_TRUE(says("rank 2 did not come to all_reduce over dp within 1 seconds")) << output;
}

TEST_F(Ranks, AHangingThreadOfAPipelineIsLost) {
  executable = makePipelinedBigramExecutable(3);
  executable.mutable_training()->add_data_paths(folder / "text.txt");
  ASSERT_EQ(train(), 0) << output;
  EXPECT_TRUE(says("done: 20 steps")) << output;
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(train({"--timeout", "1"}, {"PRIMUS_TEST_FAULT=hang 1 5"}), 3) << output;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15)); // start-up on a busy machine included
  EXPECT_TRUE(says("rank 1 did not come to")) << output;
  EXPECT_TRUE(says("within 1 seconds")) << output;
}
