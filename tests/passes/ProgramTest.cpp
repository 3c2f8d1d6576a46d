//===- ProgramTest.cpp - Reading the forward program -----------------------===//

#include "passes/Program.h"
#include "tests/ir/interpreter/Run.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class ProgramTest : public IrTest {
protected:
  /// A program with an unshard part, a layer and the loss.
  static std::string getSource() {
    return R"(
graph.variable @w : tensor<4xf32> role parameter init #graph.init<"ones">
graph.variable @c : tensor<4xbf16> role constant init #graph.init<"ones">
func.func private @block.unshard(%w: tensor<4xf32>) -> tensor<4xbf16> attributes {graph.layer = {layer = "block", part = "unshard"}} {
  %0 = graph.convert %w : tensor<4xf32> -> tensor<4xbf16>
  return %0 : tensor<4xbf16>
}
func.func private @block.forward(%x: tensor<4xbf16>, %w: tensor<4xbf16>, %c: tensor<4xbf16>) -> tensor<4xbf16> attributes {graph.layer = {layer = "block", part = "forward"}} {
  %0 = graph.mul %x, %w : tensor<4xbf16>
  return %0 : tensor<4xbf16>
}
func.func private @head.forward(%x: tensor<4xbf16>) -> (tensor<f32>, tensor<f32>) attributes {graph.layer = {layer = "head", part = "forward"}} {
  %0 = graph.constant dense<1.0> : tensor<f32>
  %1 = graph.constant dense<2.0> : tensor<f32>
  return %1, %0 : tensor<f32>, tensor<f32>
}
func.func @forward(%x: tensor<4xbf16> {graph.name = "x"}) -> (tensor<f32> {graph.name = "valid_tokens"}, tensor<f32> {graph.name = "loss_sum"}) {
  %w = graph.load @w : tensor<4xf32>
  %c = graph.load @c : tensor<4xbf16>
  %wc = graph.call @block.unshard(%w) instance "layers.0" : (tensor<4xf32>) -> tensor<4xbf16>
  %y = graph.call @block.forward(%x, %wc, %c) instance "layers.0" : (tensor<4xbf16>, tensor<4xbf16>, tensor<4xbf16>) -> tensor<4xbf16>
  %z = graph.call @block.forward(%y, %wc, %c) instance "layers.1" : (tensor<4xbf16>, tensor<4xbf16>, tensor<4xbf16>) -> tensor<4xbf16>
  %loss, %valid = graph.call @head.forward(%z) instance "head" : (tensor<4xbf16>) -> (tensor<f32>, tensor<f32>)
  return %valid, %loss : tensor<f32>, tensor<f32>
})";
  }

  /// The message about the program with one text replaced.
  std::string getMessage(StringRef from, StringRef to) {
    std::string text = getSource();
    size_t begin = text.find(from);
    EXPECT_NE(begin, std::string::npos) << from.str();
    text.replace(begin, from.size(), to);
    auto module = parse(text);
    messages.clear();
    EXPECT_TRUE(module && failed(ForwardProgram::get(*module)));
    return messages;
  }
};

TEST_F(ProgramTest, IsRead) {
  auto module = parse(getSource());
  ASSERT_TRUE(module);
  FailureOr<ForwardProgram> program = ForwardProgram::get(*module);
  ASSERT_TRUE(succeeded(program)) << messages;
  ASSERT_EQ(program->layers.size(), 3u);
  EXPECT_EQ(program->layers[1].call.getInstance(), "layers.1");
  EXPECT_EQ(program->layers[1].forward.getName(), "block.forward");
  EXPECT_EQ(program->loss, program->layers[2].call);
  EXPECT_EQ(program->lossForward.getName(), "head.forward");
  // By name, not by place.
  EXPECT_EQ(program->lossResult, 0u);
  EXPECT_EQ(program->validResult, 1u);
}

TEST_F(ProgramTest, VariablesAreFoundBehindCopies) {
  auto module = parse(getSource());
  ASSERT_TRUE(module);
  FailureOr<ForwardProgram> program = ForwardProgram::get(*module);
  ASSERT_TRUE(succeeded(program)) << messages;
  SymbolTableCollection symbols;
  graph::CallOp call = program->layers[0].call;
  EXPECT_EQ(findVariable(call.getOperand(1), symbols), module->lookupSymbol("w"));
  EXPECT_EQ(findVariable(call.getOperand(2), symbols), module->lookupSymbol("c"));
  EXPECT_FALSE(findVariable(call.getOperand(0), symbols));
  EXPECT_FALSE(findVariable(program->layers[1].call.getOperand(0), symbols));
}

TEST_F(ProgramTest, WhatIsWrongIsSaid) {
  EXPECT_NE(getMessage("@forward(", "@backward(").find("has no program 'forward'"), std::string::npos) << messages;
  EXPECT_NE(getMessage("part = \"forward\"", "part = \"update\"").find("neither a part 'forward' nor 'unshard'"),
            std::string::npos)
      << messages;
  EXPECT_NE(getMessage("\"valid_tokens\"", "\"tokens\"").find("has no result with graph.name = \"valid_tokens\""),
            std::string::npos)
      << messages;
  EXPECT_NE(getMessage("return %valid, %loss",
                       "%l2, %v2 = graph.call @head.forward(%y) instance \"other\" : (tensor<4xbf16>) -> (tensor<f32>, tensor<f32>)\n"
                       "  return %v2, %loss")
                .find("must compute loss_sum and valid_tokens in one call of a layer"),
            std::string::npos)
      << messages;
  EXPECT_NE(getMessage("return %valid, %loss",
                       "%one = graph.constant dense<1.0> : tensor<f32>\n  return %one, %loss")
                .find("must compute its result 'valid_tokens' as a tensor<f32>, or one value per group"),
            std::string::npos)
      << messages;
}

} // namespace
