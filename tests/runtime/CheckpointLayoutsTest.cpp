//===- CheckpointLayoutsTest.cpp - Saved in one layout, loaded in another -===//

#include "runtime/executable/PipelineRank.h"
#include "tests/runtime/CheckpointFixture.h"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <sys/resource.h>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;
namespace fs = std::filesystem;

namespace {

using CheckpointLayouts = CheckpointFixture;

/// While it exists, no file can be longer. It stands for a full disk.
class FileSizeLimit {
public:
  explicit FileSizeLimit(rlim_t bytes) : handler(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit limit = {bytes, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
  }

private:
  rlimit before;
  void (*handler)(int);
};

} // namespace

static executable::Mesh makeMesh(const std::vector<std::pair<const char *, int64_t>> &axes) {
  executable::Mesh mesh;
  for (auto [name, size] : axes) {
    mesh.add_names(name);
    mesh.add_sizes(size);
  }
  return mesh;
}

/// Shapes of many kinds, and what is not saved.
static std::vector<ModelVariable> makeModel(RandomLayouts &random) {
  std::vector<ModelVariable> model;
  for (int i = 0; i < 6; ++i) {
    std::vector<int64_t> shape = random.makeShape();
    std::string name = "layer." + std::to_string(i);
    model.push_back({name, "parameter", shape});
    model.push_back({name + ".m", "optimizer", shape});
    model.push_back({name + ".gradient", "gradient", shape});
  }
  return model;
}

static executable::Layout makeWhole(const std::vector<int64_t> &shape) {
  executable::Layout layout;
  for (int64_t size : shape) {
    layout.add_global_shape(size);
    layout.add_dims();
  }
  return layout;
}

//===----------------------------------------------------------------------===//
// Who writes what
//===----------------------------------------------------------------------===//

TEST_F(CheckpointLayouts, EveryElementIsWrittenOnce) {
  RandomLayouts random(1);
  for (int round = 0; round < 300; ++round) {
    executable::Mesh mesh = random.makeMesh(48);
    std::vector<ModelVariable> model = makeModel(random);
    // Large enough to be shared by those that have it.
    model.push_back({"large", "parameter", {12, 1 << 17}});
    executable::Executable executable = makeRandomExecutable(random, mesh, model);
    CheckpointIndex index;
    index.tensors = describeShards(executable, /*parametersOnly=*/round % 2);
    EXPECT_EQ(index.tensors.size(), round % 2 ? 7u : 13u);
    for (int64_t rank = 0; rank < executable.world_size(); ++rank)
      index.files.push_back({getShardName(rank, executable.world_size())});
    // The index is refused if slices overlap, lie outside or leave something out.
    Expected<CheckpointIndex> parsed = parseCheckpointIndex(printCheckpointIndex(index));
    ASSERT_TRUE(parsed) << parsed.takeError().getMessage() << executable.mesh().DebugString();
  }
}

TEST_F(CheckpointLayouts, StagesOfAPipelineWriteWhatTheyHaveOnce) {
  RandomLayouts random(3);
  for (int round = 0; round < 100; ++round) {
    executable::Mesh ofStage = random.makeMesh(12);
    ASSERT_EQ(ofStage.names(0), "pp");
    ofStage.mutable_names()->DeleteSubrange(0, 1);
    ofStage.mutable_sizes()->erase(ofStage.sizes().begin());
    executable::Executable executable = makeRandomExecutable(random, ofStage, makeModel(random));
    int places = 2 + round % 3;
    executable::Mesh mesh = makeMesh({{"pp", places}});
    mesh.MergeFrom(executable.mesh());
    *executable.mutable_mesh() = mesh;
    executable.set_world_size(executable.world_size() * places);
    int turn = 0;
    for (int place = 0; place < places; ++place)
      executable.add_pipeline_ranks();
    for (const executable::Variable &variable : executable.variables()) {
      *executable.mutable_pipeline_ranks(turn % places)->add_variables() = variable;
      // As a tied embedding: on two stages.
      if (turn % 5 == 0)
        *executable.mutable_pipeline_ranks((turn + 1) % places)->add_variables() = variable;
      ++turn;
    }
    executable.clear_variables();
    CheckpointIndex index;
    index.tensors = describeShards(executable, /*parametersOnly=*/false);
    EXPECT_EQ(index.tensors.size(), 12u);
    for (int rank = 0; rank < executable.world_size(); ++rank) {
      index.files.push_back({getShardName(rank, executable.world_size())});
      // A rank knows it as well when it has become its place's.
      executable::Executable own = executable;
      int place = getPipelinePlace(own, rank);
      selectPipelineRank(own, place);
      EXPECT_EQ(own.variables_size(), executable.pipeline_ranks(place).variables_size());
      auto describe = [&](const executable::Executable &of) {
        std::string text;
        for (const ShardPart &part : planShard(of, rank, false))
          text += fmt::format("{} {} {},", part.variable->name(), part.begin, part.bytes);
        return text;
      };
      EXPECT_EQ(describe(own), describe(executable)) << rank;
    }
    Expected<CheckpointIndex> parsed = parseCheckpointIndex(printCheckpointIndex(index));
    ASSERT_TRUE(parsed) << parsed.takeError().getMessage() << executable.mesh().DebugString();
  }
}

TEST_F(CheckpointLayouts, ReplicasShareTheWork) {
  executable::Mesh mesh = makeMesh({{"dp", 4}, {"tp", 2}});
  std::vector<ModelVariable> model = {{"large", "parameter", {16, 1 << 18}}};
  Layouts layouts = {makeWhole(model[0].shape)};
  layouts[0].mutable_dims(1)->add_names("tp");
  for (int i = 0; i < 16; ++i) {
    model.push_back({"small." + std::to_string(i), "parameter", {100}});
    layouts.push_back(makeWhole({100}));
  }
  executable::Executable executable = makeExecutable(mesh, model, layouts);
  for (int rank = 0; rank < 8; ++rank) {
    int64_t bytes = 0;
    for (const ShardPart &part : planShard(executable, rank, false))
      bytes += part.bytes;
    EXPECT_EQ(bytes, (int64_t(16) << 20) / 8 + 2 * 400) << rank;
  }
}

//===----------------------------------------------------------------------===//
// From layout to layout
//===----------------------------------------------------------------------===//

TEST_F(CheckpointLayouts, AnyLayoutIsLoadedInAnyOther) {
  RandomLayouts random(2);
  for (int round = 0; round < 20; ++round) {
    std::vector<ModelVariable> model = makeModel(random);
    int64_t step = round + 1;
    executable::Executable saving = makeRandomExecutable(random, random.makeMesh(8), model);
    ASSERT_EQ(save(saving, step), onAll(saving, ""));
    for (int64_t ranks : {8, 3, 1}) {
      executable::Executable loading = makeRandomExecutable(random, random.makeMesh(ranks), model);
      EXPECT_EQ(resume(loading), onAll(loading, std::to_string(step))) << round;
    }
  }
}

TEST_F(CheckpointLayouts, LargeTensorsAreSharedAndComeBack) {
  std::vector<ModelVariable> model = {{"a", "parameter", {1024, 1024}}, {"b", "optimizer", {3, 1 << 19}}};
  Layouts layouts = {makeWhole(model[0].shape), makeWhole(model[1].shape)};
  executable::Executable saving = makeExecutable(makeMesh({{"dp", 3}}), model, layouts);
  ASSERT_EQ(save(saving, 1), onAll(saving, ""));
  layouts[0].mutable_dims(1)->add_names("tp");
  executable::Executable loading = makeExecutable(makeMesh({{"tp", 2}}), model, layouts);
  EXPECT_EQ(resume(loading), onAll(loading, "1"));
}

TEST_F(CheckpointLayouts, AnotherPaddingOfTheVocabularyIsNoOtherModel) {
  // 10 tokens; how many rows there are depends on the ranks that share them.
  auto make = [&](int64_t ranks, int64_t rows, const char *name) {
    std::vector<ModelVariable> model = {{name, "parameter", {rows, 4}}, {name + std::string(".m"), "optimizer", {rows, 4}}};
    Layouts layouts = {makeWhole(model[0].shape), makeWhole(model[1].shape)};
    for (executable::Layout &layout : layouts)
      layout.mutable_dims(0)->add_names("tp");
    return makeExecutable(makeMesh({{"tp", ranks}}), model, layouts);
  };
  executable::Executable narrow = make(2, 12, "embedding.weight"), wide = make(4, 24, "embedding.weight");
  ASSERT_EQ(save(wide, 1), onAll(wide, ""));
  EXPECT_EQ(resume(narrow), onAll(narrow, "1"));
  ASSERT_EQ(save(narrow, 2), onAll(narrow, ""));
  run(wide, [&](Executor &executor, int rank) {
    CheckpointState state;
    ASSERT_FALSE(loadStart(executor, "auto", state));
    // The first two ranks have the twelve rows; of the others, nothing was touched.
    EXPECT_EQ(countWrong(executor, rank), rank < 2 ? 0 : 2 * 6 * 4);
    forEachElement(executor, rank, [&](float &value, float expected) {
      EXPECT_EQ(value, rank < 2 ? expected : 0);
    });
  });
  // Less than the vocabulary, or another tensor, is another model.
  executable::Executable few = make(1, 9, "embedding.weight"), other = make(2, 12, "w"), wider = make(2, 14, "w");
  EXPECT_NE(resume(few)[0].find("embedding.weight is F32[12x4] instead of F32[9x4]"), std::string::npos);
  ASSERT_EQ(save(other, 3), onAll(other, ""));
  EXPECT_NE(resume(wider)[1].find("w is F32[12x4] instead of F32[14x4]"), std::string::npos);
}

/// A step waits for the copy, not for the disk. Prints both.
TEST_F(CheckpointLayouts, AStepWaitsForTheCopyOnly) {
  std::vector<ModelVariable> model = {{"w", "parameter", {64, 1 << 18}}, {"w.m", "optimizer", {64, 1 << 18}}};
  Layouts layouts = {makeWhole(model[0].shape), makeWhole(model[1].shape)};
  for (executable::Layout &layout : layouts)
    layout.mutable_dims(0)->add_names("fsdp");
  executable::Executable executable = makeExecutable(makeMesh({{"fsdp", 2}}), model, layouts);
  using Clock = std::chrono::steady_clock;
  auto getSeconds = [](Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  std::vector<double> ratios;
  run(executable, [&](Executor &executor, int rank) {
    auto saver = CheckpointSaver::create(executor);
    ASSERT_TRUE(saver);
    for (int64_t step = 1; step <= 3; ++step) {
      CheckpointState state;
      state.step = step;
      Clock::time_point begin = Clock::now();
      ASSERT_FALSE((*saver)->save(state));
      double stall = getSeconds(begin);
      ASSERT_FALSE((*saver)->finish());
      double whole = getSeconds(begin);
      if (rank == 0) {
        fmt::print("64 MiB on each of 2 ranks: the step waits {:.3f} s, a synchronous one would wait {:.3f} s\n", stall, whole);
        ratios.push_back(stall / whole);
      }
    }
  });
  // On a busy machine, once is enough.
  EXPECT_LT(std::ranges::min(ratios), 0.5);
}

//===----------------------------------------------------------------------===//
// What goes wrong
//===----------------------------------------------------------------------===//

TEST_F(CheckpointLayouts, AFailureOnOneRankFailsOnAllAndLosesNothing) {
  // One row cannot be shared, and it is rank 1's turn.
  std::vector<ModelVariable> model = {{"small", "parameter", {8}}, {"large", "optimizer", {1, 1 << 18}}};
  executable::Executable executable =
      makeExecutable(makeMesh({{"dp", 3}}), model, {makeWhole(model[0].shape), makeWhole(model[1].shape)});
  ASSERT_EQ(save(executable, 1), onAll(executable, ""));
  {
    FileSizeLimit limit(100000);
    for (const std::string &error : save(executable, 2)) {
      EXPECT_TRUE(error.starts_with("rank 1: cannot write '" + checkpoints() + "/.step_00000002.")) << error;
      EXPECT_TRUE(error.ends_with("/rank-00001-of-00003.safetensors': File too large")) << error;
    }
  }
  EXPECT_EQ(list(), std::vector<std::string>{"step_00000001"});
  EXPECT_EQ(resume(executable), onAll(executable, "1"));
  ASSERT_EQ(save(executable, 2), onAll(executable, ""));
  EXPECT_EQ(resume(executable), onAll(executable, "2"));
}

TEST_F(CheckpointLayouts, TheNextSaveAndEveryPollSayWhatFailed) {
  std::vector<ModelVariable> model = {{"small", "parameter", {8}}, {"large", "parameter", {1, 1 << 18}}};
  executable::Executable executable =
      makeExecutable(makeMesh({{"dp", 2}}), model, {makeWhole(model[0].shape), makeWhole(model[1].shape)});
  FileSizeLimit limit(100000);
  for (bool polls : {true, false})
    run(executable, [&](Executor &executor, int rank) {
      auto saver = CheckpointSaver::create(executor);
      ASSERT_TRUE(saver);
      CheckpointState state;
      state.step = 1;
      EXPECT_FALSE((*saver)->save(state)) << "the copy is all that a step waits for";
      Error error = Error::success();
      while (polls && !error)
        error = (*saver)->poll();
      state.step = 2;
      if (!polls)
        error = (*saver)->save(state);
      ASSERT_TRUE(error);
      EXPECT_TRUE(error.getMessage().starts_with("rank 1: cannot write '")) << error.getMessage();
      EXPECT_FALSE((*saver)->finish()) << "it is said once";
    });
  EXPECT_TRUE(list().empty());
}

TEST_F(CheckpointLayouts, AFolderThatCannotBeWrittenFailsOnAllBeforeTraining) {
  writeFile(checkpoints(), "a file");
  std::vector<ModelVariable> model = {{"w", "parameter", {8}}};
  executable::Executable executable = makeExecutable(makeMesh({{"tp", 2}}), model, {makeWhole({8})});
  run(executable, [&](Executor &executor, int rank) {
    auto saver = CheckpointSaver::create(executor);
    ASSERT_FALSE(saver);
    EXPECT_EQ(saver.takeError().getMessage(),
              "rank 0: cannot create the folder of checkpoints '" + checkpoints() + "': Not a directory");
  });
}

/// Damages one of a checkpoint's files in one of many ways, and says how.
static std::string damage(RandomLayouts &random, const std::string &checkpoint) {
  std::vector<std::string> files;
  for (const auto &entry : fs::directory_iterator(checkpoint))
    files.push_back(entry.path());
  std::ranges::sort(files);
  auto pick = [&] { return files[static_cast<size_t>(random.choose(0, static_cast<int64_t>(files.size()) - 1))]; };
  std::string path = pick(), bytes = readFile(path);
  auto place = static_cast<size_t>(random.choose(0, static_cast<int64_t>(bytes.size()) - 2));
  switch (random.choose(0, 3)) {
  case 0:
    fs::resize_file(path, place);
    return path + " truncated to " + std::to_string(place);
  case 1:
    bytes[place] ^= static_cast<char>(1 << random.choose(0, 7));
    writeFile(path, bytes);
    return path + " changed at " + std::to_string(place);
  case 2:
    fs::remove(path);
    return path + " removed";
  default:
    writeFile(path, bytes + "x");
    return path + " longer";
  }
}

TEST_F(CheckpointLayouts, ATornCheckpointIsNeverLoaded) {
  RandomLayouts random(3);
  for (int round = 0; round < 25; ++round) {
    std::vector<ModelVariable> model = makeModel(random);
    executable::Mesh mesh = random.makeMesh(6);
    executable::Executable saving = makeRandomExecutable(random, mesh, model);
    fs::remove_all(checkpoints());
    ASSERT_EQ(save(saving, 1), onAll(saving, ""));
    ASSERT_EQ(save(saving, 2), onAll(saving, ""));
    std::string torn = checkpoints() + "/step_00000002", how = damage(random, torn);
    executable::Executable loading = makeRandomExecutable(random, random.makeMesh(4), model);
    EXPECT_EQ(resume(loading), onAll(loading, "1")) << how;
    for (const std::string &error : resume(loading, torn))
      EXPECT_NE(error.find("'" + torn + "/"), std::string::npos) << how << ": " << error;
    // The next one is found again.
    ASSERT_EQ(save(loading, 3), onAll(loading, ""));
    EXPECT_EQ(resume(saving), onAll(saving, "3")) << how;
  }
}

TEST_F(CheckpointLayouts, FilesOfAnotherMeshAreRefused) {
  std::vector<ModelVariable> model = {{"w", "parameter", {8, 6}}, {"w.m", "optimizer", {8, 6}}};
  auto make = [&](const char *axis, int dim, int64_t ranks) {
    Layouts layouts = {makeWhole({8, 6}), makeWhole({8, 6})};
    for (executable::Layout &layout : layouts)
      layout.mutable_dims(dim)->add_names(axis);
    return makeExecutable(makeMesh({{axis, ranks}}), model, layouts);
  };
  executable::Executable rows = make("fsdp", 0, 2), columns = make("tp", 1, 2), three = make("tp", 1, 3);
  ASSERT_EQ(save(rows, 1), onAll(rows, ""));
  ASSERT_EQ(save(columns, 2), onAll(columns, ""));
  ASSERT_EQ(save(three, 3), onAll(three, ""));
  std::string valid = readFile(checkpoints() + "/step_00000003/checkpoint.json");
  for (const char *other : {"/step_00000001", "/step_00000002"}) {
    fs::copy_file(checkpoints() + other + "/checkpoint.json", checkpoints() + "/step_00000003/checkpoint.json",
                  fs::copy_options::overwrite_existing);
    EXPECT_NE(resume(rows, checkpoints() + "/step_00000003")[0].find("rank-00000-of-00002.safetensors"), std::string::npos);
  }
  fs::copy_file(checkpoints() + "/step_00000001/checkpoint.json", checkpoints() + "/step_00000002/checkpoint.json",
                fs::copy_options::overwrite_existing);
  EXPECT_NE(resume(rows, checkpoints() + "/step_00000002")[1].find("does not hold the slice of tensor 'w'"),
            std::string::npos);
  writeFile(checkpoints() + "/step_00000003/checkpoint.json", valid);
  EXPECT_EQ(resume(rows), onAll(rows, "3"));
}
