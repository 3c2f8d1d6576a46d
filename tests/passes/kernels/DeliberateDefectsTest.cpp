//===- DeliberateDefectsTest.cpp - Does the harness see defects? ----------===//
//
// Defects of the kind that code generators have, put into kernels that are right. Each has to fail the check that the kernel passes.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/kernels/KernelHarness.h"

#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"

#include <gtest/gtest-spi.h>

using namespace mlir;
using namespace primus;
using namespace primus::test;

namespace {

class DeliberateDefects : public testing::TestWithParam<const char *> {
protected:
  HarnessOptions getOptions(double tolerance) {
    HarnessOptions options;
    options.targets = {GetParam()};
    options.tolerance = tolerance;
    return options;
  }
};

} // namespace

/// What checkFunction has to say, all failures in one text.
static std::string getFailures(const std::string &source, const HarnessOptions &options) {
  testing::TestPartResultArray failures;
  {
    testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    checkFunction(source, options);
  }
  std::string text;
  for (int i = 0; i < failures.size(); ++i)
    text += std::string(failures.GetTestPartResult(i).message()) + "\n";
  return text;
}

static std::vector<llvm::CallInst *> findCalls(llvm::Module &module, StringRef prefix) {
  std::vector<llvm::CallInst *> calls;
  for (llvm::Function &function : module)
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *call = llvm::dyn_cast<llvm::CallInst>(&instruction))
        if (call->getCalledFunction() && call->getCalledFunction()->getName().starts_with(prefix))
          calls.push_back(call);
  return calls;
}

static const char *const product = R"(
func.func @f(%a: tensor<70x96xbf16>, %b: tensor<96x65xbf16>) -> tensor<70x65xf32> attributes {graph.layer = {}} {
  %c = graph.matmul "mk,kn->mn" %a, %b : (tensor<70x96xbf16>, tensor<96x65xbf16>) -> tensor<70x65xf32>
  return %c : tensor<70x65xf32>
})";

static const char *const rows = R"(
func.func @f(%x: tensor<3x5000xf32>, %w: tensor<5000xf32>) -> (tensor<3x5000xf32>, tensor<3xf32>) attributes {graph.layer = {}} {
  %y, %r = graph.rms_norm %x, %w eps 1.0e-05 : (tensor<3x5000xf32>, tensor<5000xf32>) -> (tensor<3x5000xf32>, tensor<3xf32>)
  return %y, %r : tensor<3x5000xf32>, tensor<3xf32>
})";

static const char *const attention = R"(
func.func @f(%q: tensor<1x70x1x32xbf16>, %k: tensor<1x70x1x32xbf16>, %v: tensor<1x70x1x32xbf16>) -> tensor<1x70x1x32xbf16>
    attributes {graph.layer = {}} {
  %o, %lse = graph.attention %q, %k, %v scale 0.21 {causal} : tensor<1x70x1x32xbf16>, tensor<1x70x1x32xbf16> -> tensor<1x1x70xf32>
  return %o : tensor<1x70x1x32xbf16>
})";

TEST_P(DeliberateDefects, KernelsAreRightWithoutThem) {
  checkFunction(product, getOptions(1e-2));
  checkFunction(attention, getOptions(1.5e-2));
  checkFunction(rows, getOptions(2e-5));
}

TEST_P(DeliberateDefects, ExchangedOperandsOfMatrixInstructions) {
  HarnessOptions options = getOptions(1e-2);
  size_t count = 0;
  options.changeCode = [&](llvm::Module &module) {
    for (llvm::CallInst *call : findCalls(module, "llvm.amdgcn.mfma")) {
      llvm::Value *left = call->getArgOperand(0);
      call->setArgOperand(0, call->getArgOperand(1));
      call->setArgOperand(1, left);
      ++count;
    }
  };
  EXPECT_NE(getFailures(product, options), "");
  EXPECT_GT(count, 0u);
}

/// Rows 8 (r / 4) + r % 4 of a 32 x 32 block taken for rows r.
TEST_P(DeliberateDefects, AccumulatorsInAnotherOrder) {
  HarnessOptions options = getOptions(1e-2);
  size_t count = 0;
  options.changeCode = [&](llvm::Module &module) {
    for (llvm::CallInst *call : findCalls(module, "llvm.amdgcn.mfma")) {
      auto *type = llvm::cast<llvm::FixedVectorType>(call->getType());
      if (llvm::all_of(call->users(), [](llvm::User *user) { return llvm::isa<llvm::IntrinsicInst, llvm::PHINode>(user); }))
        continue;
      llvm::SmallVector<int> order;
      for (unsigned r = 0; r < type->getNumElements(); ++r)
        order.push_back(r ^ 1);
      auto *shuffle = new llvm::ShuffleVectorInst(call, order, "", std::next(call->getIterator()));
      call->replaceUsesWithIf(shuffle, [&](llvm::Use &use) {
        return use.getUser() != shuffle && !llvm::isa<llvm::IntrinsicInst, llvm::PHINode>(use.getUser());
      });
      ++count;
    }
  };
  EXPECT_NE(getFailures(product, options), "");
  EXPECT_GT(count, 0u);
}

TEST_P(DeliberateDefects, DroppedBarriers) {
  HarnessOptions options = getOptions(1.5e-2);
  size_t count = 0;
  options.changeCode = [&](llvm::Module &module) {
    for (llvm::CallInst *call : findCalls(module, "llvm.amdgcn.s.barrier")) {
      call->eraseFromParent();
      ++count;
    }
  };
  std::string failures = getFailures(attention, options);
  EXPECT_NE(failures.find("s_barrier is missing"), std::string::npos) << failures;
  EXPECT_GT(count, 0u);
}

/// Each token sees one key too many or too few.
TEST_P(DeliberateDefects, MasksOffByOne) {
  HarnessOptions options = getOptions(1.5e-2);
  size_t count = 0;
  options.changeTiles = [&](ModuleOp module) {
    module.walk([&](arith::CmpIOp compare) {
      if (!isa<RankedTensorType>(compare.getType()))
        return;
      using P = arith::CmpIPredicate;
      const std::pair<P, P> changes[] = {{P::sle, P::slt}, {P::slt, P::sle}, {P::sge, P::sgt}, {P::sgt, P::sge},
                                         {P::ule, P::ult}, {P::ult, P::ule}, {P::uge, P::ugt}, {P::ugt, P::uge}};
      for (auto [from, to] : changes)
        if (compare.getPredicate() == from) {
          compare.setPredicate(to);
          ++count;
          break;
        }
    });
  };
  EXPECT_NE(getFailures(attention, options), "");
  EXPECT_GT(count, 0u);
}

INSTANTIATE_TEST_SUITE_P(All, DeliberateDefects, testing::Values("gfx942", "gfx950"),
                         [](const auto &info) { return std::string(info.param); });
