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
