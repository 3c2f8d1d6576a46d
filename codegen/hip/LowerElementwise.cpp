//===- LowerElementwise.cpp - Arithmetic on tiles, scalars and indices ----===//

#include "codegen/common/Float8.h"
#include "codegen/common/MathFunctions.h"
#include "codegen/hip/KernelLowering.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

LogicalResult KernelLowering::lowerConstant(arith::ConstantOp op) {
  if (op.getType().isIndex()) {
    define(op, {arith::ConstantIntOp::create(b, cast<IntegerAttr>(op.getValue()).getInt(), getIndexBits(op))});
    return success();
  }
  auto tile = dyn_cast<RankedTensorType>(op.getType());
  auto getStored = [](Attribute number) {
    auto real = dyn_cast<FloatAttr>(number);
    return real ? getStorageAttr(real) : cast<TypedAttr>(number);
  };
  if (!tile) {
    define(op, {arith::ConstantOp::create(b, getStored(op.getValue()))});
    return success();
  }
  auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!elements || !elements.isSplat())
    return op.emitOpError("is a tile of different numbers, which has no lowering for AMD GPUs; compute it from "
                          "kernel.iota");
  LaneLayout layout = getLayout(tile);
  TypedAttr number = getStored(elements.getSplatValue<Attribute>());
  auto type = VectorType::get(layout.partSize, number.getType());
  Value part = arith::ConstantOp::create(b, DenseElementsAttr::get(type, Attribute(number)));
  define(op, Parts(layout.getParts(), part));
  return success();
}

/// Operations of the math dialect that become one instruction, or a few.
static bool isNativeMath(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp, math::FloorOp, math::FmaOp,
             math::RoundEvenOp, math::SqrtOp, math::TruncOp>(op);
}

LogicalResult KernelLowering::lowerElementwise(Operation &op) {
  if (op.getNumResults() != 1 || op.getNumRegions() != 0 || !OpTrait::hasElementwiseMappableTraits(&op))
    return op.emitOpError("has no lowering for AMD GPUs; write it with arith, math, scf and kernel operations");
  bool onIndices = llvm::any_of(op.getOperandTypes(), llvm::IsaPred<IndexType>) || op.getResult(0).getType().isIndex();
  if (onIndices)
    return lowerIndexArithmetic(op);
  if (auto found = layouts.find(op.getOperand(0)); found != layouts.end()) {
    LaneLayout layout = found->second;
    layouts[op.getResult(0)] = layout;
  }
  if (op.hasAttr(kernel::kMostlyOneAttr) && isa<arith::MulFOp>(op)) {
    lowerMostlyOne(cast<arith::MulFOp>(op));
    return success();
  }
  Parts parts;
  for (auto [number, type] : llvm::enumerate(getPartTypes(op.getResult(0)))) {
    SmallVector<Value> operands;
    for (Value operand : op.getOperands()) {
      // A select's condition may be a scalar beside tiles.
      ArrayRef<Value> from = getParts(operand);
      operands.push_back(from[isa<RankedTensorType>(operand.getType()) ? number : 0]);
    }
    FailureOr<Value> part = lowerElement(op, operands, type);
    if (failed(part))
      return failure();
    parts.push_back(*part);
  }
  define(op.getResult(0), std::move(parts));
  return success();
}

void KernelLowering::lowerMostlyOne(arith::MulFOp op) {
  ArrayRef<Value> tile = getParts(op.getLhs()), factors = getParts(op.getRhs());
  auto broadcast = op.getRhs().getDefiningOp<kernel::BroadcastOp>();
  Value differs;
  for (Value part : broadcast ? getParts(broadcast.getOperand()) : factors)
    for (int64_t number = 0; number < cast<VectorType>(part.getType()).getNumElements(); ++number) {
      Value factor = extract(part, number), one = arith::ConstantOp::create(b, b.getOneAttr(factor.getType()));
      Value differ = arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, factor, one);
      differs = differs ? arith::OrIOp::create(b, differs, differ).getResult() : differ;
    }
  Value lanes = ROCDL::BallotOp::create(b, b.getI64Type(), differs);
  Value any = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, lanes, i64(0));
  any = LLVM::ExpectOp::create(b, any, arith::ConstantIntOp::create(b, 0, 1));
  auto conditional = scf::IfOp::create(b, TypeRange(ValueRange(tile)), any, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(conditional.thenBlock());
  // Or else LLVM computes it always.
  ROCDL::SchedBarrier::create(b, 0);
  Parts products;
  for (auto [part, factor] : llvm::zip_equal(tile, factors))
    products.push_back(arith::MulFOp::create(b, part, factor));
  scf::YieldOp::create(b, products);
  b.setInsertionPointToStart(conditional.elseBlock());
  scf::YieldOp::create(b, tile);
  define(op, Parts(conditional.getResults()));
}

LogicalResult KernelLowering::lowerIndexArithmetic(Operation &op) {
  // In as many bits as operands and result have; sums and products wrap around alike in all.
  Value result = op.getResult(0);
  unsigned resultBits = result.getType().isIndex() ? getIndexBits(result)
                                                   : std::min(result.getType().getIntOrFloatBitWidth(), 64u);
  unsigned bits = 32;
  auto widen = [&](Value value) {
    if (value.getType().isIndex())
      bits = std::max(bits, getIndexBits(value));
  };
  widen(result);
  for (Value operand : op.getOperands())
    widen(operand);
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    Value operand = getScalar(op.getOperand(0));
    unsigned has = operand.getType().getIntOrFloatBitWidth();
    if (isa<arith::IndexCastUIOp>(op) && has < resultBits)
      operand = arith::ExtUIOp::create(b, b.getIntegerType(resultBits), operand);
    define(result, {cast(operand, resultBits)});
    return success();
  }
  SmallVector<Value> operands;
  for (Value operand : op.getOperands())
    operands.push_back(operand.getType().isIndex() ? getIndex(operand, bits) : getScalar(operand));
  Type type = result.getType().isIndex() ? Type(b.getIntegerType(bits)) : result.getType();
  OperationState state(op.getLoc(), op.getName(), operands, type, op.getAttrs());
  Value lowered = b.create(state)->getResult(0);
  define(result, {result.getType().isIndex() ? cast(lowered, resultBits) : lowered});
  return success();
}

/// 1 / sqrt(x) by v_rsq_f32, which is exact to one unit in the last place but takes no subnormal numbers.
static Value createRsqrt(ImplicitLocOpBuilder &b, Value x) {
  Type type = x.getType();
  auto constant = [&](double number) -> Value {
    FloatAttr attribute = b.getF32FloatAttr(number);
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, Attribute(attribute)));
    return arith::ConstantOp::create(b, attribute);
  };
  constexpr double smallest = 0x1p-126, factor = 0x1p24, root = 0x1p12;
  Value isSmall = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, constant(smallest));
  Value scaled = arith::MulFOp::create(b, x, arith::SelectOp::create(b, isSmall, constant(factor), constant(1)));
  auto single = [&](Value number) -> Value {
    return LLVM::CallIntrinsicOp::create(b, b.getF32Type(), b.getStringAttr("llvm.amdgcn.rsq.f32"), number)
        .getResult(0);
  };
  Value result;
  if (auto vector = dyn_cast<VectorType>(type)) {
    SmallVector<Value> elements;
    for (int64_t number = 0; number < vector.getNumElements(); ++number)
      elements.push_back(single(vector::ExtractOp::create(b, scaled, number)));
    result = vector::FromElementsOp::create(b, vector, elements);
  } else {
    result = single(scaled);
  }
  return arith::MulFOp::create(b, result, arith::SelectOp::create(b, isSmall, constant(root), constant(1)));
}

/// 2^x by v_exp_f32, whose subnormal results are zero.
static Value createExp2(ImplicitLocOpBuilder &b, Value x) {
  auto single = [&](Value number) -> Value {
    return LLVM::CallIntrinsicOp::create(b, b.getF32Type(), b.getStringAttr("llvm.amdgcn.exp2.f32"), number)
        .getResult(0);
  };
  auto type = dyn_cast<VectorType>(x.getType());
  if (!type)
    return single(x);
  SmallVector<Value> elements;
  for (int64_t number = 0; number < type.getNumElements(); ++number)
    elements.push_back(single(vector::ExtractOp::create(b, x, number)));
  return vector::FromElementsOp::create(b, type, elements);
}

/// f32 rounded to bf16 (to nearest, ties away from zero) where there is no instruction for it. NaN may become anything.
static Value createTruncToBf16(ImplicitLocOpBuilder &b, Value x, VectorType result) {
  auto words = VectorType::get(result.getNumElements(), b.getI32Type());
  auto constant = [&](int32_t number) -> Value {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(words, number));
  };
  Value bits = arith::AddIOp::create(b, arith::BitcastOp::create(b, words, x), constant(0x8000));
  // The upper halves of two words into one.
  SmallVector<Value> pairs;
  for (int64_t number = 0; number < words.getNumElements(); number += 2) {
    Value low = vector::ExtractOp::create(b, bits, number), high = vector::ExtractOp::create(b, bits, number + 1);
    Value selector = arith::ConstantIntOp::create(b, 0x07060302, 32);
    pairs.push_back(LLVM::CallIntrinsicOp::create(b, b.getI32Type(), b.getStringAttr("llvm.amdgcn.perm"),
                                                  ValueRange{high, low, selector}).getResult(0));
  }
  auto packed = VectorType::get(static_cast<int64_t>(pairs.size()), b.getI32Type());
  return LLVM::BitcastOp::create(b, result, vector::FromElementsOp::create(b, packed, pairs));
}

static bool hasFlag(Operation &op, arith::FastMathFlags flag) {
  auto interface = dyn_cast<arith::ArithFastMathInterface>(op);
  arith::FastMathFlagsAttr flags = interface ? interface.getFastMathFlagsAttr() : arith::FastMathFlagsAttr();
  return flags && arith::bitEnumContainsAll(flags.getValue(), flag);
}

Value KernelLowering::lowerFloat8Element(Operation &op, ValueRange operands, Type result) {
  if (isa<arith::BitcastOp>(op))
    return operands[0];
  if (isa<arith::SelectOp>(op))
    return arith::SelectOp::create(b, operands[0], operands[1], operands[2]);
  Type element = getElementTypeOrSelf(op.getResult(0).getType());
  auto convert = [&](Value value, Type to) -> Value {
    Type type = value.getType();
    type = isa<VectorType>(type) ? Type(cast<VectorType>(type).clone(to)) : to;
    unsigned has = getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth(), wants = to.getIntOrFloatBitWidth();
    if (has == wants)
      return value;
    return has < wants ? arith::ExtFOp::create(b, type, value).getResult()
                       : arith::TruncFOp::create(b, type, value).getResult();
  };
  SmallVector<Value> wide;
  for (auto [operand, value] : llvm::zip_equal(op.getOperands(), operands)) {
    Type from = getElementTypeOrSelf(operand.getType());
    wide.push_back(isFloat8(from) ? float8ToF32(value, cast<FloatType>(from)) : value);
  }
  if (isa<arith::ExtFOp, arith::TruncFOp>(op))
    return isFloat8(element) ? f32ToFloat8(convert(wide[0], b.getF32Type()), cast<FloatType>(element))
                             : convert(wide[0], element);
  Type type = isFloat8(element) ? wide[0].getType() : result;
  OperationState state(op.getLoc(), op.getName(), wide, type, op.getAttrs());
  Value value = b.create(state)->getResult(0);
  return isFloat8(element) ? f32ToFloat8(value, cast<FloatType>(element)) : value;
}

FailureOr<Value> KernelLowering::lowerElement(Operation &op, ValueRange operands, Type result) {
  if (isFloat8(op.getResult(0).getType()) || llvm::any_of(op.getOperandTypes(), [](Type type) { return isFloat8(type); }))
    return lowerFloat8Element(op, operands, result);
  if (isa<math::RsqrtOp>(op) && getElementTypeOrSelf(result).isF32())
    return createRsqrt(b, operands[0]);
  if (isa<math::Exp2Op>(op) && getElementTypeOrSelf(result).isF32() && hasFlag(op, arith::FastMathFlags::afn))
    return createExp2(b, operands[0]);
  auto vector = dyn_cast<VectorType>(result);
  if (isa<arith::TruncFOp>(op) && chip == "gfx942" && vector && vector.getElementType().isBF16() &&
      vector.getNumElements() % 2 == 0 && getElementTypeOrSelf(operands[0].getType()).isF32() &&
      hasFlag(op, arith::FastMathFlags::nnan))
    return createTruncToBf16(b, operands[0], vector);
  // exp and exp2 have exact expansions around v_exp_f32.
  if (isa<math::MathDialect>(op.getDialect()) && !isNativeMath(&op) && !isa<math::ExpOp, math::Exp2Op>(op)) {
    auto scale = [&](Value x, Value, Value integer) -> Value {
      return LLVM::CallIntrinsicOp::create(b, x.getType(), b.getStringAttr("llvm.ldexp"), ValueRange{x, integer})
          .getResult(0);
    };
    if (Value expanded = expandMathFunction(b, &op, operands, scale))
      return expanded;
    return op.emitOpError() << "of " << getElementTypeOrSelf(op.getOperand(0).getType())
                            << " has no expansion for AMD GPUs; compute it in f32 from the functions that have one "
                               "(codegen/common/MathFunctions.h)";
  }
  OperationState state(op.getLoc(), op.getName(), operands, result, op.getAttrs());
  Operation *lowered = b.create(state);
  // A product and a sum may become one operation, as on the CPU.
  if (isa<arith::AddFOp, arith::SubFOp, arith::MulFOp>(op))
    lowered->setAttr("fastmath", arith::FastMathFlagsAttr::get(b.getContext(), arith::FastMathFlags::contract));
  return lowered->getResult(0);
}
