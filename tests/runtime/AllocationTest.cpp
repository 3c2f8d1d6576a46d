//===- AllocationTest.cpp - A step allocates nothing ----------------------===//
//
// Counted from outside the program: the test runs itself again with a library preloaded that counts every call of malloc
// and its relatives and of mmap, in every thread.
//
//===----------------------------------------------------------------------===//

#include "runtime/devices/cpu/CpuDevice.h"
#include "runtime/train/Trainer.h"
#include "tests/runtime/Process.h"
#include "tests/runtime/TinyExecutable.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <gtest/gtest.h>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;

/// The counter of the preloaded library, or null without it.
static int64_t (*getCounter())() {
  return reinterpret_cast<int64_t (*)()>(dlsym(RTLD_DEFAULT, "primus_count_allocations"));
}

/// Runs inside the process with the counter.
static void countSteps(int64_t (*count)()) {
  int64_t before = count();
  void *volatile allocated = std::malloc(1);
  std::free(allocated);
  ASSERT_GT(count(), before) << "the counter does not count";

  TemporaryFolder folder;
  writeFile(folder / "text.txt", std::string(5000, 'x') + std::string(5000, 'y'));
  DataConfig config;
  config.kind = "text";
  config.paths = {folder / "text.txt"};
  config.split = "90,10,0";
  config.sequenceLength = 32;
  config.vocabulary = 256;
  config.needsValidation = true;
  std::string field;
  Expected<DataSet> data = openData(config, field);
  ASSERT_TRUE(data);
  Expected<std::unique_ptr<Executor>> executor = Executor::create(makeBigramExecutable(), createCpuDevice(2));
  ASSERT_TRUE(executor);
  ASSERT_FALSE((*executor)->initializeVariables(1));
  Expected<std::unique_ptr<Trainer>> trainer = Trainer::create(**executor, *data, nullptr);
  ASSERT_TRUE(trainer);

  // From the very first step on: reading samples, writing inputs, running, reading results.
  StepMetrics metrics;
  before = count();
  bool failed = false;
  for (int i = 0; i < 100 && !failed; ++i)
    failed = static_cast<bool>((*trainer)->runStep(metrics));
  EXPECT_EQ(count() - before, 0);
  EXPECT_FALSE(failed);
  EXPECT_EQ(metrics.step, 100);
}

TEST(Allocation, StepsAllocateNothing) {
  if (int64_t (*count)() = getCounter())
    return countSteps(count);
  std::string self = std::filesystem::read_symlink("/proc/self/exe");
  Process process({self, "--gtest_filter=Allocation.StepsAllocateNothing"}, {"LD_PRELOAD=" PRIMUS_ALLOCATION_COUNTER});
  EXPECT_EQ(process.wait(), 0) << process.getOutput();
  EXPECT_NE(process.getOutput().find("[  PASSED  ] 1 test"), std::string::npos) << process.getOutput();
}
