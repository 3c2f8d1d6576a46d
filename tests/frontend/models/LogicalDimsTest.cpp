//===- LogicalDimsTest.cpp - What each dimension of a model is ------------===//

#include "frontend/models/LayerFunction.h"
#include "frontend/models/ModelBuilder.h"
#include "passes/LayerFunction.h"
#include "passes/Passes.h"

#include "tests/frontend/config/ConfigTestHelper.h"

#include "mlir/IR/MLIRContext.h"

using namespace mlir;
using namespace primus;
using namespace primus::config::test;

namespace {

struct LogicalDimsTest : testing::Test {
  LogicalDimsTest() { context.loadAllAvailableDialects(); }

  ModuleOp build(const std::string &preset, const spec::Parallelism &parallelism = {}) {
    Workspace workspace;
    workspace.write("x.yaml", experiment("      train_iters: 1\n      mock_data: true\n", preset));
    Outcome outcome = run("x.yaml", {"micro_batch_size=2", "global_batch_size=12", "seq_length=8", "num_layers=2"});
    EXPECT_TRUE(outcome.result) << outcome.firstError();
    if (!outcome.result)
      return {};
    *outcome.result->spec.mutable_parallelism() = parallelism;
    module = std::move(*models::buildModel(outcome.result->spec, &context));
    return *module;
  }

  static void expectDims(Attribute dims, Type type, const std::string &what) {
    auto list = dyn_cast_or_null<ArrayAttr>(dims);
    ASSERT_TRUE(list) << what << " has no logical dimensions";
    EXPECT_EQ(static_cast<int64_t>(list.size()), cast<RankedTensorType>(type).getRank()) << what;
  }

  MLIRContext context{[] {
    DialectRegistry registry;
    registerDialects(registry);
    return registry;
  }()};
  OwningOpRef<ModuleOp> module;
};

} // namespace

TEST_F(LogicalDimsTest, AllThatEntersAFunctionSaysWhatItsDimensionsAre) {
  for (const char *preset : {"llama-tiny", "gpt2_124M", "qwen3_0.6B"}) {
    ModuleOp model = build(preset);
    ASSERT_TRUE(model);
    for (auto variable : model.getOps<graph::VariableOp>())
      expectDims(variable.getDimsAttr(), variable.getTensorType(), variable.getSymName().str());
    for (auto function : model.getOps<func::FuncOp>()) {
      for (auto [index, type] : llvm::enumerate(function.getArgumentTypes()))
        expectDims(function.getArgAttr(index, graph::kDimsAttr), type, getArgName(function, index));
      for (auto [index, type] : llvm::enumerate(function.getResultTypes()))
        if (function.getName() != "head.forward")
          expectDims(function.getResultAttr(index, graph::kDimsAttr), type, function.getName().str());
    }
  }
}

TEST_F(LogicalDimsTest, PinsNameActivationsThatExist) {
  ModuleOp model = build("gpt2_124M");
  ASSERT_TRUE(model);
  auto block = model.lookupSymbol<func::FuncOp>("block.forward");
  auto pins = block->getAttrOfType<DictionaryAttr>(graph::kPinsAttr);
  ASSERT_TRUE(pins);
  for (NamedAttribute pin : pins) {
    bool found = false;
    block.walk([&](Operation *op) {
      for (Value result : op->getResults())
        if (getValueName(result) == pin.getName()) {
          found = true;
          expectDims(pin.getValue(), result.getType(), pin.getName().str());
        }
    });
    EXPECT_TRUE(found) << pin.getName().str();
  }
  for (const char *name : {"attention.residual", "attention.output.biased", "feed_forward.residual",
                           "feed_forward.down.biased"})
    EXPECT_TRUE(pins.contains(name)) << name;
  EXPECT_EQ(pins.size(), 4u);
}

/// Context parallel ranks store tokens in another order, which all that depends on positions has to know; one rank
/// doesn't.
TEST_F(LogicalDimsTest, PositionsAreConstantsOfContextParallelModels) {
  spec::Parallelism parallelism;
  for (int64_t ranks : {1, 2}) {
    parallelism.set_context(ranks);
    for (const char *preset : {"llama-tiny", "gpt2_124M"}) {
      ModuleOp model = build(preset, parallelism);
      ASSERT_TRUE(model);
      ASSERT_TRUE(succeeded(model.verify()));
      auto positions = model.lookupSymbol<graph::VariableOp>("positions");
      EXPECT_EQ(positions != nullptr, ranks > 1) << preset;
      if (positions) {
        EXPECT_TRUE(positions.getTensorType().getElementType().isInteger(32));
      }
      for (auto variable : model.getOps<graph::VariableOp>())
        if (variable.getRole() == graph::Role::Constant) {
          DictionaryAttr params = variable.getInit().getParams();
          EXPECT_EQ(params && params.contains("ranks"), ranks > 1) << variable.getSymName().str();
        }
      model.walk([&](graph::AttentionOp op) { EXPECT_EQ(op.getQueryPositions() != nullptr, ranks > 1) << preset; });
      model.walk([&](graph::SliceOp op) { EXPECT_EQ(ranks, 1) << "learned positions are gathered"; });
    }
  }
}

TEST_F(LogicalDimsTest, ShapesHoldTheSequencesOfAllDataRanks) {
  spec::Parallelism parallelism;
  parallelism.set_replicate(2);
  parallelism.set_shard(3);
  parallelism.set_tensor(4);
  ModuleOp model = build("llama-tiny", parallelism);
  ASSERT_TRUE(model);
  auto forward = model.lookupSymbol<func::FuncOp>("forward");
  EXPECT_EQ(cast<RankedTensorType>(forward.getArgumentTypes()[0]).getShape(), ArrayRef<int64_t>({12, 8}));
  auto mesh = model->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  EXPECT_EQ(mesh.getSizes(), ArrayRef<int64_t>({1, 2, 3, 1, 1, 4}));
}

/// What only several ranks can do is not in the plan of one.
TEST_F(LogicalDimsTest, ThePlanHoldsWhatRanksShare) {
  spec::Parallelism parallelism;
  parallelism.set_zero_stage(3);
  parallelism.set_sequence_parallel(true);
  parallelism.set_context_exchange(spec::RING);
  FailureOr<Plan> alone = Plan::get(build("llama-tiny", parallelism));
  ASSERT_TRUE(succeeded(alone));
  EXPECT_EQ(alone->zero, 0);
  EXPECT_FALSE(alone->sequenceParallel);
  EXPECT_FALSE(alone->ring);
  parallelism.set_tensor(2);
  parallelism.set_context(2);
  FailureOr<Plan> together = Plan::get(build("llama-tiny", parallelism));
  ASSERT_TRUE(succeeded(together));
  EXPECT_EQ(together->zero, 3);
  EXPECT_TRUE(together->sequenceParallel);
  EXPECT_TRUE(together->ring);
}
