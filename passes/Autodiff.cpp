//===- Autodiff.cpp - Backward functions of layers -------------------------===//
//
// For each distinct layer that the program @forward calls, derives the function of its gradients by the convention of
// LayerFunction.h. The layer that computes the loss gets forward and backward in one function.
//
//===----------------------------------------------------------------------===//

#include "passes/Differentiate.h"
#include "passes/LayerFunction.h"
#include "passes/Passes.h"
#include "passes/Plan.h"
#include "passes/Program.h"
#include "passes/Residuals.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"

namespace primus {
#define GEN_PASS_DEF_AUTODIFF
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;

namespace {

//===----------------------------------------------------------------------===//
// One backward function
//===----------------------------------------------------------------------===//

/// Builds the function of one layer's gradients.
class BackwardBuilder {
public:
  BackwardBuilder(func::FuncOp forward, StringRef name, StringRef part);

  /// A layer between others: cotangents of its results come in.
  LogicalResult buildBackward();
  /// The layer of the loss, its results `loss` and `valid` included.
  LogicalResult buildForwardBackward(unsigned loss, unsigned valid, bool perMicrobatchMean);

  /// The copy of the forward computation in the function; empties the builder's.
  ForwardCopy &getCopy() { return copy; }
  /// Drops what no gradient uses, marks the accumulators' results and links the function to the forward function; a layer
  /// without gradients gets no function.
  void finish();

private:
  void addArgument(Type type, StringRef name, ArgKind kind, unsigned of, Location loc);
  void addResult(Value value, ArrayRef<NamedAttribute> attributes);
  void copyForward();
  /// Arguments for the accumulators and results for all gradients, after seeding.
  LogicalResult addGradients(ReverseWalk &walk);

  func::FuncOp forward, backward;
  Block *body;
  OpBuilder builder;
  ForwardCopy copy;
  IRMapping mapping;
  /// Copies of the forward function's results.
  SmallVector<Value> forwardResults;
  SmallVector<Value> results;
  SmallVector<Attribute> resultAttrs;
  /// Accumulators by result.
  SmallVector<std::pair<unsigned, BlockArgument>> accumulators;
};

} // namespace

BackwardBuilder::BackwardBuilder(func::FuncOp forward, StringRef name, StringRef part)
    : forward(forward), builder(forward.getContext()) {
  builder.setInsertionPointAfter(forward);
  backward = func::FuncOp::create(builder, forward.getLoc(), name, builder.getFunctionType({}, {}));
  backward.setPrivate();
  backward->setAttr(graph::kLayerAttr, getLayerAttr(builder.getContext(), getLayer(forward), part));
  body = backward.addEntryBlock();
  builder.setInsertionPointToEnd(body);
  copy.forward = forward;
  copy.backward = backward;
}

void BackwardBuilder::addArgument(Type type, StringRef name, ArgKind kind, unsigned of, Location loc) {
  (void)backward.insertArgument(backward.getNumArguments(), type, getArgAttrs(builder.getContext(), name, kind, of), loc);
}

void BackwardBuilder::addResult(Value value, ArrayRef<NamedAttribute> attributes) {
  results.push_back(value);
  resultAttrs.push_back(builder.getDictionaryAttr(attributes));
}

void BackwardBuilder::copyForward() {
  for (BlockArgument argument : forward.getArguments()) {
    unsigned index = argument.getArgNumber();
    FailureOr<ArgKind> kind = getArgKind(forward, index);
    assert(succeeded(kind) && "kinds of arguments are checked before");
    addArgument(argument.getType(), getArgName(forward, index), *kind, index, argument.getLoc());
    mapping.map(argument, body->getArguments().back());
  }
  for (Operation &op : forward.getBody().front().without_terminator()) {
    Operation *copied = builder.clone(op, mapping);
    copy.ops.push_back(copied);
    for (auto [result, original] : llvm::zip_equal(copied->getResults(), op.getResults()))
      copy.original[result] = original;
  }
  for (Value result : forward.getBody().front().getTerminator()->getOperands())
    forwardResults.push_back(mapping.lookup(result));
}

LogicalResult BackwardBuilder::addGradients(ReverseWalk &walk) {
  if (failed(walk.visit(copy.ops)))
    return failure();
  for (unsigned index : getArgsOfKind(forward, ArgKind::Activation)) {
    Value argument = mapping.lookup(forward.getArgument(index));
    Value gradient = walk.getGradient(argument, getElementTypeOrSelf(argument));
    if (gradient)
      addResult(gradient, {builder.getNamedAttr(kNameAttr, builder.getStringAttr(getArgName(forward, index) + ".grad")),
                           builder.getNamedAttr(kOfAttr, builder.getI64IntegerAttr(index))});
  }
  for (unsigned index : getArgsOfKind(forward, ArgKind::Parameter)) {
    Value argument = mapping.lookup(forward.getArgument(index));
    Value gradient = walk.getGradient(argument, builder.getF32Type());
    if (!gradient)
      continue;
    std::string name = getArgName(forward, index) + ".grad";
    addArgument(gradient.getType(), name, ArgKind::Accumulator, index, getDerivedLoc(argument, ".grad"));
    BlockArgument accumulator = body->getArguments().back();
    // Right behind the gradient, whose memory is then free.
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointAfterValue(gradient);
    Value sum = graph::AddOp::create(builder, getDerivedLoc(argument, ".grad"), gradient.getType(), accumulator, gradient);
    accumulators.push_back({results.size(), accumulator});
    addResult(sum, {builder.getNamedAttr(kNameAttr, builder.getStringAttr(name)),
                    builder.getNamedAttr(kOfAttr, builder.getI64IntegerAttr(index))});
  }
  auto returnOp = func::ReturnOp::create(builder, forward.getLoc(), results);
  backward.setFunctionType(
      builder.getFunctionType(backward.getFunctionType().getInputs(), returnOp.getOperandTypes()));
  backward.setAllResultAttrs(resultAttrs);
  return success();
}

/// The arguments that have gradients.
static SmallVector<Value> getSources(func::FuncOp forward, const IRMapping &mapping) {
  SmallVector<Value> sources;
  for (ArgKind kind : {ArgKind::Activation, ArgKind::Parameter})
    for (unsigned index : getArgsOfKind(forward, kind))
      if (hasFloatElements(forward.getArgument(index).getType()))
        sources.push_back(mapping.lookup(forward.getArgument(index)));
  return sources;
}

LogicalResult BackwardBuilder::buildBackward() {
  SmallVector<std::pair<unsigned, BlockArgument>> cotangents;
  for (auto [index, type] : llvm::enumerate(forward.getResultTypes())) {
    if (!hasFloatElements(type))
      continue;
    std::string name = getResultName(forward, index) + ".grad";
    Value result = forward.getBody().front().getTerminator()->getOperand(index);
    addArgument(type, name, ArgKind::Cotangent, index, getDerivedLoc(result, ".grad"));
    cotangents.push_back({index, body->getArguments().back()});
  }
  copyForward();
  ReverseWalk walk(body, getSources(forward, mapping));
  for (auto [index, cotangent] : cotangents)
    walk.contribute(forwardResults[index], cotangent);
  return addGradients(walk);
}

LogicalResult BackwardBuilder::buildForwardBackward(unsigned loss, unsigned valid, bool perMicrobatchMean) {
  copyForward();
  ReverseWalk walk(body, getSources(forward, mapping));
  auto locOf = [&](StringRef suffix) { return getDerivedLoc(forwardResults[loss], suffix); };
  auto scalar = RankedTensorType::get({}, builder.getF32Type());
  Value one = graph::ConstantOp::create(builder, locOf(".grad"), scalar, 1.0);
  Value seed = one;
  Value lossResult = forwardResults[loss], validResult = forwardResults[valid];
  if (perMicrobatchMean) {
    // The mean of this microbatch counts as one: the division by the sum of all counts then gives the mean of means.
    Value count = graph::MaximumOp::create(builder, locOf(".count"), scalar, validResult, one);
    seed = graph::DivOp::create(builder, locOf(".grad"), scalar, one, count);
    lossResult = graph::DivOp::create(builder, locOf(".mean"), scalar, lossResult, count);
    validResult = one;
  }
  for (unsigned index = 0, end = forwardResults.size(); index < end; ++index)
    addResult(index == loss ? lossResult : index == valid ? validResult : forwardResults[index],
              {builder.getNamedAttr(kNameAttr, builder.getStringAttr(getResultName(forward, index)))});
  walk.contribute(forwardResults[loss], seed);
  return addGradients(walk);
}

void BackwardBuilder::finish() {
  eraseDeadOps(backward);
  BitVector unused(backward.getNumArguments());
  for (BlockArgument argument : backward.getArguments())
    unused[argument.getArgNumber()] = argument.use_empty();
  (void)backward.eraseArguments(unused);
  if (results.empty()) {
    backward.erase();
    return;
  }
  for (auto [result, accumulator] : accumulators)
    backward.setResultAttr(result, graph::kInplaceAttr, builder.getI64IntegerAttr(accumulator.getArgNumber()));
  forward->setAttr(kBackwardAttr, FlatSymbolRefAttr::get(backward));
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

namespace {

struct Autodiff : primus::impl::AutodiffBase<Autodiff> {
  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

private:
  LogicalResult run();
  LogicalResult checkArguments(func::FuncOp forward);
  LogicalResult differentiateLoss(func::FuncOp forward, const ForwardProgram &program);
  LogicalResult differentiateLayer(func::FuncOp forward, StringRef name, bool recompute);

  Plan plan;
};

} // namespace

/// The name of another part of a function's layer: the same name with another ending.
static std::string getPartName(func::FuncOp forward, StringRef part) {
  return (getLayer(forward) + "." + part).str();
}

/// What is cheaper to compute again than to keep: ops that move data or compute each element alone.
static bool isCheap(Operation *op) {
  return op->hasTrait<OpTrait::Elementwise>() ||
         isa<graph::ConstantOp, graph::IotaOp, graph::BroadcastOp, graph::ReshapeOp, graph::TransposeOp, graph::SliceOp>(op);
}

LogicalResult Autodiff::checkArguments(func::FuncOp forward) {
  for (unsigned index = 0, end = forward.getNumArguments(); index < end; ++index)
    if (failed(getArgKind(forward, index)))
      return failure();
  return success();
}

LogicalResult Autodiff::differentiateLoss(func::FuncOp forward, const ForwardProgram &program) {
  BackwardBuilder builder(forward, getPartName(forward, "forward_backward"), "forward_backward");
  if (failed(builder.buildForwardBackward(program.lossResult, program.validResult, plan.perMicrobatchMean)))
    return failure();
  builder.finish();
  return success();
}

LogicalResult Autodiff::differentiateLayer(func::FuncOp forward, StringRef name, bool recompute) {
  BackwardBuilder builder(forward, name, "backward");
  if (failed(builder.buildBackward()))
    return failure();
  if (!recompute) {
    bool selective = plan.recompute == Recompute::Selective;
    ForwardCopy &copy = builder.getCopy();
    addResiduals(copy, selectResiduals(copy, [&](Operation *op) {
                   return isCheap(op) || (selective && isa<graph::AttentionOp>(op));
                 }));
  }
  builder.finish();
  return success();
}

LogicalResult Autodiff::run() {
  ModuleOp module = getOperation();
  FailureOr<Plan> found = Plan::get(module);
  if (failed(found))
    return failure();
  plan = *found;
  FailureOr<ForwardProgram> program = ForwardProgram::get(module);
  if (failed(program))
    return failure();

  // Which calls of each layer keep residuals, and which compute them again. Recompute counts the layers between others:
  // the first keeps only its integer inputs anyway, and the loss has no pause between forward and backward.
  llvm::MapVector<func::FuncOp, std::array<SmallVector<graph::CallOp>, 2>> layers;
  int64_t position = 0;
  for (LayerCall layer : program->layers) {
    bool between = llvm::any_of(getArgsOfKind(layer.forward, ArgKind::Activation), [&](unsigned index) {
      return hasFloatElements(layer.forward.getArgument(index).getType());
    });
    bool recompute = plan.recompute == Recompute::Full && between && layer.call != program->loss &&
                     (plan.recomputeLayers == 0 || position < plan.recomputeLayers);
    position += between;
    layers[layer.forward][recompute].push_back(layer.call);
  }

  for (auto &[forward, calls] : layers) {
    if (failed(checkArguments(forward)))
      return failure();
    decomposeForGradient(forward);
    auto &[keeping, recomputing] = calls;
    if (llvm::is_contained(keeping, program->loss)) {
      if (keeping.size() > 1)
        return program->loss.emitOpError("computes the loss in a layer that is also called elsewhere: give the loss a function "
                                         "of its own");
      if (failed(differentiateLoss(forward, *program)))
        return failure();
      continue;
    }
    if (!keeping.empty() && !recomputing.empty()) {
      // Both ways occur: the calls that compute again get a twin of the layer without residuals.
      func::FuncOp twin = forward.clone();
      twin.setName((forward.getName() + "_recompute").str());
      SymbolTable(module).insert(twin, std::next(forward->getIterator()));
      for (graph::CallOp call : recomputing)
        call.setCallee(twin.getName());
      if (failed(differentiateLayer(twin, getPartName(forward, "backward_recompute"), /*recompute=*/true)))
        return failure();
      recomputing.clear();
    }
    if (failed(differentiateLayer(forward, getPartName(forward, "backward"), /*recompute=*/!recomputing.empty())))
      return failure();
  }
  return success();
}
