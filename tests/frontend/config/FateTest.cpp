//===- FateTest.cpp - Every line of the tables of keys, tried out ---------===//
//
// A key that is mapped changes the spec, a key without effect does not, a key that is not supported is refused: one
// experiment per flavour is built again with each key of its table changed.
//
//===----------------------------------------------------------------------===//

#include "frontend/config/Flavour.h"
#include "frontend/config/Overrides.h"
#include "frontend/config/huggingface/Architecture.h"

#include "tests/frontend/config/ConfigTestHelper.h"

#include <fmt/format.h>

#include <set>
#include <sstream>

using namespace primus::config;
using namespace primus::config::test;

namespace {

const std::string experiments = std::string(PRIMUS_SOURCE_DIR) + "/configs/experiments/";

/// A flavour and the experiment on which its keys are tried; its name here, where it has several tables.
struct FlavourCase {
  const char *framework;
  std::string experiment;
  const char *name = framework;
};

void PrintTo(const FlavourCase &flavour, std::ostream *stream) { *stream << flavour.name; }

const std::string inputs = std::string(PRIMUS_SOURCE_DIR) + "/tests/frontend/config/Inputs/";

class FateTest : public ::testing::TestWithParam<FlavourCase> {
protected:
  void SetUp() override {
    for (const Flavour &candidate : flavours())
      if (candidate.framework == std::string_view(GetParam().framework))
        flavour = &candidate;
    ASSERT_TRUE(flavour);
    workspace.write("corpus/text.txt", "some text");
    workspace.write("tokens.bin", "");
    workspace.write("tokens.idx", "");
    workspace.write("schedule.csv", "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
    ConfigRequest request;
    request.experiment = GetParam().experiment;
    Diagnostics diagnostics;
    base = resolveConfig(request, diagnostics);
    ASSERT_TRUE(base) << diagnostics.str();
    ASSERT_TRUE(build({}, diagnostics)) << diagnostics.str();
    fates = flavour->findFates(*base, diagnostics);
  }

  /// The spec's text without sources, with key=value arguments over the experiment; nullopt if it is refused.
  std::optional<std::string> build(const std::vector<std::string> &arguments, Diagnostics &diagnostics) {
    ResolvedConfig config = *base;
    mergeMap(config.params, parseOverrides(arguments, diagnostics));
    std::optional<SpecResult> result = buildSpec(config, diagnostics);
    if (!result)
      return std::nullopt;
    result->spec.clear_sources();
    return printSpec(result->spec);
  }

  static std::vector<std::string> split(std::string_view text) {
    std::istringstream words{std::string(text)};
    std::vector<std::string> result;
    for (std::string word; words >> word;)
      result.push_back(word);
    return result;
  }

  /// Another value of the type that the key has now; empty if it has none that can be changed.
  std::string otherValue(const std::string &key) const {
    const Value *value = findPath(base->params, key);
    if (!value)
      return {};
    if (const bool *flag = value->asBool())
      return *flag ? "false" : "true";
    if (const int64_t *number = value->asInt())
      return fmt::format("{}", *number > 0 ? 2 * *number : 1);
    if (const double *number = value->asFloat())
      return fmt::format("{:e}", *number > 0 ? *number / 2 : 0.5);
    return {};
  }

  /// True if an error names the key.
  static bool isRefused(const Diagnostics &diagnostics, const std::string &key) {
    for (const Diagnostic &diagnostic : diagnostics.all())
      if (diagnostic.severity == Diagnostic::Severity::Error && diagnostic.message.find(key) != std::string::npos)
        return true;
    return false;
  }

  Workspace workspace;
  const Flavour *flavour = nullptr;
  const FateTable *fates = nullptr;
  std::optional<ResolvedConfig> base;
};

/// Or are refused by name: a mapped key may have values that are not supported.
TEST_P(FateTest, MappedKeysChangeTheSpec) {
  const FateTable &table = *fates;
  size_t changed = 0, refused = 0;
  for (const std::string &key : table.keys()) {
    const Fate &fate = *table.find(key);
    if (fate.kind != Fate::Kind::Mapped)
      continue;
    // The key's own argument is among the example's, or is made up.
    std::vector<std::string> context, with = split(fate.example);
    for (const std::string &argument : with)
      if (!argument.starts_with(key + "="))
        context.push_back(argument);
    if (context.size() == with.size()) {
      std::string value = otherValue(key);
      EXPECT_FALSE(value.empty()) << key << " needs an example in its table";
      with.push_back(key + "=" + value);
    }
    Diagnostics before, after;
    std::optional<std::string> without = build(context, before), result = build(with, after);
    if (result) {
      EXPECT_NE(result, without) << key << " changes nothing with " << with.back();
      ++changed;
    } else {
      EXPECT_TRUE(std::any_of(with.begin(), with.end(), [&](const std::string &argument) {
        return isRefused(after, argument.substr(0, argument.find('=')));
      })) << key << "\n" << after.str();
      ++refused;
    }
  }
  fmt::print("{}: {} mapped keys change the spec, {} are refused with another value\n", GetParam().name, changed,
             refused);
  EXPECT_GT(changed, refused);
}

TEST_P(FateTest, KeysWithoutEffectChangeNothing) {
  const FateTable &table = *fates;
  Diagnostics diagnostics;
  std::optional<std::string> before = build({}, diagnostics);
  for (const std::string &key : table.keys()) {
    const Fate &fate = *table.find(key);
    if (fate.kind != Fate::Kind::NoEffect)
      continue;
    std::string value = otherValue(key);
    for (const std::string &other : value.empty() ? std::vector<std::string>{"3", "true", "text"} : std::vector{value}) {
      Diagnostics own;
      std::optional<std::string> after = build({key + "=" + other}, own);
      ASSERT_TRUE(after) << key << "=" << other << "\n" << own.str();
      EXPECT_EQ(*after, *before) << key << "=" << other;
    }
  }
}

TEST_P(FateTest, UnsupportedKeysAreRefusedUnlessNeutral) {
  const FateTable &table = *fates;
  for (const std::string &key : table.keys()) {
    const Fate &fate = *table.find(key);
    if (fate.kind != Fate::Kind::Unsupported)
      continue;
    std::string neutral(fate.neutral.substr(0, fate.neutral.find('|')));
    Diagnostics quiet, loud;
    EXPECT_TRUE(build({key + "=" + (neutral.empty() ? "None" : neutral)}, quiet)) << key << "\n" << quiet.str();
    std::string other = neutral == "false" ? "true" : neutral == "true" ? "false" : "77";
    EXPECT_FALSE(build({key + "=" + other}, loud)) << key;
    EXPECT_TRUE(isRefused(loud, fmt::format("'{}: {}' is not supported: {}", key, other, fate.detail))) << loud.str();
  }
}

/// A key is mapped exactly if the code reads it, and no key has two fates.
TEST_P(FateTest, TheTableSaysWhatTheCodeReads) {
  const FateTable &table = *fates;
  std::set<std::string> mapped, read;
  std::vector<std::vector<std::string>> variants = {{}};
  for (const std::string &key : table.keys()) {
    const Fate &fate = *table.find(key);
    EXPECT_FALSE(fate.detail.empty()) << key;
    if (fate.kind != Fate::Kind::Mapped)
      continue;
    mapped.insert(key);
    variants.push_back(split(fate.example));
  }
  for (const std::vector<std::string> &arguments : variants) {
    ResolvedConfig config = *base;
    Diagnostics diagnostics;
    mergeMap(config.params, parseOverrides(arguments, diagnostics));
    primus::spec::TrainingSpec spec;
    SpecWriter writer(spec);
    KeyReader reader(config.params, config.moduleLocation, diagnostics);
    std::vector<std::string> notes;
    Mapping mapping{config, reader, writer, diagnostics, notes};
    flavour->map(mapping);
    read.insert(reader.readKeys().begin(), reader.readKeys().end());
  }
  EXPECT_EQ(mapped, read);
  EXPECT_EQ(table.find("no_such_key"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Flavours, FateTest,
                         ::testing::Values(FlavourCase{"megatron", experiments + "cpu/llama-tiny.yaml"},
                                           FlavourCase{"megatron_bridge",
                                                       experiments + "mi300x/qwen3_600m-BF16-bridge-pretrain.yaml"},
                                           FlavourCase{"torchtitan", experiments + "cpu/llama3-debugmodel.toml"},
                                           FlavourCase{"maxtext", experiments + "cpu/llama-tiny-maxtext.yaml"},
                                           FlavourCase{"huggingface", inputs + "llama.yaml", "huggingface_llama"},
                                           FlavourCase{"huggingface", inputs + "mistral.yaml", "huggingface_mistral"},
                                           FlavourCase{"huggingface", inputs + "qwen2.yaml", "huggingface_qwen2"},
                                           FlavourCase{"huggingface", inputs + "qwen3.yaml", "huggingface_qwen3"},
                                           FlavourCase{"huggingface", inputs + "gpt2.yaml", "huggingface_gpt2"}),
                         [](const auto &info) { return std::string(info.param.name); });

/// Two lines for one key would hide one of them.
TEST(FateTable, EveryKeyHasOneFate) {
  for (const Flavour &flavour : flavours()) {
    if (!flavour.fates)
      continue;
    EXPECT_EQ(flavour.fates().repeated(), std::vector<std::string>()) << flavour.framework;
  }
  for (const huggingface::Architecture *architecture : huggingface::architectures())
    EXPECT_EQ(architecture->fates().repeated(), std::vector<std::string>()) << architecture->name;
}

} // namespace
