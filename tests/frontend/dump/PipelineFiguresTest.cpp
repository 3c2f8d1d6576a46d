//===- PipelineFiguresTest.cpp - Time and memory of pipelines, by hand -----===//

#include "frontend/dump/PipelineFigures.h"

#include "frontend/dump/Costs.h"
#include "frontend/dump/RankFigures.h"
#include "tests/ir/interpreter/Run.h"

using namespace mlir;
using namespace primus;
using namespace primus::cli;
using namespace primus::testing;

namespace {

/// Two stages and two microbatches on two data ranks, as split: a rank's row is its program. Products of 8x16 and 16x16.
constexpr const char *kModule = R"(module attributes {graph.placed, graph.mesh = #graph.mesh<"pp" = 2, "dp" = 2>,
    graph.pipeline = {stages = ["a", "b"], table = "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n"}} {
  graph.variable @a.w : tensor<16x16xf32> role parameter init #graph.init<"ones">
  graph.variable @a.w.grad : tensor<16x16xf32> role gradient init #graph.init<"zeros">
  graph.variable @b.m : tensor<32xf32> role optimizer init #graph.init<"zeros">
  func.func private @a.forward(%x: tensor<8x16xf32>, %w: tensor<16x16xf32>) -> tensor<8x16xf32> attributes {graph.layer = {layer = "a", part = "forward"}} {
    %y = graph.matmul "mk,nk->mn" %x, %w : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
    return %y : tensor<8x16xf32>
  }
  func.func private @a.backward(%dy: tensor<8x16xf32>, %w: tensor<16x16xf32>) -> tensor<8x16xf32> attributes {graph.layer = {layer = "a", part = "backward"}} {
    %dx = graph.matmul "mn,nk->mk" %dy, %w : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
    %dz = graph.matmul "mn,nk->mk" %dx, %w : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
    return %dz : tensor<8x16xf32>
  }
  func.func private @b.forward_backward(%y: tensor<8x16xf32>) -> tensor<8x16xf32> attributes {graph.layer = {layer = "b", part = "forward_backward"}} {
    %d = graph.neg %y : tensor<8x16xf32>
    return %d : tensor<8x16xf32>
  }
  func.func private @a.reduce(%g: tensor<16x16xf32>) -> tensor<16x16xf32> attributes {graph.layer = {layer = "a", part = "reduce"}} {
    %r = graph.all_reduce sum %g over ["dp"] : tensor<16x16xf32> -> tensor<16x16xf32>
    return %r : tensor<16x16xf32>
  }
  func.func @train_step.0(%xs: tensor<2x8x16xf32>) -> tensor<f32> attributes {graph.stage = 0 : i64} {
    %w = graph.load @a.w : tensor<16x16xf32>
    %x0 = graph.microbatch 0 of %xs : tensor<2x8x16xf32> -> tensor<8x16xf32>
    %y0 = graph.call @a.forward(%x0, %w) instance "a" : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
    graph.send %y0 to 1 : tensor<8x16xf32>
    %x1 = graph.microbatch 1 of %xs : tensor<2x8x16xf32> -> tensor<8x16xf32>
    %y1 = graph.call @a.forward(%x1, %w) instance "a" : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
    graph.send %y1 to 1 : tensor<8x16xf32>
    %d0 = graph.receive from 1 : tensor<8x16xf32>
    %b0 = graph.call @a.backward(%d0, %w) instance "a" : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
    %d1 = graph.receive from 1 : tensor<8x16xf32>
    %b1 = graph.call @a.backward(%d1, %w) instance "a" : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
    %g = graph.load @a.w.grad : tensor<16x16xf32>
    %r = graph.call @a.reduce(%g) instance "a" : (tensor<16x16xf32>) -> tensor<16x16xf32>
    graph.store %r, @a.w.grad : tensor<16x16xf32>
    %zero = graph.constant dense<0.0> : tensor<f32>
    %loss = graph.sum_stages %zero : tensor<f32>
    return %loss : tensor<f32>
  }
  func.func @train_step.1(%xs: tensor<2x8x16xf32>) -> tensor<f32> attributes {graph.stage = 1 : i64} {
    %y0 = graph.receive from 0 : tensor<8x16xf32>
    %d0 = graph.call @b.forward_backward(%y0) instance "b" : (tensor<8x16xf32>) -> tensor<8x16xf32>
    graph.send %d0 to 0 : tensor<8x16xf32>
    %y1 = graph.receive from 0 : tensor<8x16xf32>
    %d1 = graph.call @b.forward_backward(%y1) instance "b" : (tensor<8x16xf32>) -> tensor<8x16xf32>
    graph.send %d1 to 0 : tensor<8x16xf32>
    %m = graph.load @b.m : tensor<32xf32>
    graph.store %m, @b.m : tensor<32xf32>
    %zero = graph.constant dense<0.0> : tensor<f32>
    %loss = graph.sum_stages %zero : tensor<f32>
    return %loss : tensor<f32>
  }
})";

using PipelineFiguresTest = IrTest;

TEST_F(PipelineFiguresTest, WithoutHardwareOperationsCount) {
  OwningOpRef<ModuleOp> module = parse(kModule);
  ASSERT_TRUE(module);
  std::optional<PipelineFigures> figures = PipelineFigures::of(*module, "placed", spec::TrainingSpec());
  ASSERT_TRUE(figures);
  const double product = 2 * 8 * 16 * 16, negation = 8 * 16;
  EXPECT_FALSE(figures->isInSeconds);
  EXPECT_EQ(figures->messageSeconds, 0);
  ASSERT_EQ(figures->stages.size(), 2u);
  EXPECT_EQ(figures->stages[0].forward, product);
  EXPECT_EQ(figures->stages[0].get(schedules::ActionKind::Backward), 2 * product);
  EXPECT_EQ(figures->stages[1].forward, negation);
  EXPECT_EQ(figures->stages[1].get(schedules::ActionKind::Backward), 0);
  // Rank 0 computes all the time.
  EXPECT_EQ(figures->timing.seconds, 6 * product);
  EXPECT_DOUBLE_EQ(figures->timing.bubble, 1 - (6 * product + 2 * negation) / (12 * product));
  nlohmann::ordered_json report = figures->toJson();
  EXPECT_EQ(report["unit"], "operations");
  EXPECT_EQ(report["rank_times"][0]["bubble"], 0);
  EXPECT_EQ(report["critical_path"]["first"], nlohmann::ordered_json({"0F0", "0F1", "0B0", "0B1"}));
  EXPECT_EQ(report["stage_times"][1]["first"], "b");
}

TEST_F(PipelineFiguresTest, HardwareAndLinks) {
  OwningOpRef<ModuleOp> module = parse(kModule);
  ASSERT_TRUE(module);
  spec::TrainingSpec spec;
  spec::Hardware &hardware = *spec.mutable_hardware();
  hardware.set_f32_flops(4096);
  hardware.set_memory_bandwidth(512);
  hardware.set_links(1);
  hardware.set_link_bandwidth(256);
  hardware.set_network_bandwidth(128);
  PipelineFigures figures = *PipelineFigures::of(*module, "placed", spec);
  EXPECT_TRUE(figures.isInSeconds);
  // Bytes take longer than operations: a product moves 2 KiB and an operand of 512 B, a result as large.
  EXPECT_DOUBLE_EQ(figures.stages[0].forward, 2048 / 512.0);
  EXPECT_DOUBLE_EQ(figures.stages[1].forward, 2.0);
  // The next stage is two ranks further, on another node of two.
  EXPECT_DOUBLE_EQ(figures.messageSeconds, 512 / 128.0);
  DeviceRates rates(hardware, (*module)->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr));
  EXPECT_DOUBLE_EQ(rates.getCollectiveSeconds(512, Builder(&context).getStrArrayAttr({"dp"})), 2);
  EXPECT_DOUBLE_EQ(rates.getCollectiveSeconds(512, Builder(&context).getStrArrayAttr({"pp", "dp"})), 4);
}

TEST_F(PipelineFiguresTest, CollectivesRunBesideKernelsThatDoNotNeedThem) {
  OwningOpRef<ModuleOp> module = parse(R"(module attributes {graph.mesh = #graph.mesh<"dp" = 2>} {
    func.func private @beside(%x: tensor<8x16xf32>) -> (tensor<8x16xf32>, tensor<8x16xf32>) {
      %y = graph.neg %x : tensor<8x16xf32>
      %sum = graph.all_reduce sum %y over ["dp"] : tensor<8x16xf32> -> tensor<8x16xf32>
      %z = graph.neg %y : tensor<8x16xf32>
      %n = graph.neg %sum : tensor<8x16xf32>
      return %n, %z : tensor<8x16xf32>, tensor<8x16xf32>
    }
    func.func private @before(%x: tensor<8x16xf32>) -> (tensor<8x16xf32>, tensor<8x16xf32>) {
      %y = graph.neg %x : tensor<8x16xf32>
      %sum = graph.all_reduce sum %y over ["dp"] : tensor<8x16xf32> -> tensor<8x16xf32>
      %n = graph.neg %sum : tensor<8x16xf32>
      %z = graph.neg %y : tensor<8x16xf32>
      return %n, %z : tensor<8x16xf32>, tensor<8x16xf32>
    }
    func.func private @last(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
      %sum = graph.all_reduce sum %x over ["dp"] : tensor<8x16xf32> -> tensor<8x16xf32>
      return %sum : tensor<8x16xf32>
    }
  })");
  ASSERT_TRUE(module);
  spec::Hardware hardware;
  hardware.set_f32_flops(4096);
  hardware.set_memory_bandwidth(512);
  hardware.set_links(1);
  hardware.set_link_bandwidth(256);
  CostCounter counter(*module, DeviceRates(hardware, (*module)->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr)));
  // Two seconds each.
  auto getSeconds = [&](StringRef name) { return counter.count(module->lookupSymbol<func::FuncOp>(name).front()).seconds; };
  EXPECT_DOUBLE_EQ(getSeconds("beside"), 6);
  EXPECT_DOUBLE_EQ(getSeconds("before"), 8);
  EXPECT_DOUBLE_EQ(getSeconds("last"), 2);
}

TEST_F(PipelineFiguresTest, RanksHaveTheirOwn) {
  OwningOpRef<ModuleOp> module = parse(kModule);
  ASSERT_TRUE(module);
  nlohmann::ordered_json ranks = describeRanks(*module);
  ASSERT_EQ(ranks.size(), 2u);
  for (int64_t stage : {0, 1}) {
    EXPECT_EQ(ranks[stage]["stage"], stage);
    EXPECT_EQ(ranks[stage]["count"], 2);
    EXPECT_EQ(ranks[stage]["input_bytes"], 2 * 8 * 16 * 4 + 4);
  }
  EXPECT_EQ(ranks[0]["parameter_bytes"], 1024);
  EXPECT_EQ(ranks[0]["gradient_bytes"], 1024);
  EXPECT_EQ(ranks[0]["optimizer_bytes"], 0);
  EXPECT_EQ(ranks[1]["parameter_bytes"], 0);
  EXPECT_EQ(ranks[1]["optimizer_bytes"], 128);
  EXPECT_EQ(ranks[0]["communication"],
            nlohmann::ordered_json::parse(R"([{"kind": "all_reduce", "axes": ["dp"], "count": 1, "bytes": 1024},
                                              {"kind": "send", "axes": ["pp"], "count": 2, "bytes": 1024},
                                              {"kind": "sum_stages", "axes": ["pp"], "count": 1, "bytes": 4}])"));
  (*module)->removeAttr(graph::kPlacedAttr);
  EXPECT_TRUE(describeRanks(*module).is_null());
}

} // namespace
