//===- PackOperands.cpp - Operands in the micro-kernel's order ------------===//

#include "ir/graph/GraphBuilder.h"
#include "passes/LayerFunction.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/kernels/MatmulProblem.h"

using namespace mlir;
using namespace primus;

namespace primus {
#define GEN_PASS_DEF_PACKOPERANDS
#include "passes/Passes.h.inc"
} // namespace primus

namespace {

/// Packs the operands of one function's products; what several products read is packed once.
class FunctionPacker {
public:
  explicit FunctionPacker(const kernel::TargetTraits &traits) : traits(traits) {}

  LogicalResult pack(graph::FusionOp fusion);

private:
  /// A fusion of one op, before the product that needs it first.
  Value createFusion(OpBuilder &builder, Value operand, StringRef family, StringRef what,
                     function_ref<Value(graph::GraphBuilder &, OpBuilder &, Value)> build);
  Value convert(OpBuilder &builder, Value operand, Type element);
  Value transpose(OpBuilder &builder, Value operand);
  /// `element` is a wider type than an operand of 8-bit floats has, or the operand's.
  Value pack(OpBuilder &builder, Value operand, Type element, bool transposed, int64_t group);

  const kernel::TargetTraits &traits;
  /// By operand and what becomes of it.
  std::map<std::pair<void *, std::string>, Value> known;
};

struct PackOperands : primus::impl::PackOperandsBase<PackOperands> {
  void runOnOperation() override {
    kernel::TargetTraits traits = kernel::TargetTraits::get(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      FunctionPacker packer(traits);
      for (auto fusion : llvm::to_vector(function.getOps<graph::FusionOp>()))
        if (fusion.getFamily() == "matmul" && failed(packer.pack(fusion)))
          return signalPassFailure();
    }
  }
};

} // namespace

/// "<what>.<name>", so that people find the kernel.
static Location getLocation(Location loc, StringRef what) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return NameLoc::get(StringAttr::get(loc.getContext(), Twine(name.getName().strref()) + "." + what));
  return loc;
}

Value FunctionPacker::createFusion(OpBuilder &builder, Value operand, StringRef family, StringRef what,
                                   function_ref<Value(graph::GraphBuilder &, OpBuilder &, Value)> build) {
  Value &result = known[{operand.getAsOpaquePointer(), what.str()}];
  if (result)
    return result;
  // Called after what is packed, be it a view.
  Value viewed = operand;
  while (auto view = viewed.getDefiningOp<graph::ReshapeOp>())
    viewed = view.getOperand();
  Location loc = getLocation(viewed.getLoc(), what);
  auto body = std::make_unique<Block>();
  // The block has no parent yet to take the context from.
  OpBuilder bodyBuilder(builder.getContext());
  bodyBuilder.setInsertionPointToEnd(body.get());
  graph::GraphBuilder b(bodyBuilder, loc);
  Value inner = build(b, bodyBuilder, body->addArgument(operand.getType(), loc));
  graph::YieldOp::create(bodyBuilder, loc, inner);
  auto fusion = graph::FusionOp::create(builder, loc, inner.getType(), family, operand);
  fusion.getBody().push_back(body.release());
  result = fusion.getResult(0);
  auto type = cast<RankedTensorType>(result.getType());
  remarkPassed(kPackingRemark, fusion->getParentOfType<func::FuncOp>(), loc, type.getNumElements() * type.getElementTypeBitWidth() / 8,
               [&] { return describe(operand) + " becomes %" + getValueName(result).str() + ", for products that read it so"; });
  return result;
}

Value FunctionPacker::convert(OpBuilder &builder, Value operand, Type element) {
  if (getElementTypeOrSelf(operand.getType()) == element)
    return operand;
  return createFusion(builder, operand, "rows", element.isF32() ? "wide" : "bf16",
                      [&](graph::GraphBuilder &b, OpBuilder &, Value value) { return b.convert(value, element); });
}

Value FunctionPacker::transpose(OpBuilder &builder, Value operand) {
  auto shape = cast<RankedTensorType>(operand.getType()).getShape();
  // A row or a column is its own transpose.
  if (shape[1] == 1 || shape[2] == 1)
    return graph::GraphBuilder(builder, operand.getLoc()).reshape(operand, {shape[0], shape[2], shape[1]});
  return createFusion(builder, operand, "transpose", "transposed",
                      [](graph::GraphBuilder &b, OpBuilder &, Value value) { return b.transpose(value, {0, 2, 1}); });
}

Value FunctionPacker::pack(OpBuilder &builder, Value operand, Type element, bool transposed, int64_t group) {
  int64_t width = traits.dotColumns;
  return createFusion(builder, operand, "pack", transposed ? "packed_transposed" : "packed",
                      [&](graph::GraphBuilder &b, OpBuilder &bodyBuilder, Value value) -> Value {
                        value = b.convert(value, element);
                        auto type = cast<RankedTensorType>(value.getType());
                        int64_t rows = type.getDimSize(transposed ? 2 : 1), columns = type.getDimSize(transposed ? 1 : 2);
                        SmallVector<int64_t> shape{type.getDimSize(0), static_cast<int64_t>(llvm::divideCeil(columns, width)),
                                                   static_cast<int64_t>(llvm::divideCeil(rows, group)), width, group};
                        return graph::PackOp::create(bodyBuilder, operand.getLoc(),
                                                     graph::withShape(type, shape, type.getElementType()), value,
                                                     bodyBuilder.getI64IntegerAttr(width), bodyBuilder.getI64IntegerAttr(group),
                                                     transposed ? bodyBuilder.getUnitAttr() : UnitAttr());
                      });
}

LogicalResult FunctionPacker::pack(graph::FusionOp fusion) {
  Block &body = fusion.getBody().front();
  // Products with factors along k are for targets that read operands where they lie.
  if (!body.getOps<graph::ScaledMatmulOp>().empty())
    return success();
  auto matmul = *body.getOps<graph::MatmulOp>().begin();
  std::optional<kernels::MatmulProblem> problem = kernels::MatmulProblem::match(matmul);
  auto left = problem ? dyn_cast<BlockArgument>(problem->left) : BlockArgument();
  auto right = problem ? dyn_cast<BlockArgument>(problem->right) : BlockArgument();
  if (!left || !right)
    return fusion.emitOpError("must hold a product of two inputs in normal form; run graph-form-fusions first");
  if (problem->group)
    return success();

  OpBuilder builder(fusion);
  Value a = fusion.getInputs()[left.getArgNumber()], w = fusion.getInputs()[right.getArgNumber()];
  Type leftElement = getElementTypeOrSelf(a.getType()), rightElement = getElementTypeOrSelf(w.getType());
  // Pairs of bf16 are multiplied as such where the processor does that fast; all else in f32, widened once here and not
  // for each block.
  auto isNarrow = [](Type type) { return type.isBF16() || type.getIntOrFloatBitWidth() == 8; };
  bool pairs = isNarrow(leftElement) && isNarrow(rightElement) && traits.bf16Dot;
  // Matrix instructions read operands where they lie.
  if (!traits.packs && (!traits.gpu || traits.gpu->multiplies(leftElement, rightElement)))
    return success();
  // Both have all numbers of 8-bit floats.
  Type wide = pairs ? Type(builder.getBF16Type()) : builder.getF32Type();
  a = convert(builder, a, wide);
  // Packing widens on its way.
  if (!traits.packs || rightElement.getIntOrFloatBitWidth() != 8)
    w = convert(builder, w, wide);
  if (traits.packs) {
    if (matmul.getLhsSpec() == kernels::kLeftColumns)
      a = transpose(builder, a);
    w = pack(builder, w, wide, matmul.getRhsSpec() == kernels::kRightColumns, pairs ? 2 : 1);
  }

  OpBuilder inner(matmul);
  BlockArgument newLeft = body.addArgument(a.getType(), left.getLoc()), newRight = body.addArgument(w.getType(), right.getLoc());
  fusion.getInputsMutable().append({a, w});
  Type element = getElementTypeOrSelf(matmul.getType());
  Value product = traits.packs ?
      kernels::buildPackedMatmul(inner, matmul.getLoc(), newLeft, newRight, problem->n, element) :
      graph::GraphBuilder(inner, matmul.getLoc()).matmul(matmul.getSpec(), newLeft, newRight, element);
  matmul.replaceAllUsesWith(product);
  matmul.erase();
  for (unsigned index = body.getNumArguments(); index-- > 0;)
    if (body.getArgument(index).use_empty()) {
      body.eraseArgument(index);
      fusion.getInputsMutable().erase(index);
    }
  return success();
}
