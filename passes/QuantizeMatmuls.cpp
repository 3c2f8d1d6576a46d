//===- QuantizeMatmuls.cpp - Products of 8-bit floats ---------------------===//
//
// Replaces each product that has a recipe by the quantisation of its operands and the product of those. What several
// products read is quantised once, where the recipe has one scale for all of them.
//
//===----------------------------------------------------------------------===//

#include "passes/LayerFunction.h"
#include "passes/Passes.h"
#include "passes/Residuals.h"
#include "passes/fp8/DelayedState.h"
#include "passes/fp8/HoistWeights.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"
#include "llvm/ADT/MapVector.h"

namespace primus {
#define GEN_PASS_DEF_QUANTIZEMATMULS
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;

namespace {
struct QuantizeMatmuls : primus::impl::QuantizeMatmulsBase<QuantizeMatmuls> {
  void runOnOperation() override;
};
} // namespace

/// What ranks may have a part of, by the module's mesh.
static fp8::Setting getSetting(ModuleOp module) {
  fp8::Setting setting;
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  if (!mesh)
    return setting;
  auto size = [&](StringRef axis) { return mesh.getSize(axis).value_or(1); };
  setting.dataRanks = size("dp") * size("fsdp");
  setting.activationParts = size("cp") * size("tp");
  setting.weightParts = setting.activationParts * size("fsdp");
  return setting;
}

namespace {

/// The two quantised operands of a product.
struct Operands {
  fp8::Operand lhs, rhs;
};

/// A layer's forward function and the one that computes its gradients, if there is one.
class LayerQuantizer {
public:
  LayerQuantizer(func::FuncOp forward, func::FuncOp backward, const fp8::Setting &setting)
      : forward(forward), backward(backward), setting(setting) {}

  void run();

private:
  void replace(graph::MatmulOp matmul, fp8::DelayedState &delayed);

  func::FuncOp forward, backward;
  fp8::Setting setting;
};

} // namespace

static Operands getOperands(graph::MatmulOp matmul) {
  graph::Fp8Attr fp8 = matmul.getFp8Attr();
  StringRef result = matmul.getResultSpec();
  auto makeOperand = [&](Value value, StringRef spec, bool isWeight, FloatType type) {
    std::string contracted;
    for (char letter : spec)
      if (!result.contains(letter))
        contracted.push_back(letter);
    return fp8::Operand{value, spec.str(), contracted, isWeight, type};
  };
  bool isWgrad = fp8.getRole() == graph::Fp8Role::Wgrad;
  return {makeOperand(matmul.getLhs(), matmul.getLhsSpec(), false, fp8.getLhsType()),
          makeOperand(matmul.getRhs(), matmul.getRhsSpec(), !isWgrad, fp8.getRhsType())};
}

static SmallVector<graph::MatmulOp> findMatmuls(func::FuncOp function) {
  SmallVector<graph::MatmulOp> matmuls;
  if (function)
    function.walk([&](graph::MatmulOp matmul) {
      if (matmul.getFp8Attr())
        matmuls.push_back(matmul);
    });
  return matmuls;
}

void LayerQuantizer::replace(graph::MatmulOp matmul, fp8::DelayedState &delayed) {
  setting.attr = matmul.getFp8Attr();
  OpBuilder builder(matmul);
  auto function = matmul->getParentOfType<func::FuncOp>();
  fp8::Quantizer quantizer = fp8::getQuantizer(setting.attr.getRecipe());
  auto quantize = [&](const fp8::Operand &operand) {
    return quantizer ? quantizer(builder, setting, operand) : delayed.quantize(builder, function, operand);
  };
  auto [lhsOperand, rhsOperand] = getOperands(matmul);
  fp8::Quantised lhs = quantize(lhsOperand), rhs = quantize(rhsOperand);
  std::string spec = lhs.spec + "," + rhs.spec + "->" + matmul.getResultSpec().str();
  Value product = graph::ScaledMatmulOp::create(builder, matmul.getLoc(), matmul.getResult().getType(), spec, lhs.value,
                                                lhs.factor, rhs.value, rhs.factor);
  matmul.replaceAllUsesWith(product);
  matmul.erase();
}

/// What may move from a backward function to the forward function that has its operand.
static bool isQuantisation(Operation *op) {
  return op->hasTrait<OpTrait::Elementwise>() ||
         isa<graph::AmaxOp, graph::QuantizeOp, graph::ConstantOp, graph::ReduceOp, graph::ReshapeOp, graph::TransposeOp,
             graph::BroadcastOp, graph::SliceOp>(op);
}

void LayerQuantizer::run() {
  SmallVector<graph::MatmulOp> matmuls = findMatmuls(forward);
  llvm::append_range(matmuls, findMatmuls(backward));
  if (matmuls.empty())
    return;
  setting.attr = matmuls.front().getFp8Attr();
  fp8::DelayedState delayed(forward, backward, setting);
  for (graph::MatmulOp matmul : matmuls)
    if (!fp8::getQuantizer(matmul.getFp8Attr().getRecipe())) {
      auto [lhs, rhs] = getOperands(matmul);
      delayed.add(lhs);
      delayed.add(rhs);
    }
  for (graph::MatmulOp matmul : matmuls)
    replace(matmul, delayed);
  delayed.finish();
  for (func::FuncOp function : {forward, backward}) {
    if (!function)
      continue;
    IRRewriter rewriter(function.getContext());
    DominanceInfo dominance(function);
    eliminateCommonSubExpressions(rewriter, dominance, function);
  }
  if (backward)
    narrowResiduals(forward, backward, isQuantisation);
  fp8::hoistWeights(forward, backward, delayed.getMeasure(), isQuantisation);
}

void QuantizeMatmuls::runOnOperation() {
  ModuleOp module = getOperation();
  fp8::Setting setting = getSetting(module);
  llvm::MapVector<func::FuncOp, func::FuncOp> layers;
  llvm::DenseSet<Operation *> followers;
  for (auto function : module.getOps<func::FuncOp>()) {
    auto name = function->getAttrOfType<FlatSymbolRefAttr>(kBackwardAttr);
    auto backward = name ? module.lookupSymbol<func::FuncOp>(name.getAttr()) : func::FuncOp();
    layers[function] = backward;
    if (backward)
      followers.insert(backward);
  }
  for (auto [function, backward] : layers)
    if (!followers.contains(function))
      LayerQuantizer(function, backward, setting).run();
  fp8::reduceMaxima(module);
}
