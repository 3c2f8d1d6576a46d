//===- StepFunctions.cpp - Reduction and update of parameters --------------===//

#include "passes/train/StepFunctions.h"

#include "passes/LayerFunction.h"

using namespace mlir;
using namespace primus;

namespace {

/// A function under construction: arguments and results with their names.
class FunctionBuilder {
public:
  FunctionBuilder(OpBuilder &parent, Location loc, StringRef layer, StringRef part, StringRef name)
      : builder(parent), function(func::FuncOp::create(parent, loc, name, parent.getFunctionType({}, {}))) {
    function.setPrivate();
    function->setAttr(graph::kLayerAttr, getLayerAttr(parent.getContext(), layer, part));
    builder.setInsertionPointToEnd(function.addEntryBlock());
  }

  Value argument(Type type, const Twine &name, ArgKind kind) {
    std::string text = name.str();
    unsigned index = function.getNumArguments();
    (void)function.insertArgument(index, type, getArgAttrs(builder.getContext(), text, kind), loc(text));
    return function.getArgument(index);
  }

  Value scalar(StringRef name) { return argument(scalarType(), name, ArgKind::Scalar); }

  /// `over`: the argument in whose place the result may be written.
  void result(Value value, const Twine &name, Value over = {}) {
    SmallVector<NamedAttribute> attributes = {builder.getNamedAttr(kNameAttr, builder.getStringAttr(name))};
    if (over)
      attributes.push_back(builder.getNamedAttr(
          graph::kInplaceAttr, builder.getI64IntegerAttr(cast<BlockArgument>(over).getArgNumber())));
    results.push_back(value);
    resultAttrs.push_back(builder.getDictionaryAttr(attributes));
  }

  func::FuncOp finish() {
    func::ReturnOp::create(builder, function.getLoc(), results);
    function.setFunctionType(
        builder.getFunctionType(function.getFunctionType().getInputs(), ValueRange(results).getTypes()));
    function.setAllResultAttrs(resultAttrs);
    return function;
  }

  Location loc(const Twine &name) { return NameLoc::get(builder.getStringAttr(name), function.getLoc()); }
  RankedTensorType scalarType() { return scalarType(builder.getF32Type()); }
  RankedTensorType scalarType(Type type) { return RankedTensorType::get({}, type); }
  Value constant(double value, StringRef name) {
    return graph::ConstantOp::create(builder, loc(name), scalarType(), value);
  }

  OpBuilder builder;

private:
  func::FuncOp function;
  SmallVector<Value> results;
  SmallVector<Attribute> resultAttrs;
};

} // namespace

/// Layer of the functions that belong to the step as a whole.
static constexpr StringLiteral kStepLayer = "step";

func::FuncOp primus::buildNormalise(OpBuilder &parent, Location loc) {
  FunctionBuilder f(parent, loc, kStepLayer, "normalise", "normalise");
  OpBuilder &b = f.builder;
  Value lossSum = f.scalar("loss_sum"), valid = f.scalar("valid_tokens");
  Value one = f.constant(1, "one");
  Value count = graph::MaximumOp::create(b, f.loc("count"), f.scalarType(), valid, one);
  f.result(graph::DivOp::create(b, f.loc("loss"), f.scalarType(), lossSum, count), "loss");
  f.result(graph::DivOp::create(b, f.loc("inverse_valid"), f.scalarType(), one, count), "inverse_valid");
  return f.finish();
}

func::FuncOp primus::buildClip(OpBuilder &parent, Location loc, double clip) {
  FunctionBuilder f(parent, loc, kStepLayer, "clip", "clip");
  OpBuilder &b = f.builder;
  Value norm = graph::SqrtOp::create(b, f.loc("grad_norm"), f.scalarType(), f.scalar("sum_of_squares"));
  Value scale = f.constant(1, "one");
  if (clip > 0) {
    Value guarded = graph::AddOp::create(b, f.loc("guarded_norm"), f.scalarType(), norm, f.constant(1e-6, "guard"));
    Value ratio = graph::DivOp::create(b, f.loc("ratio"), f.scalarType(), f.constant(clip, "limit"), guarded);
    scale = graph::MinimumOp::create(b, f.loc("scale"), f.scalarType(), ratio, scale);
  }
  // graph.adamw skips the step that has no norm.
  auto largest = llvm::APFloat::getLargest(llvm::APFloat::IEEEsingle()).convertToDouble();
  Value isFinite = graph::CompareOp::create(b, f.loc("is_finite"), f.scalarType(b.getI1Type()), graph::Predicate::LE, norm,
                                            f.constant(largest, "largest"));
  scale = graph::SelectOp::create(b, f.loc("scale"), f.scalarType(), isFinite, scale,
                                  f.constant(std::numeric_limits<double>::quiet_NaN(), "skip"));
  f.result(norm, "grad_norm");
  f.result(scale, "scale");
  return f.finish();
}

func::FuncOp primus::buildAccumulate(OpBuilder &parent, Location loc, StringRef layer, StringRef name,
                                     ArrayRef<std::string> names, ArrayRef<Type> types) {
  FunctionBuilder f(parent, loc, layer, "accumulate", name);
  SmallVector<Value> gradients, accumulators;
  for (auto [gradient, type] : llvm::zip_equal(names, types))
    gradients.push_back(f.argument(type, gradient, ArgKind::Gradient));
  for (auto [gradient, type] : llvm::zip_equal(names, types))
    accumulators.push_back(f.argument(type, gradient + ".sum", ArgKind::Accumulator));
  for (auto [gradient, accumulator, text] : llvm::zip_equal(gradients, accumulators, names)) {
    Value sum = graph::AddOp::create(f.builder, f.loc(text + ".sum"), accumulator.getType(), accumulator, gradient);
    f.result(sum, text + ".sum", accumulator);
  }
  return f.finish();
}

func::FuncOp primus::buildReduce(OpBuilder &parent, Location loc, StringRef layer, StringRef name,
                                 ArrayRef<TrainedParameter> parameters) {
  FunctionBuilder f(parent, loc, layer, "reduce", name);
  OpBuilder &b = f.builder;
  SmallVector<Value> gradients;
  for (const TrainedParameter &parameter : parameters)
    gradients.push_back(f.argument(parameter.type, parameter.name + ".grad", ArgKind::Gradient));
  Value scale = f.scalar("inverse_valid"), sum = f.scalar("sum_of_squares");
  Value sumArgument = sum;
  for (auto [parameter, gradient] : llvm::zip_equal(parameters, gradients)) {
    Location gradientLoc = f.loc(parameter.name + ".grad");
    Value wide = graph::BroadcastOp::create(b, f.loc("scale"), parameter.type, scale, b.getDenseI64ArrayAttr({}));
    Value scaled = graph::MulOp::create(b, gradientLoc, parameter.type, gradient, wide);
    f.result(scaled, parameter.name + ".grad", gradient);
    Value squares = graph::MulOp::create(b, f.loc(parameter.name + ".squares"), parameter.type, scaled, scaled);
    SmallVector<int64_t> dims = llvm::to_vector(llvm::seq<int64_t>(parameter.type.getRank()));
    Value total = graph::ReduceOp::create(b, f.loc(parameter.name + ".sum_of_squares"), f.scalarType(),
                                          graph::ReduceKindAttr::get(b.getContext(), graph::ReduceKind::Sum), squares,
                                          b.getDenseI64ArrayAttr(dims));
    sum = graph::AddOp::create(b, f.loc("sum_of_squares"), f.scalarType(), sum, total);
  }
  f.result(sum, "sum_of_squares", sumArgument);
  return f.finish();
}

func::FuncOp primus::buildUpdate(OpBuilder &parent, Location loc, StringRef layer, StringRef name,
                                 ArrayRef<TrainedParameter> parameters, const Plan &plan) {
  FunctionBuilder f(parent, loc, layer, "update", name);
  OpBuilder &b = f.builder;
  auto arguments = [&](StringRef suffix, ArgKind kind, Type element) {
    SmallVector<Value> values;
    for (const TrainedParameter &parameter : parameters)
      values.push_back(f.argument(withElementType(parameter.type, element), parameter.name + suffix, kind));
    return values;
  };
  SmallVector<Value> masters = arguments("", ArgKind::Parameter, b.getF32Type());
  SmallVector<Value> firsts = arguments(".m", ArgKind::Moment, plan.getFirstMomentType(b));
  SmallVector<Value> seconds = arguments(".v", ArgKind::Moment, plan.getSecondMomentType(b));
  SmallVector<Value> gradients = arguments(".grad", ArgKind::Gradient, b.getF32Type());
  Value scale = f.scalar("scale"), rate = f.scalar("learning_rate");
  Value correction1 = f.scalar("bias_correction1"), correction2 = f.scalar("bias_correction2");

  SmallVector<graph::AdamWOp> updates;
  for (auto [index, parameter] : llvm::enumerate(parameters)) {
    RankedTensorType type = parameter.type;
    updates.push_back(graph::AdamWOp::create(
        b, f.loc(parameter.name), type, firsts[index].getType(), seconds[index].getType(), masters[index], firsts[index],
        seconds[index], gradients[index],
        scale, rate, correction1, correction2, b.getF64FloatAttr(plan.beta1), b.getF64FloatAttr(plan.beta2),
        b.getF64FloatAttr(plan.epsilon), b.getF64FloatAttr(parameter.decay ? plan.weightDecay : 0)));
  }
  for (auto [index, update] : llvm::enumerate(updates))
    f.result(update.getNewParam(), parameters[index].name, masters[index]);
  for (auto [index, update] : llvm::enumerate(updates))
    f.result(update.getNewM(), parameters[index].name + ".m", firsts[index]);
  for (auto [index, update] : llvm::enumerate(updates))
    f.result(update.getNewV(), parameters[index].name + ".v", seconds[index]);
  return f.finish();
}
