//===- ExtraPasses.cpp - What 8-bit products cost beside themselves -------===//

#include "passes/fusion/ExtraPasses.h"

#include "passes/LayerFunction.h"
#include "passes/fusion/Grouping.h"

using namespace mlir;
using namespace primus;
using namespace primus::graph;

/// What quantisation, its inverse and the choice of scales consist of.
static bool isOfQuantisation(Operation &op) {
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return reduce.getKind() == ReduceKind::Max;
  return isa<ConvertOp, MulOp, DivOp, NegOp, MaximumOp, CompareOp, SelectOp, BroadcastOp, ReshapeOp, SliceOp, ConstantOp,
             TransposeOp, YieldOp>(op);
}

/// What a value is a view of.
static Value skipViews(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!fusion::isView(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

/// What a value is a view or the combination over ranks of.
static Value getSource(Value value) {
  value = skipViews(value);
  auto collective = dyn_cast_or_null<CollectiveOpInterface>(value.getDefiningOp());
  return collective ? getSource(collective->getOperand(0)) : value;
}

/// The largest values of many, which another kernel has found, or scales that follow from them.
static bool isMeasured(Value value) {
  if (kernels::numElements(value) == 1)
    return true;
  auto result = dyn_cast<OpResult>(getSource(value));
  auto fusion = result ? dyn_cast<FusionOp>(result.getOwner()) : FusionOp();
  if (!fusion)
    return false;
  // Back along ops that keep the number of values.
  SmallVector<Value> worklist{fusion.getBody().front().getTerminator()->getOperand(result.getResultNumber())};
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val().getDefiningOp();
    if (!op)
      continue;
    if (isa<ReduceOp>(op))
      return true;
    for (Value operand : op->getOperands())
      if (kernels::numElements(operand) == kernels::numElements(op->getResult(0)))
        worklist.push_back(operand);
  }
  return false;
}

static unsigned getBits(Value value) { return cast<RankedTensorType>(value.getType()).getElementTypeBitWidth(); }

/// The weight that a kernel rounds to the type that products without 8 bits would have, if it reads nothing else but measured
/// values and writes a copy that is narrower than the weight; null for other kernels.
static Value getCopiedWeight(FusionOp fusion) {
  BlockArgument read;
  for (BlockArgument argument : fusion.getBody().getArguments()) {
    if (isMeasured(fusion.getInputs()[argument.getArgNumber()]))
      continue;
    if (read)
      return {};
    read = argument;
  }
  auto weight = read ? dyn_cast<BlockArgument>(skipViews(fusion.getInputs()[read.getArgNumber()])) : BlockArgument();
  auto function = weight ? dyn_cast<func::FuncOp>(weight.getOwner()->getParentOp()) : func::FuncOp();
  if (!function || !llvm::is_contained(getArgsOfKind(function, ArgKind::Parameter), weight.getArgNumber()))
    return {};
  auto isRounded = [&](ConvertOp op) {
    return skipViews(op.getOperand()) == read && getBits(op.getResult()) == 16 && getBits(read) > 16;
  };
  auto isCopy = [&](Value result) { return kernels::numElements(result) == kernels::numElements(weight) && getBits(result) <= 16; };
  bool copies = llvm::any_of(fusion.getBody().front().getOps<ConvertOp>(), isRounded) && llvm::any_of(fusion.getResults(), isCopy);
  return copies ? Value(weight) : Value();
}

/// Whether products of the wider type need the kernel, too: each step reads every weight once and rounds it to their type.
static bool isFirstCopy(FusionOp fusion) {
  Value weight = getCopiedWeight(fusion);
  return weight && llvm::none_of(fusion->getBlock()->getOps<FusionOp>(), [&](FusionOp other) {
    return other->isBeforeInBlock(fusion) && getCopiedWeight(other) == weight;
  });
}

/// Whether all that becomes of a value are operands of 8-bit products.
static bool isReadForProducts(Value value) {
  return !value.use_empty() && llvm::all_of(value.getUsers(), [](Operation *user) {
    if (fusion::isView(user))
      return isReadForProducts(user->getResult(0));
    auto fusion = dyn_cast<FusionOp>(user);
    return fusion && fusion::explainExtraPass(fusion);
  });
}

std::optional<StringRef> fusion::explainExtraPass(FusionOp fusion) {
  Block &body = fusion.getBody().front();
  if (!llvm::all_of(body, isOfQuantisation) || llvm::all_of(fusion.getInputs(), isMeasured) || isFirstCopy(fusion))
    return std::nullopt;
  bool isTransposed = !body.getOps<TransposeOp>().empty();
  if (llvm::any_of(fusion.getResults(), kernels::isFloat8)) {
    if (llvm::any_of(fusion.getInputs(), kernels::isFloat8))
      return "orders an operand of 8-bit floats for a product";
    return StringRef(isTransposed ? "quantises a transposed tensor" : "quantises a tensor that another kernel has computed");
  }
  if (llvm::any_of(fusion.getInputs(), kernels::isFloat8))
    return "restores an operand that the target's products do not take in 8 bits";
  if (!body.getOps<ReduceOp>().empty())
    return "measures a tensor whose scale comes from its largest value";
  if (isTransposed && isReadForProducts(fusion.getResult(0)))
    return "transposes a tensor that is quantised in that order";
  return std::nullopt;
}
