//===- Fp8Test.cpp - Keys of 8-bit products in every flavour --------------===//

#include "frontend/config/SpecWriter.h"

#include "tests/frontend/config/ConfigTestHelper.h"

using namespace primus::config;
using namespace primus::config::test;

namespace {

const std::string ours = std::string(PRIMUS_SOURCE_DIR) + "/configs/experiments/cpu/";

struct Case {
  std::vector<std::string> overrides;
  const char *field;
  const char *value;
};

void check(const std::string &experiment, const char *target, std::initializer_list<Case> cases) {
  for (const Case &c : cases) {
    ConfigRequest request;
    request.experiment = ours + experiment;
    request.overrides = c.overrides;
    request.target = target;
    Outcome outcome = run(request);
    ASSERT_TRUE(outcome.result) << c.field << "\n" << outcome.diagnostics.str();
    EXPECT_EQ(printField(outcome.result->spec, std::string("training.fp8.") + c.field), c.value) << c.field;
  }
}

void checkError(const std::string &experiment, const char *target, std::vector<std::string> overrides, const std::string &message) {
  ConfigRequest request;
  request.experiment = ours + experiment;
  request.overrides = std::move(overrides);
  request.target = target;
  EXPECT_NE(run(request).firstError().find(message), std::string::npos) << run(request).firstError();
}

TEST(Fp8, Megatron) {
  const std::string recipe = "fp8_recipe=tensorwise";
  check("llama-tiny.yaml", "cpu",
        {
            {{}, "recipe", "\"\""},
            {{"fp8=false"}, "recipe", "\"\""},
            {{"fp8=hybrid"}, "recipe", "\"delayed\""},
            {{"fp8=hybrid", recipe}, "recipe", "\"tensorwise\""},
            {{"fp8=hybrid", recipe}, "format", "\"hybrid\""},
            {{"fp8=e4m3", recipe}, "format", "\"e4m3\""},
            {{"fp8=hybrid", recipe}, "encoding", "\"ocp\""},
            {{"fp8=hybrid", recipe, "fp8_encoding=fnuz"}, "encoding", "\"fnuz\""},
            {{"fp8=hybrid"}, "history", "1"},
            {{"fp8=hybrid"}, "algorithm", "\"most_recent\""},
            {{"fp8=hybrid", "fp8_amax_history_len=16", "fp8_amax_compute_algo=max"}, "history", "16"},
            {{"fp8=hybrid", "fp8_amax_history_len=16", "fp8_amax_compute_algo=max"}, "algorithm", "\"max\""},
            {{"fp8=hybrid", "fp8_margin=2"}, "margin", "2"},
            {{"fp8=hybrid"}, "wide_wgrad", "false"},
            {{"fp8=hybrid", "fp8_wgrad=false"}, "wide_wgrad", "true"},
            {{"fp8=hybrid", recipe}, "keep", "[]"},
            {{"fp8=hybrid", recipe, "first_last_layers_bf16=true", "num_layers_at_end_in_bf16=2"},
             "keep",
             "[\"layers.0\", \"layers.6\", \"layers.7\"]"},
        });
  check("llama-tiny.yaml", "gfx942", {{{"fp8=hybrid", recipe}, "encoding", "\"fnuz\""}});
  check("llama-tiny.yaml", "gfx950", {{{"fp8=hybrid", recipe}, "encoding", "\"ocp\""}});
}

TEST(Fp8, KeysWithoutFp8HaveNoEffect) {
  ConfigRequest request;
  request.experiment = ours + "llama-tiny.yaml";
  request.overrides = {"fp8_recipe=rowwise"};
  EXPECT_EQ(run(request).diagnostics.str(),
            "command line: warning: 'fp8_recipe' has no effect without fp8; set fp8=hybrid if it is meant\n");
  request.overrides.push_back("fp8=hybrid");
  EXPECT_EQ(run(request).diagnostics.str(), "");
}

TEST(Fp8, TorchTitan) {
  const std::string on = "model.converters=[\"quantize.linear.float8\", \"primus_turbo\"]";
  const std::string rowwise = "quantize.linear.float8.recipe_name=rowwise";
  check("llama3-debugmodel.toml", "cpu",
        {
            {{"model.converters=primus_turbo"}, "recipe", "\"\""},
            {{on}, "recipe", "\"tensorwise\""},
            {{on}, "format", "\"hybrid\""},
            {{on, rowwise}, "recipe", "\"rowwise\""},
            {{on, rowwise}, "format", "\"e4m3\""},
            {{"model.converters=quantize.linear.mx"}, "recipe", "\"mxfp8\""},
            {{on, "quantize.linear.float8.filter_fqns=[\"output\"]"}, "keep", "[]"},
            {{on, "quantize.linear.float8.filter_fqns=[\"output\", \"attention.wk\", \"layers.1.feed_forward.w2\"]"},
             "keep",
             "[\"attention.k\", \"layers.1.feed_forward.down\"]"},
        });
}

TEST(Fp8, MaxText) {
  check("llama-tiny-maxtext.yaml", "cpu",
        {
            {{"quantization=fp8"}, "recipe", "\"delayed\""},
            {{"quantization=fp8"}, "encoding", "\"ocp\""},
            {{"quantization=nanoo_fp8"}, "encoding", "\"fnuz\""},
            {{"quantization=nanoo_fp8"}, "history", "1024"},
        });
}

TEST(Fp8, WhatTheTargetDoesNotComputeInIsAnError) {
  checkError("llama-tiny-maxtext.yaml", "gfx950", {"quantization=nanoo_fp8"},
             "'quantization' asks for 8-bit floats of encoding fnuz, but gfx950 computes in ocp");
  checkError("llama-tiny.yaml", "gfx942", {"fp8=hybrid", "fp8_recipe=mxfp8"},
             "'fp8_recipe' asks for mxfp8, which is not supported: it exists in the encoding ocp only, not in fnuz; use --target "
             "gfx950 or cpu, or another recipe");
}

TEST(Fp8, RecipesOfFourBitsAreRefusedAsSuch) {
  checkError("llama-tiny.yaml", "gfx950", {"fp8=hybrid", "fp8_recipe=mxfp4"},
             "'fp8_recipe: \"mxfp4\"' is not supported: MXFP4 and other 4-bit formats; supported: delayed, tensorwise");
  checkError("llama-tiny.yaml", "cpu", {"fp8=hybrid", "fp8_recipe=mxfp9"}, "'fp8_recipe' cannot be 'mxfp9'; did you mean 'mxfp8'?");
}

TEST(Fp8, BlocksMustDivideWhatARankHas) {
  checkError("llama-tiny.yaml", "cpu", {"fp8=hybrid", "fp8_recipe=blockwise", "ffn_hidden_size=320"},
             "'fp8_recipe' blockwise divides sizes into blocks of 128, but ffn_hidden_size 320 is no multiple of it");
  checkError("llama-tiny.yaml", "cpu",
             {"fp8=hybrid", "fp8_recipe=mxfp8", "tensor_model_parallel_size=4", "num_query_groups=4"},
             "16 on each of the 4 ranks of tensor_model_parallel_size, is no multiple of it");
}

TEST(Fp8, BlocksThatRanksWouldShareAreErrorsWithTheirPlaces) {
  Workspace workspace;
  auto message = [&](const std::string &keys) {
    workspace.write("exp.yaml", experiment("      mock_data: true\n      fp8: hybrid\n" + keys));
    ConfigRequest request;
    request.experiment = "exp.yaml";
    return run(request).firstError();
  };
  EXPECT_EQ(message("      fp8_recipe: mxfp8\n      ffn_hidden_size: 352\n      tensor_model_parallel_size: 2\n"),
            "exp.yaml:13:19: error: 'fp8_recipe' mxfp8 divides sizes into blocks of 32, but ffn_hidden_size 352, 176 on each of the 2 "
            "ranks of tensor_model_parallel_size, is no multiple of it; change it (ffn_hidden_size stands at exp.yaml:14:24), or the "
            "recipe");
  EXPECT_EQ(message("      fp8_recipe: blockwise\n      seq_length: 384\n      context_parallel_size: 2\n"),
            "exp.yaml:13:19: error: 'fp8_recipe' blockwise divides sizes into blocks of 128, but seq_length 384, 192 on each of the 2 "
            "ranks of context_parallel_size, is no multiple of it; change it (seq_length stands at exp.yaml:14:19), or the recipe");
  // A block of all values of the dimension, which two ranks would share.
  EXPECT_EQ(message("      fp8_recipe: blockwise\n      hidden_size: 128\n      tensor_model_parallel_size: 2\n").find(
                "exp.yaml:13:19: error: 'fp8_recipe' blockwise divides sizes into blocks of 128, but "),
            0u);
  EXPECT_NE(message("      fp8_recipe: blockwise\n      hidden_size: 128\n      tensor_model_parallel_size: 2\n").find(
                "128, 64 on each of the 2 ranks of tensor_model_parallel_size, is no multiple of it"),
            std::string::npos);
}

} // namespace
