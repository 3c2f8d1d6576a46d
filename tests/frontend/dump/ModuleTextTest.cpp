//===- ModuleTextTest.cpp - Names survive printing and parsing -------------===//

#include "frontend/dump/ModuleText.h"
#include "passes/LayerFunction.h"
#include "passes/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/SourceMgr.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

namespace {

class ModuleTextTest : public ::testing::Test {
protected:
  ModuleTextTest() : handler(&context, [&](Diagnostic &diagnostic) { messages += diagnostic.str() + "\n"; }) {
    DialectRegistry registry;
    registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  OwningOpRef<ModuleOp> parse(const std::string &text) {
    llvm::SourceMgr sources;
    sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(text, "input.mlir"), llvm::SMLoc());
    return parseModule(sources, &context);
  }

  /// A function that negates its argument `x` once per name, and results named so.
  OwningOpRef<ModuleOp> build(ArrayRef<StringRef> names) {
    OpBuilder builder(&context);
    auto locate = [&](StringRef name) -> Location {
      return name.empty() ? Location(builder.getUnknownLoc()) : NameLoc::get(builder.getStringAttr(name));
    };
    OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc());
    builder.setInsertionPointToEnd(module->getBody());
    auto type = RankedTensorType::get({4}, builder.getF32Type());
    auto function = func::FuncOp::create(builder, locate("f"), "f", builder.getFunctionType(type, {}));
    Block *body = function.addEntryBlock();
    body->getArgument(0).setLoc(locate("x"));
    builder.setInsertionPointToEnd(body);
    for (StringRef name : names)
      graph::NegOp::create(builder, locate(name), type, body->getArgument(0));
    func::ReturnOp::create(builder, locate("f"));
    return module;
  }

  std::vector<std::string> getNames(ModuleOp module) {
    std::vector<std::string> names;
    module.walk([&](graph::NegOp op) { names.push_back(getValueName(op).str()); });
    return names;
  }

  MLIRContext context;
  std::string messages;
  ScopedDiagnosticHandler handler;
};

TEST_F(ModuleTextTest, NamesComeBackWithoutLocations) {
  OwningOpRef<ModuleOp> module = build({"attention.q", "attention.q", "", "attention.q.grad", "x"});
  std::string text = printModule(*module);
  EXPECT_EQ(text.find("loc("), std::string::npos) << text;
  EXPECT_NE(text.find("%attention.q_0 ="), std::string::npos) << text;
  OwningOpRef<ModuleOp> again = parse(text);
  ASSERT_TRUE(again) << messages;
  EXPECT_EQ(getNames(*again), getNames(*module));
  EXPECT_EQ(getNames(*again)[2], "") << "a number is no name";
  EXPECT_EQ(printModule(*again), text);
}

TEST_F(ModuleTextTest, NamesThatLookNumberedKeepTheirLocations) {
  // Printed as names alone, the second %norm and norm_0 could not be told apart; nor would a space survive.
  for (std::vector<StringRef> names : {std::vector<StringRef>{"norm", "norm", "norm_0"}, {"two words"}, {"7th"}}) {
    OwningOpRef<ModuleOp> module = build(names);
    std::string text = printModule(*module);
    EXPECT_NE(text.find("loc("), std::string::npos) << text;
    OwningOpRef<ModuleOp> again = parse(text);
    ASSERT_TRUE(again) << messages;
    EXPECT_EQ(getNames(*again), getNames(*module));
  }
}

TEST_F(ModuleTextTest, TheSpecStandsBehindTheModule) {
  OwningOpRef<ModuleOp> module = build({});
  const std::string spec = "model {\n  name: \"a \\\"b\\\"\"\n}\n";
  (*module)->setAttr("primus.spec", StringAttr::get(&context, spec));
  std::string text = printModule(*module);
  EXPECT_GT(text.find("model {"), text.find("func.func")) << text;
  EXPECT_EQ((*module)->getAttrOfType<StringAttr>("primus.spec").str(), spec) << "printing changes nothing";
  OwningOpRef<ModuleOp> again = parse(text);
  ASSERT_TRUE(again) << messages;
  ASSERT_TRUE((*again)->hasAttr("primus.spec"));
  EXPECT_EQ((*again)->getAttrOfType<StringAttr>("primus.spec").str(), spec);
}

TEST_F(ModuleTextTest, RefusesWhatIsNoModule) {
  for (const char *text : {"", "module {} module {}", "func.func private @f()", "module {", "module { graph.nonsense }"}) {
    messages.clear();
    EXPECT_FALSE(parse(text)) << text;
    EXPECT_FALSE(messages.empty()) << text;
  }
}

} // namespace
