//===- CheckpointFolderTest.cpp - The checkpoints of a run ----------------===//

#include "runtime/checkpoint/CheckpointFolder.h"
#include "runtime/checkpoint/CheckpointWriter.h"
#include "tests/runtime/TinyExecutable.h"

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace primus::runtime;
using namespace primus::test;
namespace fs = std::filesystem;

namespace {

class Checkpoints : public testing::Test {
protected:
  std::string path() const { return folder / "a/b"; }

  /// Saves checkpoints of these steps, as one run.
  void save(const std::vector<int64_t> &steps, int64_t keep = 0, int64_t retainInterval = 0) {
    Expected<CheckpointFolder> opened = CheckpointFolder::openForWriting(path());
    ASSERT_TRUE(opened) << opened.takeError().getMessage();
    for (int64_t step : steps) {
      CheckpointIndex index;
      index.state.step = step;
      Expected<CheckpointDraft> draft = opened->create(std::move(index));
      ASSERT_TRUE(draft);
      std::string written = draft->getPath();
      Expected<CheckpointWriter> writer = CheckpointWriter::create(std::move(*draft));
      ASSERT_TRUE(writer);
      EXPECT_FALSE(fs::exists(written));
      ASSERT_FALSE(writer->finish());
      EXPECT_TRUE(fs::exists(written));
      ASSERT_FALSE(opened->prune(keep, retainInterval));
    }
  }

  std::vector<std::string> list() const {
    std::vector<std::string> names;
    for (const auto &entry : fs::directory_iterator(path()))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }

  /// The path that is found, or "" or the error.
  std::string find(const std::string &where, int64_t step = 0) const {
    Expected<std::optional<Checkpoint>> found = findCheckpoint(where, step);
    if (!found)
      return found.takeError().getMessage();
    return *found ? fs::path((*found)->getPath()).filename().string() : "";
  }

  TemporaryFolder folder;
};

} // namespace

using Names = std::vector<std::string>;

TEST_F(Checkpoints, TheNewestIsFound) {
  EXPECT_EQ(find(path()), "");
  save({2, 4, 6});
  EXPECT_EQ(find(path()), "step_00000006");
  EXPECT_EQ(find(path(), 4), "step_00000004");
  EXPECT_EQ(find(path(), 5), "");
  EXPECT_EQ(find(path() + "/step_00000002"), "step_00000002");
  EXPECT_EQ(find(folder / "nowhere"), "");
}

TEST_F(Checkpoints, TheNewestIsTheOneWrittenLast) {
  save({2, 4, 6});
  save({2, 3});
  EXPECT_EQ(list(), (Names{"step_00000002", "step_00000002-2", "step_00000003", "step_00000004", "step_00000006"}));
  EXPECT_EQ(find(path()), "step_00000003");
  EXPECT_EQ(find(path(), 2), "step_00000002-2");
}

TEST_F(Checkpoints, DamagedOnesAreSkippedByAFolderAndRefusedByName) {
  save({1, 2, 3, 4, 5});
  fs::resize_file(path() + "/step_00000005/rank-00000-of-00001.safetensors", 9);
  fs::resize_file(path() + "/step_00000004/checkpoint.json", 99);
  fs::remove(path() + "/step_00000003/checkpoint.json");
  fs::create_directory(path() + "/step_x");
  EXPECT_EQ(find(path()), "step_00000002");
  EXPECT_NE(find(path() + "/step_00000005").find("step_00000005/rank-00000-of-00001.safetensors' "), std::string::npos);
  EXPECT_NE(find(path() + "/step_00000004").find("step_00000004/checkpoint.json' is not valid JSON"), std::string::npos);
  EXPECT_NE(find(path() + "/step_00000003").find("cannot open"), std::string::npos);
  // The steps that come again get names of their own.
  save({3});
  EXPECT_EQ(find(path()), "step_00000003-2");
}

TEST_F(Checkpoints, OldOnesGo) {
  save({1, 2, 3, 4, 5, 6, 7}, /*keep=*/2);
  EXPECT_EQ(list(), (Names{"step_00000006", "step_00000007"}));
  save({8, 9, 10, 11}, /*keep=*/1, /*retainInterval=*/5);
  EXPECT_EQ(list(), (Names{"step_00000010", "step_00000011"}));
  save({12, 13}, /*keep=*/0, /*retainInterval=*/10);
  EXPECT_EQ(list(), (Names{"step_00000010", "step_00000013"}));
  save({14, 15});
  EXPECT_EQ(list().size(), 4u);
}

TEST_F(Checkpoints, WhatAKilledRunLeavesGoes) {
  save({1});
  fs::create_directories(path() + "/.step_00000002.999999999.tmp/x");
  fs::create_directories(path() + "/.step_00000002." + std::to_string(getppid()) + ".tmp");
  fs::create_directories(path() + "/mine");
  // A process that has ended, and that nobody has asked about yet.
  pid_t child = fork();
  if (child == 0)
    _exit(0);
  siginfo_t status;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &status, WEXITED | WNOWAIT), 0);
  fs::create_directories(path() + "/.step_00000002." + std::to_string(child) + ".tmp");
  save({2});
  waitpid(child, nullptr, 0);
  // That of a process that lives stays.
  EXPECT_EQ(list(), (Names{".step_00000002." + std::to_string(getppid()) + ".tmp", "mine", "step_00000001",
                           "step_00000002"}));
}

TEST_F(Checkpoints, AFolderThatCannotBeWrittenIsAnError) {
  writeFile(folder / "a", "a file");
  Expected<CheckpointFolder> below = CheckpointFolder::openForWriting(path());
  ASSERT_FALSE(below);
  EXPECT_EQ(below.takeError().getMessage(),
            "cannot create the folder of checkpoints '" + path() + "': Not a directory");
  // Even root cannot write there.
  Expected<CheckpointFolder> system = CheckpointFolder::openForWriting("/proc/self");
  ASSERT_FALSE(system);
  EXPECT_NE(system.takeError().getMessage().find("cannot write checkpoints to '/proc/self': "), std::string::npos);
}
