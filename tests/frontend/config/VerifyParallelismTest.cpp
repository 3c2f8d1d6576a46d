//===- VerifyParallelismTest.cpp - Parallel sizes of dumped specs ---------===//

#include "tests/frontend/config/ConfigTestHelper.h"

#include <functional>

using namespace primus::config;
using namespace primus::config::test;

namespace {

/// A change of a dumped spec, and the first error.
struct Change {
  std::function<void(primus::spec::Parallelism &)> apply;
  const char *error;
};

/// A spec that was changed by hand breaks rules that no key can break.
TEST(VerifyParallelism, DumpedSpecs) {
  Outcome outcome = run(std::string(PRIMUS_SOURCE_DIR) + "/configs/experiments/cpu/llama-tiny.yaml");
  ASSERT_TRUE(outcome.result) << outcome.diagnostics.str();
  const Change changes[] = {
      {[](primus::spec::Parallelism &p) { p.set_world_size(3); },
       "3 ranks are not data 1 * tensor 1 * pipeline 1 * context 1"},
      {[](primus::spec::Parallelism &p) { p.set_shard(2); }, "1 data ranks are not 1 groups of 2"},
      {[](primus::spec::Parallelism &p) { p.set_zero_stage(4); },
       "'use_distributed_optimizer' must be from 0 to 3, but is 4"},
      {[](primus::spec::Parallelism &p) { p.set_tensor(int64_t(1) << 62); },
       "'tensor_model_parallel_size' must be at most 32768, but is 4611686018427387904"},
      {[](primus::spec::Parallelism &p) { p.set_pipeline(0); },
       "'pipeline_model_parallel_size' must be at least 1, but is 0"},
      {[](primus::spec::Parallelism &p) { p.add_stage_layers(7); },
       "1 stages with 7 layers in all are not the 1 stages and 8 layers of the model"},
      {[](primus::spec::Parallelism &p) {
         p.add_stage_layers(-1);
         p.add_stage_layers(9);
       },
       "2 stages with 0 layers in all are not the 1 stages and 8 layers of the model"},
  };
  for (const Change &change : changes) {
    primus::spec::TrainingSpec spec = outcome.result->spec;
    change.apply(*spec.mutable_parallelism());
    Diagnostics diagnostics;
    verifySpec(spec, diagnostics);
    ASSERT_TRUE(diagnostics.hasErrors()) << change.error;
    EXPECT_EQ(diagnostics.all().front().message, change.error);
  }
}

} // namespace
