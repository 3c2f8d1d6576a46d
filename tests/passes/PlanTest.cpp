//===- PlanTest.cpp - The plan on a module, and what is refused as one -----===//

#include "passes/Plan.h"
#include "tests/ir/interpreter/Run.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class PlanTest : public IrTest {
protected:
  PlanTest() : module(ModuleOp::create(FileLineColLoc::get(&context, "model.mlir", 3, 7))) {}

  DictionaryAttr getEntries() { return (*module)->getAttrOfType<DictionaryAttr>(graph::kPlanAttr); }

  /// Gives the module a good plan, in which `key` has another value; null: no value.
  void setEntry(StringRef key, Attribute value) {
    Plan().set(*module);
    NamedAttrList entries(getEntries());
    if (value)
      entries.set(key, value);
    else
      entries.erase(key);
    (*module)->setAttr(graph::kPlanAttr, entries.getDictionary(&context));
  }

  /// Expects one error, on the module, that names the entry and contains `expected`.
  void expectRefused(StringRef key, Attribute value, const std::string &expected) {
    SCOPED_TRACE(key.str());
    setEntry(key, value);
    std::vector<std::string> errors;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      EXPECT_EQ(diagnostic.getLocation(), module->getLoc());
      errors.push_back(diagnostic.str());
      return success();
    });
    EXPECT_TRUE(failed(Plan::get(*module)));
    ASSERT_EQ(errors.size(), 1u);
    EXPECT_NE(errors[0].find("graph.plan: "), std::string::npos) << errors[0];
    EXPECT_NE(errors[0].find("entry '" + key.str() + "'"), std::string::npos) << errors[0];
    EXPECT_NE(errors[0].find(expected), std::string::npos) << errors[0];
  }

  OwningOpRef<ModuleOp> module;
  Builder builder{&context};
};

TEST_F(PlanTest, GetsWhatWasSet) {
  for (Goal goal : {Goal::Training, Goal::Gradients, Goal::Forward})
    for (Recompute recompute : {Recompute::None, Recompute::Selective, Recompute::Full}) {
      // No two values are alike, and none is a default, so that no two entries can be confused.
      Plan plan;
      plan.goal = goal;
      plan.microbatches = 2;
      plan.microBatchSize = 3;
      plan.sequenceLength = 5;
      plan.recompute = recompute;
      plan.recomputeLayers = 7;
      plan.perMicrobatchMean = true;
      plan.zero = 3;
      plan.sequenceParallel = true;
      plan.ring = true;
      plan.clip = 0.5;
      plan.beta1 = 0.25;
      plan.beta2 = 0.75;
      plan.epsilon = 1e-3;
      plan.weightDecay = 0.125;
      plan.set(*module);
      FailureOr<Plan> read = Plan::get(*module);
      ASSERT_TRUE(succeeded(read)) << messages;
      EXPECT_EQ(read->goal, plan.goal);
      EXPECT_EQ(read->microbatches, plan.microbatches);
      EXPECT_EQ(read->microBatchSize, plan.microBatchSize);
      EXPECT_EQ(read->sequenceLength, plan.sequenceLength);
      EXPECT_EQ(read->recompute, plan.recompute);
      EXPECT_EQ(read->recomputeLayers, plan.recomputeLayers);
      EXPECT_EQ(read->perMicrobatchMean, plan.perMicrobatchMean);
      EXPECT_EQ(read->zero, plan.zero);
      EXPECT_EQ(read->sequenceParallel, plan.sequenceParallel);
      EXPECT_EQ(read->ring, plan.ring);
      EXPECT_EQ(read->clip, plan.clip);
      EXPECT_EQ(read->beta1, plan.beta1);
      EXPECT_EQ(read->beta2, plan.beta2);
      EXPECT_EQ(read->epsilon, plan.epsilon);
      EXPECT_EQ(read->weightDecay, plan.weightDecay);
    }
}

TEST_F(PlanTest, ParallelismIsOptional) {
  for (StringRef key : {"zero", "sequence_parallel", "ring"}) {
    Plan().set(*module);
    EXPECT_FALSE(getEntries().contains(key)) << key.str();
  }
  FailureOr<Plan> read = Plan::get(*module);
  ASSERT_TRUE(succeeded(read)) << messages;
  EXPECT_EQ(read->zero, 0);
  EXPECT_FALSE(read->sequenceParallel);
  EXPECT_FALSE(read->ring);
}

TEST_F(PlanTest, TrainingIsNotSpelledOut) {
  Plan plan;
  plan.goal = Goal::Forward;
  plan.set(*module);
  EXPECT_TRUE(getEntries().contains("goal"));
  // An earlier plan leaves nothing behind.
  plan.goal = Goal::Training;
  plan.set(*module);
  EXPECT_FALSE(getEntries().contains("goal"));
  setEntry("goal", builder.getStringAttr("training"));
  FailureOr<Plan> read = Plan::get(*module);
  ASSERT_TRUE(succeeded(read)) << messages;
  EXPECT_EQ(read->goal, Goal::Training);
}

TEST_F(PlanTest, RefusesMissingAndMistypedEntries) {
  Attribute text = builder.getStringAttr("many"), number = builder.getI64IntegerAttr(1);
  Plan().set(*module);
  // A copy: the entries change meanwhile.
  SmallVector<NamedAttribute> entries(getEntries().getValue());
  EXPECT_EQ(entries.size(), 11u);
  for (NamedAttribute entry : entries) {
    expectRefused(entry.getName(), {}, "lacks entry");
    expectRefused(entry.getName(), isa<StringAttr>(entry.getValue()) ? number : text, "but must be a");
  }
  expectRefused("goal", number, "but must be a string");
  expectRefused("microbatches", builder.getI32IntegerAttr(1), "but must be a 64-bit integer");
  expectRefused("microbatches", builder.getBoolAttr(true), "but must be a 64-bit integer");
}

TEST_F(PlanTest, RefusesValuesOutOfRange) {
  for (StringRef count : {"microbatches", "micro_batch_size", "sequence_length"})
    expectRefused(count, builder.getI64IntegerAttr(0), "is 0, but must be at least 1");
  expectRefused("recompute_layers", builder.getI64IntegerAttr(-1), "is -1, but must be at least 0");
  expectRefused("zero", builder.getI64IntegerAttr(-1), "is -1, but must be at least 0");
  expectRefused("zero", builder.getI64IntegerAttr(4), "is 4, but must be at most 3");
  expectRefused("ring", builder.getI64IntegerAttr(1), "but must be a boolean");
  for (StringRef number : {"clip", "beta1", "beta2", "epsilon", "weight_decay"}) {
    expectRefused(number, builder.getF64FloatAttr(-0.5), "but must be at least");
    expectRefused(number, builder.getF64FloatAttr(std::nan("")), "but must be at least");
  }
  for (StringRef average : {"beta1", "beta2"})
    expectRefused(average, builder.getF64FloatAttr(1), "and below 1");
  expectRefused("recompute", builder.getStringAttr("most"), "is \"most\", but must be none, selective or full");
  expectRefused("goal", builder.getStringAttr("fun"), "is \"fun\", but must be training, gradients or forward");
}

TEST_F(PlanTest, ReportsEachMistake) {
  EXPECT_TRUE(failed(Plan::get(*module)));
  EXPECT_NE(messages.find("lacks the dictionary attribute 'graph.plan'"), std::string::npos) << messages;
  messages.clear();
  (*module)->setAttr(graph::kPlanAttr, builder.getDictionaryAttr({}));
  EXPECT_TRUE(failed(Plan::get(*module)));
  EXPECT_EQ(StringRef(messages).count("lacks entry"), 11u) << messages;
}

} // namespace
