//===- MemoryTimelineTest.cpp - What lies in the arena, and when ----------===//

#include "frontend/dump/MemoryTimeline.h"

#include "passes/Passes.h"
#include "passes/Pipeline.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"

#include "gtest/gtest.h"

using namespace mlir;
using namespace primus;
using namespace primus::cli;

namespace {

class MemoryTimelineTest : public ::testing::Test {
protected:
  MemoryTimelineTest() {
    DialectRegistry registry;
    registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  const ProgramTimeline &find(const MemoryTimeline &timeline, StringRef name) {
    for (const ProgramTimeline &program : timeline.programs)
      if (program.name == name)
        return program;
    ADD_FAILURE() << "no program " << name.str();
    return timeline.programs.front();
  }

  MLIRContext context;
};

/// Buffers by hand: one lives through two launches, one through a call, whose temporary lies in its scratch region.
TEST_F(MemoryTimelineTest, FollowsLiveRanges) {
  auto module = parseSourceString<ModuleOp>(R"(
    graph.variable @layers.0.w : tensor<16xf32> role parameter init #graph.init<"ones"> {step.offset = 0 : i64}
    kernel.func @copy(%x: memref<16xf32>, %y: memref<16xf32>) grid [1] {
      kernel.return
    }
    step.function @layer.forward(%x: memref<16xf32>, %y: memref<16xf32>) scratch 128 {
      %t = step.buffer offset 64 "t" : memref<16xf32>
      step.launch @copy(%x, %t) : memref<16xf32>, memref<16xf32>
      step.launch @copy(%t, %y) : memref<16xf32>, memref<16xf32> loc("hidden")
      step.launch @copy(%x, %y) : memref<16xf32>, memref<16xf32>
      step.return
    }
    step.program @train_step(%x: memref<16xf32> {step.name = "x", step.offset = 64 : i64}) arena 384 {
      %w = step.buffer offset 0 variable @layers.0.w : memref<16xf32>
      %a = step.buffer offset 128 "a" : memref<16xf32>
      step.copy %x, %a : memref<16xf32>
      step.loop 3 {
        %b = step.buffer offset 192 "b" : memref<16xf32>
        %s = step.buffer offset 256 "s" : memref<128xi8>
        step.call @layer.forward(%a, %b) scratch(%s : memref<128xi8>) instance "layers.0" : memref<16xf32>, memref<16xf32>
        step.return
      }
      step.fill %w : memref<16xf32>
      step.return
    })",
                                            &context);
  ASSERT_TRUE(module);
  MemoryTimeline timeline = MemoryTimeline::of(*module);
  ASSERT_EQ(timeline.variables.size(), 1u);
  EXPECT_EQ(timeline.variables[0].instance, "layers.0");
  EXPECT_EQ(timeline.variables[0].name, "w");
  const ProgramTimeline &program = find(timeline, "train_step");
  ASSERT_EQ(program.actions.size(), 3u);
  EXPECT_EQ(program.actions[1].callee, "layer.forward");
  ASSERT_EQ(program.loops.size(), 1u);
  EXPECT_EQ(program.loops[0].count, 3);
  EXPECT_EQ(program.loops[0].first, 1u);
  EXPECT_EQ(program.loops[0].last, 1u);
  for (const TimelineBuffer &buffer : program.buffers)
    if (buffer.purpose == Purpose::Activations) {
      EXPECT_EQ(buffer.instance + "/" + buffer.name, "layers.0/hidden");
      EXPECT_EQ(buffer.type, "16xf32");
    }

  // copy; the call's three launches, of which the first two hold the temporary; fill. All buffers have 64 bytes.
  std::vector<MemoryPoint> points = timeline.getPoints(program);
  std::vector<int64_t> sums, extents;
  for (const MemoryPoint &point : points) {
    sums.push_back(point.sum());
    extents.push_back(point.extent);
  }
  EXPECT_EQ(sums, (std::vector<int64_t>{192, 320, 320, 256, 128}));
  EXPECT_EQ(extents, (std::vector<int64_t>{192, 384, 384, 256, 128}));
  auto json = timeline.toJson();
  EXPECT_EQ(json["programs"][0]["peak"]["bytes"], 384);
  EXPECT_EQ(json["programs"][0]["peak"]["live"], 320);
  EXPECT_EQ(json["functions"][0]["scratch"], (std::vector<int64_t>{64, 64, 0}));
}

TEST_F(MemoryTimelineTest, PeakOfAModelIsItsArena) {
  auto buffer = llvm::MemoryBuffer::getFile(PRIMUS_SOURCE_DIR "/tests/passes/Inputs/tiny-llama-model.mlir");
  ASSERT_TRUE(buffer);
  auto module = parseSourceString<ModuleOp>((*buffer)->getBuffer(), &context);
  ASSERT_TRUE(module);
  Builder builder(&context);
  (*module)->setAttr("primus.target", builder.getStringAttr("cpu"));
  (*module)->setAttr("primus.cpu_features", builder.getArrayAttr({}));
  ASSERT_TRUE(succeeded(runPhases(*module, *findPhase("model"), *findPhase("step"))));
  MemoryTimeline timeline = MemoryTimeline::of(*module);
  int64_t largest = 0;
  for (const ProgramTimeline &program : timeline.programs) {
    int64_t extent = 0, live = 0;
    for (const MemoryPoint &point : timeline.getPoints(program)) {
      EXPECT_LE(point.sum(), point.extent);
      extent = std::max(extent, point.extent);
      live = std::max(live, point.sum());
    }
    EXPECT_LE(extent, program.arena);
    EXPECT_GT(live, extent / 2) << program.name << " is mostly gaps";
    largest = std::max(largest, extent);
  }
  EXPECT_EQ(largest, find(timeline, "train_step").arena);
}

} // namespace
