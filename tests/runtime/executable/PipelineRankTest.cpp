//===- PipelineRankTest.cpp - Executables whose ranks run different programs ===//

#include "runtime/executable/PipelineRank.h"

#include "runtime/communicators/local/LocalCommunicator.h"
#include "runtime/devices/cpu/CpuDevice.h"
#include "runtime/executable/Validation.h"
#include "runtime/executor/Executor.h"
#include "tests/runtime/TinyExecutable.h"

#include <functional>
#include <gtest/gtest.h>
#include <thread>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;
using executable::Executable;

/// Two places with two ranks each: the first sends its variable, and the second receives it in its output.
static Executable makePipeline() {
  ExecutableBuilder builder;
  executable::Program &step = builder.addProgram("step");
  int64_t x = builder.addVariable("x", {4}, "zeros");
  int64_t y = builder.addOutput(step, "y", executable::F32, {4});
  Executable executable = builder.finish();
  setMesh(executable, {{"pp", 2}, {"dp", 2}});
  for (int place = 0; place < 2; ++place) {
    executable::PipelineRank &rank = *executable.add_pipeline_ranks();
    *rank.mutable_programs() = executable.programs();
    *rank.mutable_variables() = executable.variables();
    *rank.mutable_memory() = executable.memory();
    executable::Collective &message = *rank.mutable_programs(0)->add_actions()->mutable_collective();
    message.set_kind(place == 0 ? "send" : "receive");
    message.add_axes("pp");
    message.set_peer(1 - place);
    message.set_data_type(executable::F32);
    executable::Part &part = *message.add_parts();
    part.add_shape(4);
    *(place == 0 ? part.mutable_source() : part.mutable_target()) = inArena(place == 0 ? x : y);
  }
  executable.clear_programs();
  executable.clear_variables();
  executable.clear_memory();
  return executable;
}

/// Runs one rank, whose variable is its number, and returns its output.
static std::vector<float> runRank(Communicator &communicator) {
  Expected<std::unique_ptr<Executor>> executor = Executor::create(makePipeline(), createCpuDevice(1), &communicator);
  EXPECT_TRUE(executor) << executor.takeError().getMessage();
  int program = (*executor)->findProgram("step");
  Expected<Tensor> x = (*executor)->findVariable("x"), y = (*executor)->findOutput(program, "y", executable::F32, {4});
  std::vector<float> values(4, static_cast<float>(communicator.getRank()));
  EXPECT_FALSE((*executor)->write(*x, values.data()));
  Error error = (*executor)->run(program);
  EXPECT_FALSE(error) << error.getMessage();
  EXPECT_FALSE((*executor)->read(*y, values.data()));
  EXPECT_FALSE(communicator.barrier());
  return values;
}

TEST(PipelineRank, EachRankRunsTheProgramOfItsPlace) {
  auto communicators = createLocalCommunicators(4, {});
  std::vector<std::vector<float>> outputs(4);
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < 4; ++rank)
    threads.emplace_back([&, rank] { outputs[rank] = runRank(*communicators[rank]); });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(outputs[2], std::vector<float>(4, 0));
  EXPECT_EQ(outputs[3], std::vector<float>(4, 1));
}

TEST(PipelineRank, IsSelectedFromAll) {
  Executable executable = makePipeline();
  for (int rank = 0; rank < 4; ++rank)
    EXPECT_EQ(getPipelinePlace(executable, rank), rank / 2);
  selectPipelineRank(executable, 1);
  ASSERT_EQ(executable.programs_size(), 1);
  EXPECT_EQ(executable.programs(0).actions(0).collective().kind(), "receive");
  EXPECT_EQ(executable.variables_size(), 1);
  // Checkpoints need the variables of all.
  EXPECT_EQ(executable.pipeline_ranks(0).variables_size(), 1);
  EXPECT_EQ(executable.pipeline_ranks(0).programs_size(), 0);
}

TEST(PipelineRank, DamageIsRefused) {
  auto message = [](Executable &e, int place) -> executable::Collective & {
    return *e.mutable_pipeline_ranks(place)->mutable_programs(0)->mutable_actions(0)->mutable_collective();
  };
  struct {
    std::function<void(Executable &)> apply;
    const char *message;
  } damages[] = {
      {[](Executable &e) { e.mutable_pipeline_ranks()->RemoveLast(); }, "1 pipeline ranks, but the mesh"},
      {[](Executable &e) { e.mutable_mesh()->set_names(0, "tp"); }, "the mesh has no axis 'pp'"},
      {[](Executable &e) { *e.add_variables() = e.pipeline_ranks(0).variables(0); }, "beside those of pipeline ranks"},
      {[](Executable &e) { e.mutable_pipeline_ranks(1)->mutable_memory()->set_arena(-1); }, "pipeline_ranks[1]: memory"},
      {[&](Executable &e) { message(e, 0).set_peer(2); }, "send: the peer 2 in a group of 2"},
      {[&](Executable &e) { *message(e, 0).mutable_parts(0)->mutable_target() = inArena(0); }, "a side that the message does not have"},
      {[&](Executable &e) { message(e, 1).mutable_parts(0)->mutable_target()->set_offset(1 << 20); }, "target: "},
  };
  EXPECT_FALSE(validateExecutable(makePipeline()));
  for (const auto &damage : damages) {
    Executable executable = makePipeline();
    damage.apply(executable);
    Error error = validateExecutable(executable);
    ASSERT_TRUE(error) << damage.message;
    EXPECT_NE(error.getMessage().find(damage.message), std::string::npos) << error.getMessage();
  }
}
