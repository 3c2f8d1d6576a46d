//===- TrainFixture.h - primus-train on a bigram model --------------------===//

#ifndef PRIMUS_TESTS_RUNTIME_TRAINFIXTURE_H
#define PRIMUS_TESTS_RUNTIME_TRAINFIXTURE_H

#include "runtime/executable/ExecutableFile.h"
#include "tests/runtime/Process.h"
#include "tests/runtime/TinyExecutable.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>

namespace primus::test {

/// Runs primus-train on makeBigramExecutable, which a test may change before.
class TrainFixture : public testing::Test {
protected:
  void SetUp() override {
    // A text that a bigram model can learn.
    std::string text;
    for (int i = 0; i < 400; ++i)
      text += i % 3 ? "the cat sat on the mat; " : "a dog ran by\n";
    writeFile(folder / "text.txt", text);
    executable = makeBigramExecutable();
    executable.mutable_training()->add_data_paths(folder / "text.txt");
  }

  /// The command line for the executable as it is now.
  std::vector<std::string> getCommand(std::vector<std::string> options = {}) {
    EXPECT_FALSE(runtime::saveExecutable(executable, folder / "tiny.primus"));
    std::vector<std::string> command = {PRIMUS_TRAIN, folder / "tiny.primus"};
    command.insert(command.end(), options.begin(), options.end());
    return command;
  }

  /// Runs to the end and returns the exit code.
  int train(std::vector<std::string> options = {}, std::vector<std::string> environment = {}) {
    Process process(getCommand(std::move(options)), std::move(environment));
    int code = process.wait();
    output = process.getOutput();
    return code;
  }

  std::vector<nlohmann::json> readMetrics(const std::string &name) {
    std::istringstream lines(readFile(folder / name));
    std::vector<nlohmann::json> metrics;
    for (std::string line; std::getline(lines, line);)
      metrics.push_back(nlohmann::json::parse(line));
    return metrics;
  }

  bool says(const std::string &text) const { return output.find(text) != std::string::npos; }

  TemporaryFolder folder;
  executable::Executable executable;
  std::string output;
};

} // namespace primus::test

#endif // PRIMUS_TESTS_RUNTIME_TRAINFIXTURE_H
