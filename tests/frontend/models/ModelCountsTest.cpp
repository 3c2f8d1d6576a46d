//===- ModelCountsTest.cpp - Our presets have the published sizes ---------===//

#include "frontend/models/ModelBuilder.h"
#include "passes/Passes.h"

#include "tests/frontend/config/ConfigTestHelper.h"

#include "mlir/IR/MLIRContext.h"

#include <set>

using namespace mlir;
using namespace primus;
using namespace primus::config::test;

namespace {

/// A model preset and the number of parameters that its authors' checkpoint has.
const std::pair<const char *, int64_t> published[] = {
    {"gpt2_124M", 124'439'808},
    {"gpt2_355M", 354'823'168},
    {"gpt2_774M", 774'030'080},
    {"gpt2_1.5B", 1'557'611'200},
    {"gpt3_125M", 125'262'336},
    {"gpt3_355M", 355'919'872},
    {"gpt3_760M", 760'372'224},
    {"gpt3_1.3B", 1'315'819'520},
    {"gpt3_2.7B", 2'651'673'600},
    {"llama2_7B", 6'738'415'616},
    {"llama2_13B", 13'015'864'320},
    {"llama2_70B", 68'976'648'192},
    {"llama3_8B", 8'030'261'248},
    {"llama3_70B", 70'553'706'496},
    {"llama3.1_8B", 8'030'261'248},
    {"llama3.1_70B", 70'553'706'496},
    {"llama3.1_405B", 405'853'388'800},
    {"llama3.2_1B", 1'235'814'400},
    {"llama3.2_3B", 3'212'749'824},
    {"llama3.3_70B", 70'553'706'496},
    {"mistral_7B_v0.1", 7'241'732'096},
    {"mistral_7B_v0.2", 7'241'732'096},
    {"mistral_7B_v0.3", 7'248'023'552},
    {"mistral_nemo_12B", 12'247'782'400},
    {"qwen2_0.5B", 494'032'768},
    {"qwen2_1.5B", 1'543'714'304},
    {"qwen2_7B", 7'615'616'512},
    {"qwen2_72B", 72'706'203'648},
    {"qwen2.5_0.5B", 494'032'768},
    {"qwen2.5_1.5B", 1'543'714'304},
    {"qwen2.5_3B", 3'085'938'688},
    {"qwen2.5_7B", 7'615'616'512},
    {"qwen2.5_14B", 14'770'033'664},
    {"qwen2.5_32B", 32'763'876'352},
    {"qwen2.5_72B", 72'706'203'648},
    {"qwen3_0.6B", 596'049'920},
    {"qwen3_1.7B", 1'720'574'976},
    {"qwen3_4B", 4'022'468'096},
    {"qwen3_8B", 8'190'735'360},
    {"qwen3_14B", 14'768'307'200},
    {"qwen3_32B", 32'762'123'264},
    {"yi_6B", 6'061'035'520},
    {"yi_9B", 8'829'407'232},
    {"yi_34B", 34'388'917'248},
};

TEST(ModelCounts, ParametersOfOurPresetsAreThePublishedOnes) {
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  Workspace workspace;
  for (auto [preset, count] : published) {
    workspace.write("exp.yaml", experiment("      mock_data: true\n", preset));
    Outcome outcome = run("exp.yaml");
    ASSERT_TRUE(outcome.result) << preset << "\n" << outcome.diagnostics.str();
    auto module = models::buildModel(outcome.result->spec, &context);
    ASSERT_TRUE(succeeded(module)) << preset;
    EXPECT_EQ(models::countParameters(**module, outcome.result->spec.model()), count) << preset;
  }
}

TEST(ModelCounts, EveryPresetIsListed) {
  std::set<std::string> listed = {"llama-tiny"};
  for (auto [preset, count] : published)
    listed.insert(preset);
  for (const auto &file : std::filesystem::directory_iterator(PRIMUS_SOURCE_DIR "/configs/models/megatron")) {
    std::string name = file.path().stem().string();
    EXPECT_TRUE(name.ends_with("_base") || listed.count(name)) << name;
  }
}

} // namespace
