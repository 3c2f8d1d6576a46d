//===- Autodiff.cpp - Backward functions of layers -------------------------===//
//
// For each distinct layer that the program @forward calls, derives the function of its gradients by the convention of
// LayerFunction.h. The layer that computes the loss gets forward and backward in one function.
//
//===----------------------------------------------------------------------===//

#include "passes/LayerFunction.h"
#include "passes/Passes.h"
#include "passes/Plan.h"
#include "passes/Program.h"
#include "passes/Remarks.h"
#include "passes/autodiff/BackwardFunction.h"

#include "llvm/ADT/MapVector.h"

namespace primus {
#define GEN_PASS_DEF_AUTODIFF
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;

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
  /// Where ranks share the accumulators, gradients are reduced before they are added.
  bool accumulates() const { return plan.zero < 2; }

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
         isa<graph::ConstantOp, graph::IotaOp, graph::BroadcastOp, graph::ReshapeOp, graph::TransposeOp,
             graph::SliceOp>(op);
}

LogicalResult Autodiff::checkArguments(func::FuncOp forward) {
  for (unsigned index = 0, end = forward.getNumArguments(); index < end; ++index)
    if (failed(getArgKind(forward, index)))
      return failure();
  return success();
}

LogicalResult Autodiff::differentiateLoss(func::FuncOp forward, const ForwardProgram &program) {
  BackwardBuilder builder(forward, getPartName(forward, "forward_backward"), "forward_backward", accumulates());
  if (failed(builder.buildForwardBackward(program.lossResult, program.validResult, plan.perMicrobatchMean)))
    return failure();
  builder.finish();
  return success();
}

LogicalResult Autodiff::differentiateLayer(func::FuncOp forward, StringRef name, bool recompute) {
  BackwardBuilder builder(forward, name, "backward", accumulates());
  if (failed(builder.buildBackward()))
    return failure();
  if (!recompute) {
    bool selective = plan.recompute == Recompute::Selective;
    ForwardCopy &copy = builder.getCopy();
    addResiduals(copy, selectResiduals(copy, [&](Operation *op) {
                   return isCheap(op) || (selective && isa<graph::AttentionOp>(op));
                 }));
  } else {
    ForwardCopy &copy = builder.getCopy();
    remarkPassed(kRecomputeRemark, copy.backward, forward.getLoc(), 0,
                 [&] { return "all of " + forward.getName().str() + " is computed again, as the plan's recompute says"; });
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
  if (plan.goal == Goal::Forward)
    return success();
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
        return program->loss.emitOpError("computes the loss in a layer that is also called elsewhere: give the loss a "
                                         "function of its own");
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
