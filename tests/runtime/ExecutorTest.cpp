//===- ExecutorTest.cpp - Programs run as they are written ----------------===//

#include "runtime/communicators/local/LocalCommunicator.h"
#include "runtime/executor/Executor.h"
#include "runtime/init/Initializer.h"
#include "tests/runtime/TestDevice.h"
#include "tests/runtime/TinyExecutable.h"

#include <gtest/gtest.h>
#include <numeric>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;

static std::unique_ptr<Executor> load(executable::Executable executable, int threads = 2) {
  std::unique_ptr<Device> device = createTestDevice(executable.target(), threads);
  Expected<std::unique_ptr<Executor>> executor = Executor::create(std::move(executable), std::move(device));
  if (!executor) {
    ADD_FAILURE() << executor.takeError().getMessage();
    return nullptr;
  }
  return std::move(*executor);
}

static std::vector<float> read(Executor &executor, const Tensor &tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.bytes) / sizeof(float));
  EXPECT_FALSE(executor.read(tensor, values.data()));
  return values;
}

/// For each of 4 slices of x: y = 4 x through scratch, and sum += y. Then y[slice 0] = x[slice 3], and slice 1 of y is
/// cleared.
static executable::Executable makeLoopExecutable(int64_t size, const std::string &target = "cpu") {
  ExecutableBuilder builder(target);
  int64_t bytes = size * 4;
  executable::TensorType vector = makeType(executable::F32, {size});
  int twice = builder.addKernel("test_double", {size}, {vector, vector});
  int accumulate = builder.addKernel("test_accumulate", {size}, {vector, vector});
  executable::Function &function = builder.addFunction("quadruple", 2, bytes);
  addLaunch(*function.mutable_actions(), twice, {inArgument(0), inScratch(0)});
  addLaunch(*function.mutable_actions(), twice, {inScratch(0), inArgument(1)});
  int64_t sum = builder.addVariable("sum", {size}, "constant", 0.5);
  executable::Program &program = builder.addProgram("main");
  int64_t x = builder.addInput(program, "x", executable::F32, {4, size});
  int64_t y = builder.addOutput(program, "y", executable::F32, {4, size});
  executable::Loop &loop = *program.add_actions()->mutable_loop();
  loop.set_count(4);
  executable::Call &call = *loop.add_body()->mutable_call();
  *call.add_arguments() = inArena(x, bytes);
  *call.add_arguments() = inArena(y, bytes);
  *call.mutable_scratch() = inArena(builder.allocate(bytes));
  addLaunch(*loop.mutable_body(), accumulate, {inArena(y, bytes), inArena(sum)});
  executable::Copy &copy = *program.add_actions()->mutable_copy();
  *copy.mutable_source() = inArena(x + 3 * bytes);
  *copy.mutable_target() = inArena(y);
  copy.set_bytes(bytes);
  executable::Fill &fill = *program.add_actions()->mutable_fill();
  *fill.mutable_target() = inArena(y + bytes);
  fill.set_bytes(bytes);
  return builder.finish();
}

class ExecutorOnDevices : public OnDevices {};
INSTANTIATE_TEST_SUITE_P(Devices, ExecutorOnDevices, testing::Values("cpu", "gfx942", "gfx950"),
                         [](const auto &info) { return info.param; });

TEST_P(ExecutorOnDevices, CallsLoopsCopiesAndFills) {
  // Odd, and large: copies and fills of several pieces. (An emulated wave for each element takes its time.)
  for (int64_t size : {int64_t(1), int64_t(7), int64_t(isGpu() ? 1003 : 100003)}) {
    std::unique_ptr<Executor> executor = load(makeLoopExecutable(size, GetParam()));
    ASSERT_TRUE(executor);
    ASSERT_FALSE(executor->initializeVariables(/*seed=*/1));
    int program = executor->findProgram("main");
    Expected<Tensor> x = executor->findInput(program, "x", executable::F32, {4, size});
    Expected<Tensor> y = executor->findOutput(program, "y", executable::F32, {4, size});
    Expected<Tensor> sum = executor->findVariable("sum");
    ASSERT_TRUE(x && y && sum);
    auto n = static_cast<size_t>(size);
    std::vector<float> input(4 * n);
    std::iota(input.begin(), input.end(), 1.0f);
    ASSERT_FALSE(executor->write(*x, input.data()));
    ASSERT_FALSE(executor->run(program));
    ASSERT_FALSE(executor->run(program));
    std::vector<float> output = read(*executor, *y), total = read(*executor, *sum);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(output[i], input[3 * n + i]);
      ASSERT_EQ(output[n + i], 0);
      ASSERT_EQ(output[2 * n + i], 4 * input[2 * n + i]);
      ASSERT_EQ(output[3 * n + i], 4 * input[3 * n + i]);
      float expected = 0.5f;
      for (size_t run = 0; run < 2; ++run)
        for (size_t slice = 0; slice < 4; ++slice)
          expected += 4 * input[slice * n + i];
      ASSERT_EQ(total[i], expected);
    }
  }
}

TEST(Executor, AnyNumberOfThreadsGivesTheSameBits) {
  std::vector<float> expected;
  for (int threads : {1, 2, 3, 8}) {
    std::unique_ptr<Executor> executor = load(makeLoopExecutable(4097), threads);
    ASSERT_TRUE(executor);
    ASSERT_FALSE(executor->initializeVariables(1));
    Expected<Tensor> x = executor->findInput(0, "x", executable::F32, {4, 4097});
    std::vector<float> input(4 * 4097);
    for (size_t i = 0; i < input.size(); ++i)
      input[i] = 1.0f / static_cast<float>(i + 3);
    ASSERT_FALSE(executor->write(*x, input.data()));
    for (int run = 0; run < 10; ++run)
      ASSERT_FALSE(executor->run(0));
    std::vector<float> sum = read(*executor, *executor->findVariable("sum"));
    if (expected.empty())
      expected = sum;
    EXPECT_EQ(sum, expected) << threads << " threads";
  }
}

TEST_P(ExecutorOnDevices, AllocatesTheArenaAndNothingElse) {
  executable::Executable executable = makeLoopExecutable(1000, GetParam());
  int64_t arena = executable.memory().arena();
  std::unique_ptr<Executor> executor = load(executable);
  ASSERT_TRUE(executor);
  EXPECT_EQ(executor->getAllocatedBytes(), arena);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(executor->getArena()) % 64, 0u);
}

TEST(Executor, TwoExecutablesAtOnce) {
  // The second has other code under the same symbols' names: each must find its own.
  std::unique_ptr<Executor> first = load(makeBigramExecutable());
  executable::Executable other = makeBigramExecutable();
  other.set_code(readFile(PRIMUS_ALLOCATION_COUNTER));
  other.clear_programs();
  other.clear_kernels();
  int kernel = other.kernels_size();
  other.add_kernels()->set_symbol("test_double");
  EXPECT_EQ(kernel, 0);
  Expected<std::unique_ptr<Executor>> second = Executor::create(other, createTestDevice("cpu"));
  ASSERT_FALSE(second);
  EXPECT_NE(second.takeError().getMessage().find("no symbol 'test_double'"), std::string::npos);
}

TEST_P(ExecutorOnDevices, PortsAreChecked) {
  std::unique_ptr<Executor> executor = load(makeBigramExecutable(GetParam()));
  ASSERT_TRUE(executor);
  int program = executor->findProgram("forward");
  Expected<Tensor> tensor = executor->findInput(program, "tokens", executable::I32, {2, 33});
  ASSERT_FALSE(tensor);
  EXPECT_EQ(tensor.takeError().getMessage(), "program 'forward': input 'tokens' is i32[2x32], not i32[2x33]");
  Expected<Tensor> missing = executor->findOutput(program, "tokens", executable::I32, {2, 32});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.takeError().getMessage(), "program 'forward' has no output 'tokens'");
  EXPECT_EQ(executor->findProgram("backward"), -1);
}

TEST_P(ExecutorOnDevices, UnknownInitializersAreErrors) {
  executable::Executable executable = makeBigramExecutable(GetParam());
  executable.mutable_variables(0)->mutable_initializer()->set_kind("chaos");
  std::unique_ptr<Executor> executor = load(executable);
  ASSERT_TRUE(executor);
  Error error = executor->initializeVariables(1);
  ASSERT_TRUE(error);
  EXPECT_NE(error.getMessage().find("variable 'table'"), std::string::npos) << error.getMessage();
}

TEST_P(ExecutorOnDevices, OverlappingCopiesAreRefused) {
  executable::Executable executable = makeLoopExecutable(100, GetParam());
  executable::Copy &copy = *executable.mutable_programs(0)->mutable_actions(1)->mutable_copy();
  copy.mutable_target()->set_offset(copy.source().offset() - 8);
  Expected<std::unique_ptr<Executor>> executor = Executor::create(executable, createTestDevice(GetParam()));
  ASSERT_FALSE(executor);
  EXPECT_NE(executor.takeError().getMessage().find("overlap"), std::string::npos);
}

TEST_P(ExecutorOnDevices, TooLargeAnArenaIsAnError) {
  executable::Executable executable = makeBigramExecutable(GetParam());
  executable.mutable_memory()->set_arena(int64_t(1) << 45);
  Expected<std::unique_ptr<Executor>> executor = Executor::create(executable, createTestDevice(GetParam()));
  ASSERT_FALSE(executor);
  Error error = executor.takeError();
  EXPECT_EQ(error.getExitCode(), 3);
  EXPECT_NE(error.getMessage().find("out of memory"), std::string::npos);
}

TEST_P(ExecutorOnDevices, RanksHaveTheirPartsOfTheFirstValues) {
  ExecutableBuilder builder(GetParam());
  setMesh(builder.result, {{"a", 2}, {"b", 3}});
  builder.addVariable("w", {4, 5}, "normal");
  executable::Variable &weight = *builder.result.mutable_variables(0);
  setLayout(builder.result, weight.type(), *weight.mutable_layout(), {{"b"}, {"a"}});
  builder.addVariable("index", {}, "axis_index");
  executable::Variable &index = *builder.result.mutable_variables(1);
  *index.mutable_type() = makeType(executable::I32, {});
  for (const char *axis : {"b", "a"})
    index.mutable_initializer()->add_axes(axis);
  executable::Executable executable = builder.finish();

  std::vector<int64_t> shape = {12, 10};
  std::vector<float> whole(120), part(20);
  InitializerSpec spec;
  spec.kind = "normal";
  ASSERT_FALSE(initialize(spec, shape, /*seed=*/9, 0, 120, whole.data()));
  std::vector<std::unique_ptr<Communicator>> communicators = createLocalCommunicators(6, {});
  for (int rank = 0; rank < 6; ++rank) {
    auto created = Executor::create(executable, createTestDevice(GetParam()), communicators[static_cast<size_t>(rank)].get());
    ASSERT_TRUE(created);
    Executor &executor = **created;
    ASSERT_FALSE(executor.initializeVariables(9));
    int a = rank / 3, b = rank % 3, place = -1;
    ASSERT_FALSE(executor.read(*executor.findVariable("index"), &place));
    EXPECT_EQ(place, b * 2 + a);
    ASSERT_FALSE(executor.read(*executor.findVariable("w"), part.data()));
    for (int i = 0; i < 20; ++i)
      ASSERT_EQ(part[static_cast<size_t>(i)], whole[static_cast<size_t>((b * 4 + i / 5) * 10 + a * 5 + i % 5)]);
  }
}

TEST_P(ExecutorOnDevices, OverlappingCollectivesAreRefused) {
  ExecutableBuilder builder(GetParam());
  setMesh(builder.result, {{"a", 1}});
  executable::Program &program = builder.addProgram("main");
  int64_t offset = builder.allocate(64);
  addPart(addCollective(*program.mutable_actions(), "all_gather", {"a"}), {4}, inArena(offset), inArena(offset + 8));
  auto created = Executor::create(builder.finish(), createTestDevice(GetParam()));
  ASSERT_FALSE(created);
  EXPECT_NE(created.takeError().getMessage().find("source at offset 0 and target at offset 8 overlap"), std::string::npos);
}
