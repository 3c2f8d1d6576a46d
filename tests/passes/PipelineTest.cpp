//===- PipelineTest.cpp - The table of phases and what its verifiers refuse -===//

#include "passes/Pipeline.h"
#include "tests/ir/interpreter/Run.h"

#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class PipelineTest : public IrTest {
protected:
  /// Expects a phase's verifier to refuse a module with this body and a message that contains `expected`.
  void expectRefused(StringRef phase, const std::string &body, const std::string &expected) {
    messages.clear();
    OwningOpRef<ModuleOp> module = parse("module attributes {" + plan + "} {\n" + body + "}\n");
    unsigned index = *findPhase(phase);
    EXPECT_TRUE(module && failed(runPhases(*module, index, index)));
    EXPECT_NE(messages.find(expected), std::string::npos) << messages;
  }

  const std::string plan = R"(graph.mesh = #graph.mesh<"dp" = 1>,
      graph.plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none",
                    recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95,
                    epsilon = 1.0e-08, weight_decay = 0.0})";
};

TEST_F(PipelineTest, FindsPhasesInOrder) {
  unsigned last = 0;
  for (StringRef name : {"config", "spec", "model", "train", "fp8", "sharded", "placed", "fused", "step", "objects"}) {
    std::optional<unsigned> index = findPhase(name);
    ASSERT_TRUE(index) << name.str();
    EXPECT_EQ(*index, last++);
    EXPECT_FALSE(getPhases()[*index].summary.empty());
  }
  EXPECT_FALSE(findPhase("train_step"));
}

TEST_F(PipelineTest, ObservesEachPhaseOnce) {
  auto buffer = llvm::MemoryBuffer::getFile(PRIMUS_SOURCE_DIR "/tests/passes/Inputs/tiny-llama-model.mlir");
  ASSERT_TRUE(buffer);
  OwningOpRef<ModuleOp> module = parse((*buffer)->getBuffer().str());
  std::vector<std::string> seen;
  auto observe = [&](const Phase &phase, ModuleOp) { seen.push_back(phase.name.str()); };
  ASSERT_TRUE(succeeded(runPhases(*module, *findPhase("model"), *findPhase("fp8"), observe))) << messages;
  EXPECT_EQ(seen, (std::vector<std::string>{"model", "train", "fp8"}));
  seen.clear();
  // A dumped phase goes on from where it is.
  ASSERT_TRUE(succeeded(runPhases(*module, *findPhase("fp8"), *findPhase("placed"), observe))) << messages;
  EXPECT_EQ(seen, (std::vector<std::string>{"fp8", "sharded", "placed"}));
}

TEST_F(PipelineTest, ProgramsHoldStructureOnly) {
  expectRefused("model", R"(
    func.func @p(%x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = graph.exp %x : tensor<4xf32>
      return %0 : tensor<4xf32>
    })", "'graph.exp' op cannot be in a program");
}

TEST_F(PipelineTest, LayersArePure) {
  expectRefused("model", R"(
    graph.variable @w : tensor<4xf32> role parameter init #graph.init<"zeros">
    func.func private @f() -> tensor<4xf32> attributes {graph.layer = {layer = "f", part = "forward"}} {
      %0 = graph.load @w : tensor<4xf32>
      return %0 : tensor<4xf32>
    })", "'graph.load' op cannot be in a layer's function");
}

TEST_F(PipelineTest, LayersAreNamed) {
  expectRefused("model", R"(
    func.func private @f() attributes {graph.layer = {layer = "f"}} {
      return
    })", "needs the entries 'layer' and 'part'");
}

TEST_F(PipelineTest, ModelHasNoGradient) {
  // The smallest model: a loss that is a parameter.
  const std::string model = R"(
    graph.variable @w : tensor<f32> role parameter init #graph.init<"zeros">
    func.func private @head.forward(%w: tensor<f32> {graph.arg = "parameter"}) -> (tensor<f32>, tensor<f32>)
        attributes {graph.layer = {layer = "head", part = "forward"}} {
      return %w, %w : tensor<f32>, tensor<f32>
    }
    func.func @forward() -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
      %w = graph.load @w : tensor<f32>
      %0:2 = graph.call @head.forward(%w) instance "head" : (tensor<f32>) -> (tensor<f32>, tensor<f32>)
      return %0#0, %0#1 : tensor<f32>, tensor<f32>
    })";
  expectRefused("model", model + R"(
    graph.variable @w.grad : tensor<f32> role gradient init #graph.init<"zeros">)", "is state of the training step");
  expectRefused("model", model + R"(
    func.func private @head.backward() attributes {graph.layer = {layer = "head", part = "backward"}} {
      return
    })", "is part 'backward' of a layer");
  expectRefused("train", model, "has no program 'train_step'");
}

TEST_F(PipelineTest, TrainHasOneScheduleOfAllMicrobatches) {
  expectRefused("train", R"(
    func.func @train_step() {
      return
    })", "has 0 schedules instead of one");
  expectRefused("train", R"(
    func.func @train_step(%x: tensor<3xf32>) {
      %0 = graph.schedule microbatches 3 (%a = %x) : (tensor<3xf32>) -> tensor<f32> {
        graph.yield %a : tensor<f32>
      }
      return
    })", "runs over 3 microbatches, but graph.plan has 2");
}

TEST_F(PipelineTest, TrainChangesAllState) {
  const std::string step = R"(
    func.func @train_step(%x: tensor<2xf32>) {
      %0 = graph.schedule microbatches 2 (%a = %x) : (tensor<2xf32>) -> tensor<f32> {
        graph.store %a, @w.grad : tensor<f32>
        graph.yield %a : tensor<f32>
      }
      return
    }
    graph.variable @w.grad : tensor<f32> role gradient init #graph.init<"zeros">)";
  expectRefused("train", step, "accumulates the gradient of a parameter that 'train_step' does not update");
  expectRefused("train", R"(
    graph.variable @w.m : tensor<f32> role optimizer init #graph.init<"zeros">)" + step,
                "is never stored by 'train_step'");
}

TEST_F(PipelineTest, TrainLinksToFunctionsThatExist) {
  expectRefused("train", R"(
    func.func @train_step(%x: tensor<2xf32>) {
      %0 = graph.schedule microbatches 2 (%a = %x) : (tensor<2xf32>) -> tensor<f32> {
        graph.yield %a : tensor<f32>
      }
      return
    }
    func.func private @f() attributes {graph.backward = @g, graph.layer = {layer = "f", part = "forward"}} {
      return
    })", "names @g in graph.backward, which does not exist");
}

TEST_F(PipelineTest, ResultsOfProgramsAreReduced) {
  const std::string partial = "tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>>";
  expectRefused("sharded", "func.func @p(%x: " + partial + ") -> " + partial + " {\nreturn %x : " + partial + "\n}",
                "a program's result must be reduced");
  expectRefused("sharded", "graph.variable @w : " + partial + " role parameter init #graph.init<\"zeros\">",
                "is partial, which only gradients may be");
}

TEST_F(PipelineTest, KernelsComputeAllOps) {
  expectRefused("fused", R"(
    func.func private @f(%x: tensor<4xf32> {graph.arg = "activation"}) -> tensor<4xf32>
        attributes {graph.layer = {layer = "f", part = "forward"}} {
      %0 = graph.exp %x : tensor<4xf32>
      return %0 : tensor<4xf32>
    })", "'graph.exp' op is in no fusion");
  // Columns of a matrix are not a view.
  expectRefused("fused", R"(
    func.func private @f(%x: tensor<4x8xf32> {graph.arg = "activation"}) -> tensor<4x2xf32>
        attributes {graph.layer = {layer = "f", part = "forward"}} {
      %0 = graph.slice %x at [0, 2] : tensor<4x8xf32> -> tensor<4x2xf32>
      return %0 : tensor<4x2xf32>
    })", "'graph.slice' op is in no fusion");
}

} // namespace
