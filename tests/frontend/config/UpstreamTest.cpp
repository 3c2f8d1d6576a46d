//===- UpstreamTest.cpp - How far upstream's own experiments get ----------===//
//
// Each of upstream's experiments, where they are at hand, reaches a spec or is refused for features by name. What is
// missing most often is printed, for those who choose what to build next.
//
//===----------------------------------------------------------------------===//

#include "tests/frontend/config/ConfigTestHelper.h"

#include <fmt/format.h>

#include <map>
#include <set>

using namespace primus::config;
using namespace primus::config::test;
namespace fs = std::filesystem;

namespace {

fs::path findExamples() {
  for (const char *candidate : {"/../shared/primus-configs", "/../../shared/primus-configs"})
    if (fs::is_directory(PRIMUS_SOURCE_DIR + std::string(candidate)))
      return PRIMUS_SOURCE_DIR + std::string(candidate);
  return {};
}

/// What an error says is missing; empty if it says something else.
std::string missingFeature(const std::string &message) {
  size_t at = message.find(" is not supported: ");
  return at == std::string::npos ? "" : message.substr(at + 19);
}

TEST(UpstreamExperiments, ReachASpecOrNameWhatIsMissing) {
  fs::path root = findExamples();
  if (root.empty())
    GTEST_SKIP() << "no folder ../shared/primus-configs beside the source tree: nothing to try";
  std::map<std::string, std::map<std::string, int>> missing;
  std::map<std::string, std::pair<int, int>> counts;
  for (const fs::directory_entry &file : fs::directory_iterator(root / "resolved")) {
    // megatron__configs__MI300X__NAME.yaml.MODULE.json
    std::string name = file.path().stem().string();
    std::string experiment = name.substr(0, name.rfind('.'));
    for (size_t at = experiment.find("__"); at != std::string::npos; at = experiment.find("__"))
      experiment.replace(at, 2, "/");
    ConfigRequest request;
    request.experiment = (root / "examples" / experiment).string();
    request.configPaths = {(root / "primus" / "configs").string()};
    request.module = name.substr(name.rfind('.') + 1);
    Outcome outcome = run(request);
    ASSERT_TRUE(outcome.config) << name << "\n" << outcome.diagnostics.str();
    const std::string &framework = outcome.config->framework;
    ++(outcome.result ? counts[framework].first : counts[framework].second);
    if (outcome.result)
      continue;
    std::set<std::string> features;
    for (const Diagnostic &diagnostic : outcome.diagnostics.all()) {
      if (diagnostic.severity != Diagnostic::Severity::Error)
        continue;
      EXPECT_EQ(diagnostic.message.find("unknown key"), std::string::npos) << name << ": " << diagnostic.str();
      std::string feature = missingFeature(diagnostic.message);
      features.insert(feature.empty() ? diagnostic.message : feature);
    }
    EXPECT_FALSE(features.empty()) << name;
    for (const std::string &feature : features)
      ++missing[framework][feature];
  }
  for (const auto &[framework, count] : counts) {
    fmt::print("{}: {} of {} reach a spec\n", framework, count.first, count.first + count.second);
    std::multimap<int, std::string, std::greater<>> sorted;
    for (const auto &[feature, experiments] : missing[framework])
      sorted.emplace(experiments, feature);
    for (const auto &[experiments, feature] : sorted)
      fmt::print("{:5}  {}\n", experiments, feature);
  }
}

} // namespace
