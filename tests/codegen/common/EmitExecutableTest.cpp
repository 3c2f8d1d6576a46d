//===- EmitExecutableTest.cpp - What concerns several ranks ---------------===//

#include "codegen/common/EmitExecutable.h"

#include "passes/Passes.h"
#include "runtime/executable/Validation.h"

#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

using namespace primus;

namespace {

/// The executable of a planned step module.
executable::Executable emit(llvm::StringRef source) {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  executable::Executable result;
  auto module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
  EXPECT_TRUE(module && mlir::succeeded(emitExecutable(*module, result)));
  return result;
}

TEST(EmitExecutableTest, CollectivesAndWaits) {
  executable::Executable result = emit(R"(
module attributes {graph.mesh = #graph.mesh<"dp" = 1, "fsdp" = 2, "tp" = 3>} {
  step.function @f(%x: memref<4x6xbf16>, %y: memref<8x6xbf16>) scratch 96 {
    %t = step.buffer offset 0 : memref<12x2xbf16>
    %v = step.view %y at 48 : memref<8x6xbf16> -> memref<4x6xbf16>
    step.collective all_reduce sum over ["fsdp", "tp"] %x to %v ticket 5 instance "layers.1" because "x is partial" : memref<4x6xbf16> to memref<4x6xbf16>
    step.collective all_to_all over ["tp"] %x to %t dims [1] concat [0] : memref<4x6xbf16> to memref<12x2xbf16>
    step.wait 5
    step.collective permute over ["tp"] %x to %v shift 2 : memref<4x6xbf16> to memref<4x6xbf16>
    step.return
  }
})");
  ASSERT_EQ(result.mesh().names_size(), 3);
  EXPECT_EQ(result.mesh().names(1), "fsdp");
  EXPECT_EQ(result.mesh().sizes(2), 3);

  ASSERT_EQ(result.functions_size(), 1);
  const auto &actions = result.functions(0).actions();
  ASSERT_EQ(actions.size(), 4);
  const executable::Collective &reduce = actions[0].collective();
  EXPECT_EQ(reduce.kind(), "all_reduce");
  EXPECT_EQ(reduce.reduction(), "sum");
  EXPECT_EQ(std::vector<std::string>(reduce.axes().begin(), reduce.axes().end()), (std::vector<std::string>{"fsdp", "tp"}));
  EXPECT_EQ(reduce.data_type(), executable::BF16);
  EXPECT_EQ(reduce.ticket(), 5);
  EXPECT_EQ(reduce.instance(), "layers.1");
  EXPECT_EQ(reduce.reason(), "x is partial");
  ASSERT_EQ(reduce.parts_size(), 1);
  EXPECT_EQ(reduce.parts(0).source().argument(), 0);
  EXPECT_EQ(reduce.parts(0).target().argument(), 1);
  EXPECT_EQ(reduce.parts(0).target().offset(), 48);

  const executable::Part &exchanged = actions[1].collective().parts(0);
  EXPECT_EQ(std::vector<int64_t>(exchanged.shape().begin(), exchanged.shape().end()), (std::vector<int64_t>{4, 6}));
  EXPECT_EQ(exchanged.dim(), 1);
  EXPECT_EQ(exchanged.second_dim(), 0);
  EXPECT_TRUE(exchanged.target().scratch());
  EXPECT_EQ(actions[2].wait().ticket(), 5);
  runtime::Error error = runtime::validateActions(result);
  EXPECT_FALSE(error) << error.getMessage();
  EXPECT_EQ(actions[3].collective().shift(), 2);
}

TEST(EmitExecutableTest, LayoutsOfVariablesAndPorts) {
  executable::Executable result = emit(R"(
module attributes {graph.mesh = #graph.mesh<"dp" = 1, "fsdp" = 2, "tp" = 3>} {
  graph.variable @w : tensor<4x6xf32, #graph.layout<mesh, [["tp", "fsdp"], ["dp"]]>> role parameter init #graph.init<"ones"> {step.offset = 0 : i64}
  graph.variable @g : tensor<4x6xf32, #graph.layout<mesh, [[], []], partial = {fsdp : sum}>> role gradient init #graph.init<"zeros"> {step.offset = 128 : i64}
  graph.variable @axis_index.tp : tensor<i32, #graph.layout<mesh, []>> role constant init #graph.init<"axis_index", {axes = ["tp"]}> {step.offset = 256 : i64}
  step.program @p(%x: memref<2x5xf32> {step.name = "x", step.offset = 320 : i64, step.layout = #graph.layout<mesh, [[], ["tp"]]>},
                  %y: memref<5xf32> {step.name = "y", step.offset = 384 : i64}) arena 448 {
    step.return
  }
})");
  ASSERT_EQ(result.variables_size(), 3);
  const executable::Layout &weight = result.variables(0).layout();
  ASSERT_EQ(weight.dims_size(), 2);
  EXPECT_EQ(weight.global_shape(0), 24);
  EXPECT_EQ(weight.global_shape(1), 6);
  EXPECT_EQ(weight.dims(0).names(0), "tp");
  EXPECT_EQ(weight.dims(0).names(1), "fsdp");
  // An axis of one rank splits nothing.
  EXPECT_EQ(weight.dims(1).names_size(), 0);
  EXPECT_EQ(result.variables(1).layout().partial(0), "fsdp");
  EXPECT_FALSE(result.variables(2).has_layout());
  EXPECT_EQ(result.variables(2).initializer().axes(0), "tp");

  ASSERT_EQ(result.programs(0).inputs_size(), 2);
  EXPECT_EQ(result.programs(0).inputs(0).layout().global_shape(1), 15);
  EXPECT_FALSE(result.programs(0).inputs(1).has_layout());
}

TEST(EmitExecutableTest, OneRankHasNoMesh) {
  executable::Executable result = emit(R"(module attributes {graph.mesh = #graph.mesh<"dp" = 1, "tp" = 1>} {})");
  EXPECT_FALSE(result.has_mesh());
}

} // namespace
