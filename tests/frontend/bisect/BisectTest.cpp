//===- BisectTest.cpp - Seeded defects are found ---------------------------===//
//
// A pass that breaks something on purpose runs at the end of a phase. The bisection has to name the phase, that pass, the op and the element,
// and to be silent where nothing is broken.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/CpuTarget.h"
#include "frontend/bisect/Bisect.h"
#include "frontend/bisect/GradientCheck.h"
#include "frontend/cli/Compilation.h"
#include "frontend/config/Config.h"
#include "frontend/models/ModelBuilder.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"
#include "passes/LayerFunction.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/Pass.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

using namespace mlir;
using namespace primus;
using namespace primus::bisect;

namespace {

/// What the defective pass does, and at the end of which phase.
std::function<void(ModuleOp)> defect;
std::string brokenPhase;

struct DefectPass : PassWrapper<DefectPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(DefectPass)
  StringRef getArgument() const override { return "test-defect"; }
  void runOnOperation() override { defect(getOperation()); }
};

void buildBroken(PassList passes) {
  getPhases()[*findPhase(brokenPhase)].build(passes);
  passes.add(std::make_unique<DefectPass>());
}

/// A phase's verifier that has missed the defect.
LogicalResult acceptAll(ModuleOp) { return success(); }

class Bisect : public testing::Test {
protected:
  Bisect() : context(makeRegistry(), MLIRContext::Threading::DISABLED) {
    context.loadAllAvailableDialects();
    context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) {
      messages += diagnostic.str() + "\n";
      return success();
    });
    load("tiny-llama-model");
    table.assign(getPhases().begin(), getPhases().end());
  }

  static DialectRegistry makeRegistry() {
    DialectRegistry registry;
    registerDialects(registry);
    return registry;
  }

  /// Takes another model, compiled for this machine.
  void load(const std::string &name) {
    model = parseSourceFile<ModuleOp>(PRIMUS_SOURCE_DIR "/tests/passes/Inputs/" + name + ".mlir", &context);
    ASSERT_TRUE(model) << messages;
    prepare();
  }

  /// Compiles the model for this machine.
  void prepare() {
    Builder builder(&context);
    SmallVector<Attribute> features;
    for (const std::string &feature : llvm::cantFail(codegen::CpuTarget::host()).features)
      features.push_back(builder.getStringAttr(feature));
    (*model)->setAttr("primus.target", builder.getStringAttr("cpu"));
    (*model)->setAttr("primus.cpu_features", builder.getArrayAttr(features));
    options.setup.vocabulary = findVocabulary(*model);
    options.kernelCache = cli::getCacheFolder() + "/kernels";
  }

  BisectResult run() {
    options.table = table;
    auto result = bisectPhases(*model, *findPhase("model"), options);
    EXPECT_TRUE(succeeded(result)) << messages;
    return succeeded(result) ? *result : BisectResult();
  }

  /// Runs with `change` made at the end of `phase`; the bisection must find that phase and pass.
  Finding runBroken(const std::string &phase, std::function<void(ModuleOp)> change) {
    brokenPhase = phase;
    table[*findPhase(phase)].build = buildBroken;
    defect = [&](ModuleOp module) {
      isChanged = false;
      change(module);
      EXPECT_TRUE(isChanged) << "the test's defect found nothing to break";
    };
    BisectResult result = run();
    EXPECT_TRUE(result.finding) << describe(result);
    if (!result.finding)
      return {};
    EXPECT_EQ(result.comparisons.back().phase, phase);
    EXPECT_EQ(result.finding->pass, "test-defect") << describe(result);
    return *result.finding;
  }

  /// Negates the first value of that name in a function that an op of type OpT computes.
  template <typename OpT>
  void negate(ModuleOp module, StringRef function, StringRef value) {
    module.lookupSymbol<func::FuncOp>(function).walk([&](OpT op) {
      if (getValueName(op->getResult(0)) != value)
        return WalkResult::advance();
      OpBuilder builder(op->getContext());
      builder.setInsertionPointAfter(op);
      Value result = op->getResult(0);
      auto negated = graph::NegOp::create(builder, op->getLoc(), result.getType(), result);
      result.replaceAllUsesExcept(negated, negated);
      isChanged = true;
      return WalkResult::interrupt();
    });
  }

  /// Negates the first operand of the product that computes the first value of that name.
  void negateOperand(ModuleOp module, StringRef function, StringRef value) {
    module.lookupSymbol<func::FuncOp>(function).walk([&](graph::MatmulOp op) {
      if (getValueName(op.getResult()) != value)
        return WalkResult::advance();
      OpBuilder builder(op);
      Value operand = op->getOperand(0);
      op->setOperand(0, graph::NegOp::create(builder, builder.getUnknownLoc(), operand.getType(), operand));
      isChanged = true;
      return WalkResult::interrupt();
    });
  }

  MLIRContext context;
  std::string messages;
  OwningOpRef<ModuleOp> model;
  std::vector<Phase> table;
  BisectOptions options;
  bool isChanged = false;
};

class BisectClean : public Bisect, public testing::WithParamInterface<const char *> {};

TEST_P(BisectClean, AllPhasesAgree) {
  load(GetParam());
  options.setup.steps = 2;
  BisectResult result = run();
  EXPECT_FALSE(result.finding) << describe(result);
  // Five phases in two modes, and the compiled step.
  ASSERT_EQ(result.comparisons.size(), 11u);
  EXPECT_GT(result.comparisons.front().gradients, 0) << "finite differences are never exact";
  EXPECT_GT(result.comparisons.back().kernels, 0);
  EXPECT_TRUE(std::isfinite(result.loss));
}

INSTANTIATE_TEST_SUITE_P(Models, BisectClean, testing::Values("tiny-llama-model", "tiny-gpt2-model", "odd-model"), [](const auto &info) {
  std::string name = info.param;
  llvm::erase(name, '-');
  return name;
});

/// Graph phases run on all ranks, compiled code is left out. Of a defect the pass is found, and the tensor that suffers most.
TEST_F(Bisect, SeveralRanks) {
  config::ConfigRequest request;
  request.experiment = PRIMUS_SOURCE_DIR "/configs/experiments/cpu/llama-tiny.yaml";
  request.overrides = {"num_layers=1",       "hidden_size=16",        "ffn_hidden_size=24",   "num_attention_heads=4", "num_query_groups=2",
                       "seq_length=8",       "global_batch_size=4",   "bf16=false",           "tensor_model_parallel_size=2",
                       "cp_comm_type=all_gather", "context_parallel_size=2", "use_torch_fsdp2=true"};
  request.ranks = 8;
  config::Diagnostics diagnostics;
  auto resolved = config::resolveConfig(request, diagnostics);
  auto spec = resolved ? config::buildSpec(*resolved, diagnostics) : std::nullopt;
  ASSERT_TRUE(spec) << diagnostics.str();
  model = std::move(*models::buildModel(spec->spec, &context));
  prepare();
  options.setup.vocabulary = 256;
  BisectResult clean = run();
  EXPECT_FALSE(clean.finding) << describe(clean);
  EXPECT_EQ(clean.comparisons.size(), 10u);
  Finding finding = runBroken("placed", [&](ModuleOp module) { negate<graph::MatmulOp>(module, "block.forward", "feed_forward.up"); });
  EXPECT_NE(finding.note.find("is furthest apart"), std::string::npos) << finding.note;
}

/// A pass after autodiff spoils one weight gradient of one kind of layer.
TEST_F(Bisect, FindsAWrongGradient) {
  Finding finding = runBroken("train", [&](ModuleOp module) { negate<graph::MatmulOp>(module, "block.backward", "feed_forward.gate.weight.grad"); });
  EXPECT_EQ(finding.function, "block.backward");
  EXPECT_EQ(finding.instance, "layers.1") << "the backward pass begins with the last layer";
  EXPECT_EQ(finding.op, "graph.neg");
  EXPECT_EQ(finding.value, "feed_forward.gate.weight.grad");
  EXPECT_EQ(finding.element, SmallVector<int64_t>({0, 0}));
  EXPECT_EQ(finding.actual, -finding.expected);
  EXPECT_EQ(finding.count, finding.size);
  EXPECT_TRUE(finding.confirmed);
}

/// Differentiation itself is wrong, so that no right gradient exists to compare with: finite differences find the op.
TEST_F(Bisect, FiniteDifferencesFindAWrongDerivative) {
  struct Case {
    const char *value, *note;
  };
  for (Case test : {Case{"feed_forward.gate.weight.grad", "with respect to its operand %feed_forward.gate.weight"},
                    Case{"attention.merged.grad", "graph.matmul %attention.output with respect to its operand %attention.merged"}}) {
    SCOPED_TRACE(test.value);
    OwningOpRef<ModuleOp> train = model->clone();
    ASSERT_TRUE(succeeded(runPhases(*train, *findPhase("model"), *findPhase("train")))) << messages;
    FailureOr<Trace> good = traceSteps(*train, interpreter::Mode::Exact, options.setup);
    ASSERT_TRUE(succeeded(good)) << messages;
    auto check = checkGradients(*train, *good, options.setup);
    ASSERT_TRUE(succeeded(check)) << messages;
    EXPECT_FALSE(check->finding);
    EXPECT_LT(check->relative, 1e-7);

    negateOperand(*train, "block.backward", test.value);
    ASSERT_TRUE(isChanged);
    FailureOr<Trace> bad = traceSteps(*train, interpreter::Mode::Exact, options.setup);
    ASSERT_TRUE(succeeded(bad)) << messages;
    check = checkGradients(*train, *bad, options.setup);
    ASSERT_TRUE(succeeded(check) && check->finding) << messages;
    const Finding &finding = *check->finding;
    EXPECT_EQ(finding.function, "block.backward");
    EXPECT_EQ(finding.instance, "layers.1");
    EXPECT_EQ(finding.value, test.value);
    EXPECT_EQ(finding.op, "graph.matmul");
    EXPECT_NE(finding.note.find(test.note), std::string::npos) << finding.note;
    EXPECT_NEAR(finding.actual, -finding.expected, 1e-6 * std::abs(finding.actual));
    EXPECT_GT(std::abs(finding.actual), 0);
  }
}

/// The derivatives are right, and one is not used.
TEST_F(Bisect, FiniteDifferencesFindAWrongSum) {
  OwningOpRef<ModuleOp> train = model->clone();
  ASSERT_TRUE(succeeded(runPhases(*train, *findPhase("model"), *findPhase("train")))) << messages;
  negate<graph::MatmulOp>(*train, "block.backward", "feed_forward.gate.weight.grad");
  ASSERT_TRUE(isChanged);
  FailureOr<Trace> trace = traceSteps(*train, interpreter::Mode::Exact, options.setup);
  ASSERT_TRUE(succeeded(trace)) << messages;
  auto check = checkGradients(*train, *trace, options.setup);
  ASSERT_TRUE(succeeded(check) && check->finding) << messages;
  EXPECT_EQ(check->finding->function, "block.backward");
  EXPECT_EQ(check->finding->value, "feed_forward.gate.weight.grad");
  EXPECT_EQ(check->finding->element, SmallVector<int64_t>({0, 0}));
  EXPECT_NEAR(check->finding->actual, -check->finding->expected, 1e-6 * std::abs(check->finding->actual));
}

/// A composite loses its mask.
TEST_F(Bisect, FindsALostMask) {
  Finding finding = runBroken("placed", [&](ModuleOp module) {
    module.lookupSymbol<func::FuncOp>("block.forward").walk([&](graph::AttentionOp attention) {
      attention->removeAttr("causal");
      isChanged = true;
    });
  });
  EXPECT_EQ(finding.function, "block.forward");
  EXPECT_EQ(finding.instance, "layers.0");
  EXPECT_EQ(finding.composite, "graph.attention");
  EXPECT_EQ(finding.value, "attention");
  ASSERT_FALSE(finding.element.empty());
  // A row's first token sees itself only: what it must not see is the first that differs.
  EXPECT_EQ(finding.element.back(), 1) << describe({0, {{}}, finding});
  EXPECT_NE(finding.note.find("missing"), std::string::npos) << finding.note;
  EXPECT_TRUE(finding.confirmed);
}

/// Two operands change places.
TEST_F(Bisect, FindsSwappedOperands) {
  Finding finding = runBroken("sharded", [&](ModuleOp module) {
    module.lookupSymbol<func::FuncOp>("block.forward").walk([&](graph::GluOp op) {
      Value gate = op->getOperand(0), up = op->getOperand(1);
      op->setOperands({up, gate});
      isChanged = true;
    });
  });
  EXPECT_EQ(finding.function, "block.forward");
  EXPECT_EQ(finding.composite, "graph.glu");
  EXPECT_EQ(finding.value, "feed_forward.hidden");
  EXPECT_EQ(finding.instance, "layers.0");
}

/// A product's epilogue subtracts instead of adding.
TEST_F(Bisect, FindsAWrongEpilogue) {
  Finding finding = runBroken("fused", [&](ModuleOp module) {
    module.lookupSymbol<func::FuncOp>("block.forward").walk([&](graph::AddOp op) {
      auto fusion = op->getParentOfType<graph::FusionOp>();
      if (!fusion || fusion.getFamily() != "matmul" || getValueName(op.getResult()) != "attention.residual")
        return;
      OpBuilder builder(op);
      auto wrong = graph::SubOp::create(builder, op.getLoc(), op.getType(), op->getOperand(0), op->getOperand(1));
      op.replaceAllUsesWith(wrong.getResult());
      op.erase();
      isChanged = true;
    });
  });
  EXPECT_EQ(finding.function, "block.forward");
  EXPECT_EQ(finding.instance, "layers.0");
  EXPECT_EQ(finding.op, "graph.sub");
  EXPECT_EQ(finding.family, "matmul");
  EXPECT_EQ(finding.value, "attention.residual");
  EXPECT_EQ(finding.element.back(), 0);
  EXPECT_TRUE(finding.confirmed);
}

/// A constant of a tile program is wrong.
TEST_F(Bisect, FindsAWrongTileProgram) {
  Finding finding = runBroken("step", [&](ModuleOp module) {
    module.walk([&](kernel::FuncOp kernel) {
      if (kernel.getSymName() != "block.forward.attention_norm")
        return;
      kernel.walk([&](arith::ConstantOp constant) {
        auto number = dyn_cast<FloatAttr>(constant.getValue());
        // The width, by which the sum of squares is divided.
        if (!number || number.getValueAsDouble() != 8)
          return;
        constant.setValueAttr(FloatAttr::get(number.getType(), 9.0));
        isChanged = true;
      });
    });
  });
  EXPECT_EQ(finding.kernel, "block.forward.attention_norm");
  EXPECT_EQ(finding.family, "rows");
  EXPECT_EQ(finding.function, "block.forward");
  EXPECT_EQ(finding.instance, "layers.0");
  EXPECT_EQ(finding.value, "attention_norm");
  EXPECT_NEAR(finding.actual / finding.expected, std::sqrt(9.0 / 8), 1e-3);
}

/// Two buffers that live at the same time share their memory. The phase's verifier would say so; it is off here.
TEST_F(Bisect, FindsAnOverwrittenBuffer) {
  table[*findPhase("step")].verify = acceptAll;
  Finding finding = runBroken("step", [&](ModuleOp module) {
    auto function = module.lookupSymbol<step::FunctionOp>("block.forward");
    step::BufferOp victim, other;
    for (auto buffer : function.getBody().getOps<step::BufferOp>()) {
      if (buffer.getName() == "attention.q")
        victim = buffer;
      if (victim && !other && buffer.getName() == "attention.k")
        other = buffer;
    }
    ASSERT_TRUE(victim && other);
    other.setOffset(victim.getOffset());
    isChanged = true;
  });
  EXPECT_EQ(finding.function, "block.forward");
  EXPECT_EQ(finding.kernel, "block.forward.attention.q.rotated");
  EXPECT_NE(finding.note.find("overwritten"), std::string::npos) << finding.note;
}

/// What is no number is found, too.
TEST_F(Bisect, FindsNaN) {
  Finding finding = runBroken("fp8", [&](ModuleOp module) {
    module.lookupSymbol<func::FuncOp>("head.forward_backward").walk([&](graph::ReshapeOp op) {
      if (getValueName(op.getResult()) != "x.flat")
        return;
      OpBuilder builder(op->getContext());
      builder.setInsertionPointAfter(op);
      // The square root of what is negative somewhere.
      auto root = graph::SqrtOp::create(builder, op.getLoc(), op.getType(), op.getResult());
      op.getResult().replaceAllUsesExcept(root, root);
      isChanged = true;
    });
  });
  EXPECT_EQ(finding.function, "head.forward_backward");
  EXPECT_EQ(finding.op, "graph.sqrt");
  EXPECT_EQ(finding.value, "x.flat");
  nlohmann::ordered_json json = toJson({0, {{}}, finding});
  EXPECT_EQ(json["agrees"], false);
  EXPECT_EQ(json["finding"]["value"], "x.flat");
}

/// Phases that are not compared are still searched.
TEST_F(Bisect, SearchesAcrossPhases) {
  options.phases = {"model", "train", "fused"};
  options.faithful = false;
  brokenPhase = "placed";
  table[*findPhase("placed")].build = buildBroken;
  defect = [&](ModuleOp module) { negate<graph::MatmulOp>(module, "block.forward", "attention.v"); };
  BisectResult result = run();
  ASSERT_TRUE(result.finding);
  EXPECT_EQ(result.comparisons.back().phase, "fused");
  EXPECT_EQ(result.comparisons.back().before, "train");
  EXPECT_EQ(result.finding->pass, "test-defect");
  EXPECT_EQ(result.finding->value, "attention.v");
}

TEST_F(Bisect, RefusesAModelWithoutVocabulary) {
  options.setup.vocabulary = 0;
  options.table = table;
  EXPECT_TRUE(failed(bisectPhases(*model, *findPhase("model"), options)));
  EXPECT_NE(messages.find("vocabulary"), std::string::npos) << messages;
}

} // namespace
