//===- ExtraPasses.cpp - What 8-bit products cost beside themselves -------===//

#include "passes/fusion/ExtraPasses.h"

#include "passes/fusion/Grouping.h"

using namespace mlir;
using namespace primus;
using namespace primus::graph;

static bool isByte(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return isa<FloatType>(type.getElementType()) && type.getElementTypeBitWidth() == 8;
}

/// What quantisation, its inverse and the choice of scales consist of.
static bool isOfQuantisation(Operation &op) {
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return reduce.getKind() == ReduceKind::Max;
  return isa<ConvertOp, MulOp, DivOp, NegOp, MaximumOp, CompareOp, SelectOp, BroadcastOp, ReshapeOp, SliceOp, ConstantOp,
             TransposeOp, YieldOp>(op);
}

static int64_t countElements(Value value) { return cast<RankedTensorType>(value.getType()).getNumElements(); }

/// What a value is a view or the combination over ranks of.
static Value getSource(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!fusion::isView(op) && !isa<CollectiveOpInterface>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

/// The largest values of many, which another kernel has found, or scales that follow from them.
static bool isMeasured(Value value) {
  if (countElements(value) == 1)
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
      if (countElements(operand) == countElements(op->getResult(0)))
        worklist.push_back(operand);
  }
  return false;
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
  if (!llvm::all_of(body, isOfQuantisation) || llvm::all_of(fusion.getInputs(), isMeasured))
    return std::nullopt;
  bool isTransposed = !body.getOps<TransposeOp>().empty();
  if (llvm::any_of(fusion.getResults(), isByte)) {
    if (llvm::any_of(fusion.getInputs(), isByte))
      return "orders an operand of 8-bit floats for a product";
    return StringRef(isTransposed ? "quantises a transposed tensor" : "quantises a tensor that another kernel has computed");
  }
  if (llvm::any_of(fusion.getInputs(), isByte))
    return "restores an operand that the target's products do not take in 8 bits";
  if (!body.getOps<ReduceOp>().empty())
    return "measures a tensor whose scale comes from its largest value";
  if (isTransposed && isReadForProducts(fusion.getResult(0)))
    return "transposes a tensor that is quantised in that order";
  return std::nullopt;
}
