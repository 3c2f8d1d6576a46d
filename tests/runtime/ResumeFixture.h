//===- ResumeFixture.h - Runs that stop and go on -------------------------===//

#ifndef PRIMUS_TESTS_RUNTIME_RESUMEFIXTURE_H
#define PRIMUS_TESTS_RUNTIME_RESUMEFIXTURE_H

#include "tests/runtime/TrainFixture.h"

#include <algorithm>
#include <filesystem>

namespace primus::test {

/// Runs that write checkpoints and go on from them.
class ResumeFixture : public TrainFixture {
protected:
  void SetUp() override {
    TrainFixture::SetUp();
    addOptimizerState();
    config().set_save(checkpoints());
    *executable.add_settings() = makeSetting("model.width", "256");
    *executable.add_settings() = makeSetting("optimizer.learning_rate", "0.5");
  }

  /// The bigram model's kernel has none, so that one is added, which stays zero.
  void addOptimizerState() {
    int64_t arena = (executable.memory().arena() + 63) / 64 * 64;
    executable::Variable &variable = *executable.add_variables();
    variable = executable.variables(0);
    variable.set_name("table.m");
    variable.set_role("optimizer");
    variable.set_offset(arena);
    arena += 256 * 256 * 4;
    executable.mutable_memory()->set_arena(arena);
    executable.mutable_memory()->set_activations(arena);
  }

  static executable::Setting makeSetting(const std::string &name, const std::string &value) {
    executable::Setting setting;
    setting.set_name(name);
    setting.set_value(value);
    return setting;
  }

  executable::Checkpoint &config() { return *executable.mutable_training()->mutable_checkpoint(); }
  std::string checkpoints() const { return folder / "run/checkpoints"; }

  /// What may not depend on interruptions: each row without its times, and the generated text.
  std::string getResult(const std::string &name) {
    std::string text;
    for (nlohmann::json &metrics : readMetrics(name)) {
      metrics.erase("tokens_per_second");
      metrics.erase("step_seconds");
      text += metrics.dump() + "\n";
    }
    return text + output.substr(std::min(output.find("--- prompt"), output.size()));
  }

  std::vector<std::string> listCheckpoints() const {
    std::vector<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(checkpoints()))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }

  /// Makes it the executable of this many ranks, which all compute the same.
  void setRanks(int64_t ranks) {
    executable.set_world_size(ranks);
    executable.mutable_mesh()->clear_names();
    executable.mutable_mesh()->clear_sizes();
    executable.mutable_mesh()->add_names("tp");
    executable.mutable_mesh()->add_sizes(ranks);
  }

  /// Trains to step 8 with a checkpoint every four.
  void trainToEight() {
    executable.mutable_training()->set_train_steps(8);
    config().set_interval(4);
    ASSERT_EQ(train({"--metrics", folder / "m.jsonl"}), 0) << output;
    executable.mutable_training()->set_train_steps(20);
    ASSERT_EQ(listCheckpoints(), (std::vector<std::string>{"step_00000004", "step_00000008"}));
  }

  std::string getShard(const std::string &checkpoint) const {
    return checkpoints() + "/" + checkpoint + "/rank-00000-of-00001.safetensors";
  }
};

} // namespace primus::test

#endif // PRIMUS_TESTS_RUNTIME_RESUMEFIXTURE_H
