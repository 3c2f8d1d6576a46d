//===- ParametersTest.cpp - The list of parameters is that of the model ---===//

#include "frontend/models/ModelBuilder.h"
#include "frontend/models/Parameters.h"
#include "passes/Passes.h"

#include "mlir/IR/MLIRContext.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <map>

using namespace mlir;
using namespace primus;

namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

Shapes listShapes(const spec::Model &model) {
  Shapes shapes;
  for (const models::Parameter &parameter : models::listParameters(model))
    EXPECT_TRUE(shapes.emplace(parameter.name, parameter.shape).second) << parameter.name;
  return shapes;
}

/// The shapes of the variables that the model phase declares.
Shapes buildShapes(const spec::TrainingSpec &spec) {
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  auto module = models::buildModel(spec, &context);
  Shapes shapes;
  if (failed(module))
    return shapes;
  for (auto variable : (**module).getOps<graph::VariableOp>())
    if (variable.getRole() == graph::Role::Parameter)
      shapes[variable.getSymName().str()] = variable.getTensorType().getShape().vec();
  return shapes;
}

constexpr const char *norm = "{ kind: RMS_NORM epsilon: 1e-5 weight: true }";
constexpr const char *layerNorm = "{ kind: LAYER_NORM epsilon: 1e-5 weight: true bias: true }";

spec::TrainingSpec makeSpec(const std::string &layer, const std::string &rest) {
  std::string text = "model { width: 24 init_std: 0.02 output_init_std: 0.02 "
                     "embedding { vocabulary: 97 padded_vocabulary: 128 " +
                     rest + " layers { count: 2 layer { " + layer +
                     " attention { heads: 4 groups: 2 head_size: 8 causal: true qkv_bias: true query_norm " + norm +
                     " key_norm " + norm +
                     " } feed_forward { kind: GATED width: 40 activation: 'silu' bias: true } } }"
                     " layers { count: 1 layer { attention { heads: 3 groups: 3 head_size: 8 output_bias: true }"
                     " feed_forward { kind: PLAIN width: 16 activation: 'relu' } } } }"
                     " training { micro_batch_size: 1 global_batch_size: 1 sequence_length: 8 precision: F32 }";
  spec::TrainingSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return spec;
}

TEST(Parameters, OfEveryTopology) {
  for (const char *topology :
       {"PRE_NORM", "POST_NORM", "BRANCH_POST_NORM", "SANDWICH", "PARALLEL_ONE_NORM", "PARALLEL_TWO_NORMS"}) {
    std::string norms = std::string(" attention_norm ") + norm + " feed_forward_norm " + layerNorm +
                        " attention_post_norm " + layerNorm + " feed_forward_post_norm " + norm;
    for (std::string rest : {std::string("} head { tied: true }"),
                             std::string("learned_positions: 16 norm ") + layerNorm + " } head { norm " + norm + " }"}) {
      spec::TrainingSpec spec = makeSpec(std::string("topology: ") + topology + norms, rest);
      Shapes built = buildShapes(spec);
      EXPECT_GT(built.size(), 20u);
      EXPECT_EQ(listShapes(spec.model()), built) << topology << " " << rest;
    }
  }
}

TEST(Parameters, PaddingIsOfTables) {
  for (const models::Parameter &parameter : models::listParameters(makeSpec("", "} head { }").model())) {
    bool isTable = parameter.name == "embedding.weight" || parameter.name == "head.weight";
    EXPECT_EQ(parameter.padding, isTable ? 31 : 0) << parameter.name;
  }
}

} // namespace
