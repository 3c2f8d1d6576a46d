//===- Plan.cpp - The module attribute that carries the plan ---------------===//

#include "passes/Plan.h"

#include "ir/graph/GraphDialect.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace primus;

namespace {

/// Reads the entries of the plan's dictionary, one call per entry; the first error is reported on the module and kept.
class PlanReader {
public:
  PlanReader(ModuleOp module, DictionaryAttr entries) : module(module), entries(entries) {}

  void read(StringRef key, int64_t &value, int64_t least, int64_t most = std::numeric_limits<int64_t>::max()) {
    constexpr StringLiteral expected = "a 64-bit integer";
    auto attribute = find<IntegerAttr>(key, expected);
    if (!attribute)
      return;
    if (!attribute.getType().isSignlessInteger(64)) {
      failType(key, attribute, expected);
      return;
    }
    value = attribute.getInt();
    if (value < least)
      fail() << "entry '" << key << "' is " << value << ", but must be at least " << least;
    if (value > most)
      fail() << "entry '" << key << "' is " << value << ", but must be at most " << most;
  }

  void read(StringRef key, double &value, double least, double below = std::numeric_limits<double>::infinity()) {
    auto attribute = find<FloatAttr>(key, "a float");
    if (!attribute)
      return;
    value = attribute.getValueAsDouble();
    if (!(value >= least && value < below))
      fail() << "entry '" << key << "' is " << value << ", but must be at least " << least << " and below " << below;
  }

  void read(StringRef key, bool &value) {
    if (auto attribute = find<BoolAttr>(key, "a boolean"))
      value = attribute.getValue();
  }

  void read(StringRef key, Recompute &value) {
    auto attribute = find<StringAttr>(key, "a string");
    if (!attribute)
      return;
    auto parsed = llvm::StringSwitch<std::optional<Recompute>>(attribute.getValue())
                      .Case("none", Recompute::None)
                      .Case("selective", Recompute::Selective)
                      .Case("full", Recompute::Full)
                      .Default(std::nullopt);
    if (parsed)
      value = *parsed;
    else
      fail() << "entry '" << key << "' is \"" << attribute.getValue() << "\", but must be none, selective or full";
  }

  /// An entry that may be absent; `arguments` as for read.
  template <typename... ArgumentTs>
  void readOptional(StringRef key, ArgumentTs &&...arguments) {
    if (entries.contains(key))
      read(key, std::forward<ArgumentTs>(arguments)...);
  }

  void read(StringRef key, Goal &value) {
    auto attribute = find<StringAttr>(key, "a string");
    if (!attribute)
      return;
    auto parsed = llvm::StringSwitch<std::optional<Goal>>(attribute.getValue())
                      .Case("training", Goal::Training)
                      .Case("gradients", Goal::Gradients)
                      .Case("forward", Goal::Forward)
                      .Default(std::nullopt);
    if (parsed)
      value = *parsed;
    else
      fail() << "entry '" << key << "' is \"" << attribute.getValue()
             << "\", but must be training, gradients or forward";
  }

  LogicalResult result() const { return failure(failed); }

private:
  template <typename AttrT>
  AttrT find(StringRef key, StringRef expected) {
    Attribute attribute = entries.get(key);
    auto typed = dyn_cast_or_null<AttrT>(attribute);
    if (!attribute)
      fail() << "lacks entry '" << key << "', " << expected;
    else if (!typed)
      failType(key, attribute, expected);
    return typed;
  }

  void failType(StringRef key, Attribute attribute, StringRef expected) {
    fail() << "entry '" << key << "' is " << attribute << ", but must be " << expected;
  }

  InFlightDiagnostic fail() {
    failed = true;
    return module.emitError() << graph::kPlanAttr << ": ";
  }

  ModuleOp module;
  DictionaryAttr entries;
  bool failed = false;
};

StringRef stringify(Recompute recompute) {
  switch (recompute) {
  case Recompute::None:
    return "none";
  case Recompute::Selective:
    return "selective";
  case Recompute::Full:
    return "full";
  }
  llvm_unreachable("unknown recompute mode");
}

} // namespace

FailureOr<Plan> Plan::get(ModuleOp module) {
  auto entries = module->getAttrOfType<DictionaryAttr>(graph::kPlanAttr);
  if (!entries) {
    module.emitError() << "lacks the dictionary attribute '" << graph::kPlanAttr
                       << "': the passes cannot know the number of microbatches and the optimizer's settings";
    return failure();
  }
  Plan plan;
  PlanReader reader(module, entries);
  reader.readOptional("goal", plan.goal);
  reader.read("microbatches", plan.microbatches, 1);
  reader.read("micro_batch_size", plan.microBatchSize, 1);
  reader.read("sequence_length", plan.sequenceLength, 1);
  reader.read("recompute", plan.recompute);
  reader.read("recompute_layers", plan.recomputeLayers, 0);
  reader.read("per_microbatch_mean", plan.perMicrobatchMean);
  reader.readOptional("zero", plan.zero, 0, 3);
  reader.readOptional("sequence_parallel", plan.sequenceParallel);
  reader.readOptional("ring", plan.ring);
  reader.read("clip", plan.clip, 0);
  reader.read("beta1", plan.beta1, 0, 1);
  reader.read("beta2", plan.beta2, 0, 1);
  reader.read("epsilon", plan.epsilon, 0);
  reader.read("weight_decay", plan.weightDecay, 0);
  reader.readOptional("bf16_first_moment", plan.bf16FirstMoment);
  reader.readOptional("bf16_second_moment", plan.bf16SecondMoment);
  if (failed(reader.result()))
    return failure();
  return plan;
}

void Plan::set(ModuleOp module) const {
  Builder b(module.getContext());
  SmallVector<NamedAttribute> entries = {
      b.getNamedAttr("microbatches", b.getI64IntegerAttr(microbatches)),
      b.getNamedAttr("micro_batch_size", b.getI64IntegerAttr(microBatchSize)),
      b.getNamedAttr("sequence_length", b.getI64IntegerAttr(sequenceLength)),
      b.getNamedAttr("recompute", b.getStringAttr(stringify(recompute))),
      b.getNamedAttr("recompute_layers", b.getI64IntegerAttr(recomputeLayers)),
      b.getNamedAttr("per_microbatch_mean", b.getBoolAttr(perMicrobatchMean)),
      b.getNamedAttr("clip", b.getF64FloatAttr(clip)),
      b.getNamedAttr("beta1", b.getF64FloatAttr(beta1)),
      b.getNamedAttr("beta2", b.getF64FloatAttr(beta2)),
      b.getNamedAttr("epsilon", b.getF64FloatAttr(epsilon)),
      b.getNamedAttr("weight_decay", b.getF64FloatAttr(weightDecay)),
  };
  for (auto [name, isSet] : {std::pair("sequence_parallel", sequenceParallel), std::pair("ring", ring),
                             std::pair("bf16_first_moment", bf16FirstMoment),
                             std::pair("bf16_second_moment", bf16SecondMoment)})
    if (isSet)
      entries.push_back(b.getNamedAttr(name, b.getBoolAttr(true)));
  if (goal != Goal::Training)
    entries.push_back(b.getNamedAttr("goal", b.getStringAttr(goal == Goal::Gradients ? "gradients" : "forward")));
  if (zero != 0)
    entries.push_back(b.getNamedAttr("zero", b.getI64IntegerAttr(zero)));
  module->setAttr(graph::kPlanAttr, b.getDictionaryAttr(entries));
}

static Type getMomentType(Builder &builder, bool isBf16) {
  return isBf16 ? Type(builder.getBF16Type()) : Type(builder.getF32Type());
}
Type Plan::getFirstMomentType(Builder &builder) const { return getMomentType(builder, bf16FirstMoment); }
Type Plan::getSecondMomentType(Builder &builder) const { return getMomentType(builder, bf16SecondMoment); }
