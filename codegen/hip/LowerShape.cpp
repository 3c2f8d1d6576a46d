//===- LowerShape.cpp - Reductions, broadcasts and indices ----------------===//

#include "codegen/hip/KernelLowering.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

Value KernelLowering::combine(kernel::ReduceKind kind, Value a, Value b) {
  bool real = isa<FloatType>(a.getType()), sum = kind == kernel::ReduceKind::Sum;
  if (sum)
    return real ? arith::AddFOp::create(this->b, a, b).getResult() : arith::AddIOp::create(this->b, a, b).getResult();
  return real ? arith::MaximumFOp::create(this->b, a, b).getResult() :
      arith::MaxSIOp::create(this->b, a, b).getResult();
}

Value KernelLowering::exchange(Value scalar, unsigned bit) {
  Type type = scalar.getType(), word = b.getI32Type();
  Value bits = LLVM::BitcastOp::create(b, word, scalar);
  // DPP moves within groups of 4 and 16 lanes at no cost; ds_swizzle reaches all of 32 lanes, ds_bpermute all of the
  // wave.
  auto moveByDpp = [&](int64_t control) {
    return ROCDL::DPPUpdateOp::create(b, word, bits, bits, control, /*rowMask=*/0xf, /*bankMask=*/0xf,
                                      /*boundCtrl=*/true).getResult();
  };
  switch (bit) {
  case 0: // quad_perm:[1,0,3,2]
    bits = moveByDpp(0xb1);
    break;
  case 1: // quad_perm:[2,3,0,1]
    bits = moveByDpp(0x4e);
    break;
  case 3: // row_ror:8
    bits = moveByDpp(0x128);
    break;
  case 2:
  case 4: // The and-mask keeps all five bits, the xor-mask turns one over.
    bits = ROCDL::DsSwizzleOp::create(b, word, bits, i32((1 << bit) << 10 | 0x1f));
    break;
  default: {
    Value other = arith::XOrIOp::create(b, lane, i32(1 << bit));
    bits = ROCDL::DsBpermuteOp::create(b, word, arith::ShLIOp::create(b, other, i32(2)), bits);
  }
  }
  return LLVM::BitcastOp::create(b, type, bits);
}

LogicalResult KernelLowering::lowerReduce(kernel::ReduceOp op) {
  auto type = cast<RankedTensorType>(op.getOperand().getType());
  if (type.getElementTypeBitWidth() != 32)
    return op.emitOpError("reduces elements of type ") << type.getElementType() <<
        "; lanes of AMD GPUs exchange 32 bits";
  FailureOr<LaneLayout> source = getLayout(type, op);
  if (failed(source))
    return failure();
  unsigned coordinate = getCoordinate(type.getRank(), op.getDim());
  LaneLayout target = source->project(coordinate);

  Value operand = values.lookup(op.getOperand());
  SmallVector<Value> results;
  for (TilePosition position : target.registers) {
    // First what a lane holds itself, then what lanes hold that differ in one bit after the other.
    Value sum;
    for (auto [number, held] : llvm::enumerate(source->registers)) {
      held[coordinate] = 0;
      if (held != position)
        continue;
      Value element = extract(operand, number);
      sum = sum ? combine(op.getKind(), sum, element) : element;
    }
    for (unsigned bit = 0; bit < kWaveBits; ++bit)
      if (source->lanes[bit][coordinate] != 0)
        sum = combine(op.getKind(), sum, exchange(sum, bit));
    results.push_back(sum);
  }
  if (type.getRank() == 1) {
    values.map(op.getResult(), results.front());
    return success();
  }
  FailureOr<LaneLayout> expected = getLayout(op.getType(), op);
  if (failed(expected))
    return failure();
  if (*expected != target)
    return op.emitOpError("has a result whose layout is not that of its operand without the reduced dimension");
  values.map(op.getResult(), fromElements(results));
  return success();
}

LogicalResult KernelLowering::lowerBroadcast(kernel::BroadcastOp op) {
  FailureOr<LaneLayout> target = getLayout(op.getType(), op);
  if (failed(target))
    return failure();
  Value operand = values.lookup(op.getOperand());
  auto sourceType = dyn_cast<RankedTensorType>(op.getOperand().getType());
  if (!sourceType) {
    auto type = VectorType::get(target->registers.size(), operand.getType());
    values.map(op.getResult(), vector::BroadcastOp::create(b, type, operand).getResult());
    return success();
  }

  FailureOr<LaneLayout> source = getLayout(sourceType, op);
  if (failed(source))
    return failure();
  LaneLayout projected = *target;
  SmallVector<unsigned> collapsed;
  for (auto [dim, size] : llvm::enumerate(sourceType.getShape()))
    if (size == 1) {
      collapsed.push_back(getCoordinate(sourceType.getRank(), dim));
      projected = projected.project(collapsed.back());
    }
  if (projected != *source)
    return op.emitOpError("has an operand whose layout is not that of its result without the repeated dimensions");
  SmallVector<int64_t> numbers;
  for (TilePosition position : target->registers) {
    for (unsigned coordinate : collapsed)
      position[coordinate] = 0;
    numbers.push_back(llvm::find(source->registers, position) - source->registers.begin());
  }
  values.map(op.getResult(), vector::ShuffleOp::create(b, operand, operand, numbers).getResult());
  return success();
}

LogicalResult KernelLowering::lowerIota(kernel::IotaOp op) {
  FailureOr<LaneLayout> layout = getLayout(op.getType(), op);
  if (failed(layout))
    return failure();
  auto tile = cast<RankedTensorType>(op.getType());
  if (!tile.getElementType().isInteger(32))
    return op.emitOpError("has a result of type ") << tile << ", but indices are i32";
  unsigned coordinate = getCoordinate(tile.getRank(), op.getDim());
  SmallVector<int32_t> offsets;
  for (TilePosition position : layout->registers)
    offsets.push_back(position[coordinate]);
  auto type = VectorType::get(offsets.size(), b.getI32Type());
  Value base = arith::IndexCastOp::create(b, b.getI32Type(), values.lookup(op.getBase()));
  base = arith::AddIOp::create(b, base, getLaneCoordinate(*layout, coordinate));
  Value result = arith::AddIOp::create(b, vector::BroadcastOp::create(b, type, base),
                                       arith::ConstantOp::create(b, DenseElementsAttr::get(type, ArrayRef(offsets))));
  values.map(op.getResult(), result);
  return success();
}
