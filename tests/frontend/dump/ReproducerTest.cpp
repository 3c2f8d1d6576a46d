//===- ReproducerTest.cpp - Files that repeat a failure of a pass ----------===//

#include "frontend/dump/Reproducer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

using namespace mlir;
using namespace primus::cli;

namespace {

enum class Defect { Failure, Abort, SegmentationFault, InvalidIr };

/// A pass with a defect.
struct BrokenPass : PassWrapper<BrokenPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(BrokenPass)
  explicit BrokenPass(Defect defect) : defect(defect) {}
  StringRef getArgument() const final { return "test-broken"; }
  void runOnOperation() override {
    switch (defect) {
    case Defect::Failure:
      getOperation().emitError("cannot go on");
      return signalPassFailure();
    case Defect::Abort:
      std::abort();
    case Defect::SegmentationFault:
      raise(SIGSEGV);
      return;
    case Defect::InvalidIr:
      (*getOperation().getOps<func::FuncOp>().begin()).front().getTerminator()->erase();
    }
  }
  Defect defect;
};

class Reproducer : public ::testing::TestWithParam<Defect> {};

std::string read(const std::string &path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST_P(Reproducer, IsWrittenForAnyDefectOfAPass) {
  // Of this process alone: the tests run side by side.
  std::string folder = ::testing::TempDir() + "primus-reproducers-" + std::to_string(getpid());
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<func::FuncDialect>();
  std::string messages;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    messages += diagnostic.str() + "\n";
    for (Diagnostic &note : diagnostic.getNotes())
      messages += note.str() + "\n";
  });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>("func.func @before() { return }", &context);
  PassManager passes(&context, ModuleOp::getOperationName());
  passes.addPass(std::make_unique<BrokenPass>(GetParam()));
  enableReproducers(passes, folder, "train");
  EXPECT_TRUE(failed(passes.run(*module)));

  std::string path = folder + "/reproducer-train-test-broken.mlir", text = read(path);
  EXPECT_NE(text.find("func.func @before"), std::string::npos) << text;
  EXPECT_NE(text.find("return"), std::string::npos) << "the IR before the pass, not after:\n" << text;
  EXPECT_NE(text.find("pipeline: \"builtin.module(test-broken)\""), std::string::npos) << text;
  EXPECT_NE(messages.find("primus-opt --run-reproducer " + path), std::string::npos) << messages;
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Defects, Reproducer,
                         ::testing::Values(Defect::Failure, Defect::Abort, Defect::SegmentationFault, Defect::InvalidIr));

} // namespace
