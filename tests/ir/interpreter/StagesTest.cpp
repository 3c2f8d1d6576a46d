//===- StagesTest.cpp - Programs of a pipeline's ranks --------------------===//

#include "tests/ir/interpreter/Run.h"

#include "ir/interpreter/Stages.h"

using namespace mlir;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

class Stages : public IrTest {
protected:
  /// Runs @p of two stages, whose programs have these bodies and return a scalar.
  FailureOr<SmallVector<Tensor>> runBoth(const std::string &first, const std::string &second) {
    auto program = [](int stage, const std::string &body) {
      return "func.func @p." + std::to_string(stage) + "(%x: tensor<f32>) -> tensor<f32> attributes {graph.stage = " +
             std::to_string(stage) + " : i64} {\n" + body + "\n}\n";
    };
    module = parse("module attributes {graph.placed, graph.mesh = #graph.mesh<\"pp\" = 2>} {\n" + program(0, first) +
                   program(1, second) + "}");
    if (!module)
      return failure();
    return StagedInterpreter(*module).run("p", {tensor({}, {3})});
  }

  OwningOpRef<ModuleOp> module;
};

} // namespace

TEST_F(Stages, ReceivesWaitWhereTheirValueIsUsed) {
  // Both start to receive before they send.
  const char *body[] = {"%y = graph.receive from 1 : tensor<f32> graph.send %x to 1 : tensor<f32> "
                        "%s = graph.sum_stages %y : tensor<f32> return %s : tensor<f32>",
                        "%y = graph.receive from 0 : tensor<f32> %d = graph.add %x, %x : tensor<f32> "
                        "graph.send %d to 0 : tensor<f32> %s = graph.sum_stages %y : tensor<f32> return %s : tensor<f32>"};
  auto results = runBoth(body[0], body[1]);
  ASSERT_TRUE(succeeded(results)) << messages;
  EXPECT_EQ((*results)[0].values, std::vector<double>{6 + 3});
}

TEST_F(Stages, MessagesKeepTheirOrder) {
  auto results = runBoth("%d = graph.add %x, %x : tensor<f32> graph.send %x to 1 : tensor<f32> graph.send %d to 1 : tensor<f32> "
                         "%z = graph.receive from 1 : tensor<f32> return %z : tensor<f32>",
                         "%a = graph.receive from 0 : tensor<f32> %b = graph.receive from 0 : tensor<f32> "
                         "%z = graph.sub %b, %a : tensor<f32> graph.send %z to 0 : tensor<f32> return %z : tensor<f32>");
  ASSERT_TRUE(succeeded(results)) << messages;
  EXPECT_EQ((*results)[0].values, std::vector<double>{3});
}

TEST_F(Stages, ProgramsThatDoNotFitTogetherAreErrors) {
  EXPECT_TRUE(failed(runBoth("%y = graph.receive from 1 : tensor<f32> return %y : tensor<f32>",
                             "%y = graph.receive from 0 : tensor<f32> graph.send %y to 0 : tensor<f32> return %y : tensor<f32>")));
  EXPECT_NE(messages.find("waits for what no other stage does"), std::string::npos) << messages;
  messages.clear();
  EXPECT_TRUE(failed(runBoth("graph.send %x to 1 : tensor<f32> return %x : tensor<f32>", "return %x : tensor<f32>")));
  EXPECT_NE(messages.find("stage 1 does not receive as many messages as stage 0 sends"), std::string::npos) << messages;
  messages.clear();
  EXPECT_TRUE(failed(runBoth("graph.send %x, %x to 1 : tensor<f32>, tensor<f32> return %x : tensor<f32>",
                             "%y = graph.receive from 0 : tensor<f32> %z = graph.add %y, %x : tensor<f32> return %z : tensor<f32>")));
  EXPECT_NE(messages.find("gets other values than stage 0 sends"), std::string::npos) << messages;
  messages.clear();
  EXPECT_TRUE(failed(runBoth("return %x : tensor<f32>", "%d = graph.add %x, %x : tensor<f32> return %d : tensor<f32>")));
  EXPECT_NE(messages.find("gives another result #0 on stage 1 than on stage 0"), std::string::npos) << messages;
}
