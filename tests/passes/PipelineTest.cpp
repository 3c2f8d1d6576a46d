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
  /// The message with which a phase's verifier refuses a module.
  std::string refuse(StringRef phase, const std::string &text) {
    OwningOpRef<ModuleOp> module = parse(text);
    unsigned index = *findPhase(phase);
    EXPECT_TRUE(module && failed(runPhases(*module, index, index)));
    return messages;
  }
};

constexpr char kPlan[] = R"(graph.plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64,
    recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95,
    epsilon = 1.0e-08, weight_decay = 0.0}, graph.mesh = #graph.mesh<"dp" = 1>)";

std::string moduleOf(const std::string &body) { return std::string("module attributes {") + kPlan + "} {\n" + body + "}\n"; }

TEST_F(PipelineTest, FindsPhasesInOrder) {
  unsigned last = 0;
  for (StringRef name : {"config", "spec", "model", "train", "fp8", "sharded", "placed"}) {
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
  EXPECT_NE(refuse("model", moduleOf(R"(
    func.func @p(%x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = graph.exp %x : tensor<4xf32>
      return %0 : tensor<4xf32>
    })")).find("'graph.exp' op cannot be in a program"), std::string::npos);
}

TEST_F(PipelineTest, LayersArePure) {
  EXPECT_NE(refuse("model", moduleOf(R"(
    graph.variable @w : tensor<4xf32> role parameter init #graph.init<"zeros">
    func.func private @f() -> tensor<4xf32> attributes {graph.layer = {layer = "f", part = "forward"}} {
      %0 = graph.load @w : tensor<4xf32>
      return %0 : tensor<4xf32>
    })")).find("'graph.load' op cannot be in a layer's function"), std::string::npos);
}

TEST_F(PipelineTest, LayersAreNamed) {
  EXPECT_NE(refuse("model", moduleOf(R"(
    func.func private @f() attributes {graph.layer = {layer = "f"}} {
      return
    })")).find("needs the entries 'layer' and 'part'"), std::string::npos);
}

/// The smallest model: a loss that is a parameter.
constexpr char kModel[] = R"(
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

TEST_F(PipelineTest, ModelHasNoGradient) {
  EXPECT_NE(refuse("model", moduleOf(std::string(kModel) + R"(
    graph.variable @w.grad : tensor<f32> role gradient init #graph.init<"zeros">)")).find("is state of the training step"),
            std::string::npos);
  EXPECT_NE(refuse("model", moduleOf(std::string(kModel) + R"(
    func.func private @head.backward() attributes {graph.layer = {layer = "head", part = "backward"}} {
      return
    })")).find("is part 'backward' of a layer"), std::string::npos);
}

TEST_F(PipelineTest, TrainHasAWholeStep) {
  EXPECT_NE(refuse("train", moduleOf(kModel)).find("has no program 'train_step'"), std::string::npos);
  EXPECT_NE(refuse("train", moduleOf(R"(
    func.func @train_step() {
      return
    })")).find("has 0 schedules instead of one"), std::string::npos);
  auto withSchedule = [](const std::string &count, const std::string &more) {
    return moduleOf("func.func @train_step(%x: tensor<" + count + "xf32>) {\n %0 = graph.schedule microbatches " + count +
                    " (%a = %x) : (tensor<" + count + "xf32>) -> tensor<f32> {\n graph.yield %a : tensor<f32>\n }\n return\n}\n" +
                    more);
  };
  EXPECT_NE(refuse("train", withSchedule("3", "")).find("runs over 3 microbatches, but graph.plan has 2"), std::string::npos);
  EXPECT_NE(refuse("train", withSchedule("2", R"(
    graph.variable @w.m : tensor<f32> role optimizer init #graph.init<"zeros">)")).find("is never stored by 'train_step'"),
            std::string::npos);
  EXPECT_NE(refuse("train", withSchedule("2", R"(
    func.func private @f() attributes {graph.backward = @g, graph.layer = {layer = "f", part = "forward"}} {
      return
    })")).find("names @g in graph.backward, which does not exist"), std::string::npos);
}

TEST_F(PipelineTest, GradientsBelongToUpdatedParameters) {
  EXPECT_NE(refuse("train", moduleOf(R"(
    graph.variable @w.grad : tensor<f32> role gradient init #graph.init<"zeros">
    func.func @train_step(%x: tensor<2xf32>) {
      %0 = graph.schedule microbatches 2 (%a = %x) : (tensor<2xf32>) -> tensor<f32> {
        graph.store %a, @w.grad : tensor<f32>
        graph.yield %a : tensor<f32>
      }
      return
    })")).find("accumulates the gradient of a parameter that 'train_step' does not update"), std::string::npos);
}

TEST_F(PipelineTest, ResultsOfProgramsAreReduced) {
  EXPECT_NE(refuse("sharded", moduleOf(R"(
    func.func @p(%x: tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>>) -> tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>> {
      return %x : tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>>
    })")).find("a program's result must be reduced"), std::string::npos);
  EXPECT_NE(refuse("sharded", moduleOf(R"(
    graph.variable @w : tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>> role parameter init #graph.init<"zeros">)"))
                .find("is partial, which only gradients may be"), std::string::npos);
}

} // namespace
