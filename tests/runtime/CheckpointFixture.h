//===- CheckpointFixture.h - Runs of several ranks that only save and load ===//

#ifndef PRIMUS_TESTS_RUNTIME_CHECKPOINTFIXTURE_H
#define PRIMUS_TESTS_RUNTIME_CHECKPOINTFIXTURE_H

#include "runtime/communicators/local/LocalCommunicator.h"
#include "runtime/devices/cpu/CpuDevice.h"
#include "runtime/support/Logging.h"
#include "runtime/train/CheckpointSaver.h"
#include "runtime/train/Resume.h"
#include "tests/runtime/RandomLayouts.h"
#include "tests/runtime/TinyExecutable.h"

#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <thread>

namespace primus::test {

/// A variable of a model, whatever its layout.
struct ModelVariable {
  std::string name;
  std::string role;
  std::vector<int64_t> shape;
};

/// Ranks are threads. Every element of every variable has a value of its own, by which it is known again.
class CheckpointFixture : public testing::Test {
protected:
  void SetUp() override {
    runtime::LogConfig silent;
    silent.stderrSinkLevel = "CRITICAL";
    ASSERT_FALSE(runtime::setUpLogging(silent));
  }
  void TearDown() override { EXPECT_FALSE(runtime::setUpLogging({})); }

  using Layouts = std::vector<executable::Layout>;

  /// An executable without programs, that saves in `checkpoints()`. One layout per variable.
  executable::Executable makeExecutable(const executable::Mesh &mesh, const std::vector<ModelVariable> &variables,
                                        const Layouts &layouts) const {
    ExecutableBuilder builder;
    *builder.result.mutable_mesh() = mesh;
    builder.result.set_world_size(runtime::RankMesh(mesh).getNumRanks());
    for (size_t i = 0; i < variables.size(); ++i) {
      builder.addVariable(variables[i].name, getPartShape(mesh, layouts[i]), "zeros");
      executable::Variable &variable = *builder.result.mutable_variables()->rbegin();
      variable.set_role(variables[i].role);
      *variable.mutable_layout() = layouts[i];
    }
    builder.result.mutable_training()->set_vocabulary(10);
    builder.result.mutable_training()->mutable_checkpoint()->set_save(checkpoints());
    builder.finish().clear_code();
    return builder.result;
  }

  executable::Executable makeRandomExecutable(RandomLayouts &random, const executable::Mesh &mesh,
                                              const std::vector<ModelVariable> &variables) const {
    Layouts layouts;
    for (const ModelVariable &variable : variables)
      layouts.push_back(random.makeLayout(mesh, variable.shape));
    return makeExecutable(mesh, variables, layouts);
  }

  /// What one rank does. It has an executor with variables of zeros.
  using Rank = std::function<void(runtime::Executor &executor, int rank)>;

  void run(const executable::Executable &executable, const Rank &rank) const {
    auto communicators = runtime::createLocalCommunicators(static_cast<int>(executable.world_size()), {});
    std::vector<std::thread> threads;
    for (const auto &communicator : communicators)
      threads.emplace_back([&] {
        auto executor = runtime::Executor::create(executable, runtime::createCpuDevice(1), communicator.get());
        ASSERT_TRUE(executor);
        rank(**executor, communicator->getRank());
      });
    for (std::thread &thread : threads)
      thread.join();
  }

  /// Calls use(value, expected) for each element of the rank's parts of the saved variables. What padding has is left out.
  static void forEachElement(runtime::Executor &executor, int rank, const std::function<void(float &, float)> &use) {
    runtime::RankMesh mesh(executor.getExecutable().mesh());
    for (const executable::Variable &variable : executor.getExecutable().variables()) {
      if (variable.role() != "parameter" && variable.role() != "optimizer")
        continue;
      std::vector<int64_t> shape = runtime::describeVariable(variable).shape;
      auto name = static_cast<int64_t>(std::hash<std::string>()(variable.name()) % 1000);
      auto *values = reinterpret_cast<float *>(executor.getTensor(variable).address);
      runtime::forEachCommonRun(runtime::getRegion(variable, mesh, rank), runtime::TensorRegion::whole(shape),
                                [&](int64_t own, int64_t global, int64_t count) {
                                  for (int64_t i = 0; i < count; ++i)
                                    use(values[own + i], static_cast<float>((global + i) * 1000 + name + 1));
                                });
    }
  }

  static void fill(runtime::Executor &executor, int rank) {
    forEachElement(executor, rank, [](float &value, float expected) { value = expected; });
  }

  /// How many elements are not what `fill` made them.
  static int64_t countWrong(runtime::Executor &executor, int rank) {
    int64_t wrong = 0;
    forEachElement(executor, rank, [&](float &value, float expected) { wrong += value != expected; });
    return wrong;
  }

  /// Saves filled variables after this step, on all ranks; the error of each, or "".
  std::vector<std::string> save(const executable::Executable &executable, int64_t step) const {
    std::vector<std::string> errors(static_cast<size_t>(executable.world_size()));
    run(executable, [&](runtime::Executor &executor, int rank) {
      fill(executor, rank);
      auto saver = runtime::CheckpointSaver::create(executor);
      ASSERT_TRUE(saver) << saver.takeError().getMessage();
      runtime::CheckpointState state = runtime::makeInitialState(executable, 1000);
      state.step = state.optimizerSteps = step;
      state.samples = step * 8;
      runtime::Error error = (*saver)->save(state);
      // The copy is what counts, whatever becomes of the state.
      forEachElement(executor, rank, [](float &value, float) { value = -1; });
      if (!error)
        error = (*saver)->finish();
      errors[static_cast<size_t>(rank)] = error ? error.getMessage() : "";
    });
    return errors;
  }

  /// Resumes on all ranks: the step that is gone on from and that all elements are right, or the error of each.
  std::vector<std::string> resume(const executable::Executable &executable, const std::string &what = "auto") const {
    std::vector<std::string> results(static_cast<size_t>(executable.world_size()));
    run(executable, [&](runtime::Executor &executor, int rank) {
      runtime::CheckpointState state = runtime::makeInitialState(executable, 1000);
      runtime::Error error = runtime::loadStart(executor, what, state);
      std::string &result = results[static_cast<size_t>(rank)];
      result = error ? error.getMessage() : std::to_string(state.step);
      if (!error && state.step > 0) {
        EXPECT_EQ(countWrong(executor, rank), 0) << "rank " << rank;
        EXPECT_EQ(state.samples, state.step * 8);
      }
    });
    return results;
  }

  static std::vector<std::string> onAll(const executable::Executable &executable, const std::string &text) {
    return std::vector(static_cast<size_t>(executable.world_size()), text);
  }

  std::vector<std::string> list() const {
    std::vector<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(checkpoints()))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }

  std::string checkpoints() const { return folder / "checkpoints"; }

  TemporaryFolder folder;
};

} // namespace primus::test

#endif // PRIMUS_TESTS_RUNTIME_CHECKPOINTFIXTURE_H
