//===- LowerKernels.cpp - Functions, control flow and arithmetic ----------===//

#include "codegen/hip/KernelLowering.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

FailureOr<LaneLayout> KernelLowering::getLayout(Type type, Operation *op) {
  if (std::optional<LaneLayout> layout = LaneLayout::get(cast<RankedTensorType>(type)))
    return *layout;
  op->emitOpError("has a tile of type ") << type <<
      ", whose layout across a wave is not defined; tiles are [n], with n a power of two or a "
                                         << "multiple of 64, or [m, n] with multiples of 32 or 1";
  return failure();
}

Type KernelLowering::convert(Type type, Operation *op) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return type;
  FailureOr<LaneLayout> layout = getLayout(type, op);
  if (failed(layout))
    return {};
  // Numbers of elements fit in 32 bits, as do all offsets.
  Type element = tensor.getElementType();
  return VectorType::get(layout->registers.size(), element.isIndex() ? b.getI32Type() : element);
}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

LogicalResult KernelLowering::checkArguments() {
  for (auto [number, type] : llvm::enumerate(kernel.getArgumentTypes())) {
    auto memref = cast<MemRefType>(type);
    Type element = memref.getElementType();
    if (!element.isIntOrFloat() || !memref.getLayout().isIdentity())
      return kernel.emitOpError("argument #") << number << " of type " << type << " is no packed buffer of numbers";
    // Offsets are 32 bits, and the last one says "outside".
    int64_t bytes = llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
    if (memref.getNumElements() > (int64_t(1) << 31) / bytes)
      return kernel.emitOpError("argument #") << number <<
          " has more than 2 GiB, which one buffer resource does not address";
  }
  return success();
}

void KernelLowering::startFunction(LLVM::LLVMFuncOp function) {
  function->setAttr(ROCDL::ROCDLDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function->setAttr("rocdl.reqd_work_group_size", b.getDenseI32ArrayAttr({kWaveLanes, 1, 1}));
  function->setAttr("rocdl.flat_work_group_size", b.getStringAttr("64,64"));
  Block *entry = function.addEntryBlock(b);
  b.setInsertionPointToStart(entry);

  lane = ROCDL::ThreadIdXOp::create(b, b.getI32Type(), LLVM::ConstantRangeAttr::get(b.getContext(), 32, 0, kWaveLanes));
  instance = ROCDL::BlockIdXOp::create(b, b.getI32Type());
  // Format and flags of a raw buffer, see AMDGPUToROCDL.
  constexpr int64_t rawBuffer = (7 << 12) | (4 << 15);
  auto resource = LLVM::LLVMPointerType::get(b.getContext(), 8);
  for (auto [argument, pointer] : llvm::zip_equal(kernel.getBody().getArguments(), entry->getArguments())) {
    auto memref = cast<MemRefType>(argument.getType());
    int64_t bytes = memref.getNumElements() * llvm::divideCeil(memref.getElementTypeBitWidth(), 8);
    Value stride = LLVM::ConstantOp::create(b, b.getI16Type(), b.getI16IntegerAttr(0));
    Value records = LLVM::ConstantOp::create(b, b.getI64Type(), b.getI64IntegerAttr(bytes));
    values.map(argument, ROCDL::MakeBufferRsrcOp::create(b, resource, pointer, stride, records,
                                                         i32(rawBuffer)).getResult());
  }
}

LogicalResult KernelLowering::lower() {
  if (failed(checkArguments()))
    return failure();
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), 1);
  SmallVector<Type> arguments(kernel.getArgumentTypes().size(), pointer);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), arguments);
  b.setInsertionPoint(kernel);
  auto function = LLVM::LLVMFuncOp::create(b, kernel.getName(), type);
  startFunction(function);
  if (succeeded(lowerBlock(kernel.getBody().front())))
    return success();
  function.erase();
  return failure();
}

LogicalResult KernelLowering::lowerBlock(Block &block) {
  for (Operation &op : block) {
    b.setLoc(op.getLoc());
    if (failed(lowerOp(op)))
      return failure();
  }
  return success();
}

LogicalResult KernelLowering::lowerOp(Operation &op) {
  return TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](kernel::ProgramIdOp op) { return lowerProgramId(op); })
      .Case([&](kernel::LoadOp op) { return lowerLoad(op); })
      .Case([&](kernel::StoreOp op) { return lowerStore(op); })
      .Case([&](kernel::DotOp op) { return lowerDot(op); })
      .Case([&](kernel::ReduceOp op) { return lowerReduce(op); })
      .Case([&](kernel::BroadcastOp op) { return lowerBroadcast(op); })
      .Case([&](kernel::IotaOp op) { return lowerIota(op); })
      .Case([&](kernel::ReturnOp) {
        LLVM::ReturnOp::create(b, ValueRange());
        return success();
      })
      .Case([&](scf::ForOp op) { return lowerFor(op); })
      .Case([&](scf::IfOp op) { return lowerIf(op); })
      .Case([&](scf::YieldOp op) {
        SmallVector<Value> results;
        for (Value result : op.getResults())
          results.push_back(values.lookup(result));
        scf::YieldOp::create(b, results);
        return success();
      })
      .Default([&](Operation *op) { return lowerElementwise(*op); });
}

LogicalResult KernelLowering::lowerProgramId(kernel::ProgramIdOp op) {
  // The grid is launched as one line, whose last dimension is the fastest.
  ArrayRef<int64_t> grid = kernel.getGrid();
  auto dim = static_cast<size_t>(op.getDim());
  int64_t inner = 1;
  for (int64_t size : grid.drop_front(dim + 1))
    inner *= size;
  Value id = instance;
  if (inner != 1)
    id = arith::DivUIOp::create(b, id, i32(inner));
  if (dim != 0)
    id = arith::RemUIOp::create(b, id, i32(grid[dim]));
  values.map(op.getResult(), arith::IndexCastOp::create(b, b.getIndexType(), id).getResult());
  return success();
}

//===----------------------------------------------------------------------===//
// Control flow and arithmetic
//===----------------------------------------------------------------------===//

LogicalResult KernelLowering::lowerFor(scf::ForOp op) {
  SmallVector<Value> starts;
  for (Value start : op.getInitArgs())
    starts.push_back(values.lookup(start));
  auto loop = scf::ForOp::create(b, values.lookup(op.getLowerBound()), values.lookup(op.getUpperBound()),
                                 values.lookup(op.getStep()), starts);
  // It makes its own terminator where nothing is carried; the translated body brings one.
  loop.getBody()->clear();
  values.map(op.getBody()->getArguments(), loop.getBody()->getArguments());
  values.map(op.getResults(), loop.getResults());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(loop.getBody());
  return lowerBlock(*op.getBody());
}

LogicalResult KernelLowering::lowerIf(scf::IfOp op) {
  SmallVector<Type> types;
  for (Type type : op.getResultTypes()) {
    types.push_back(convert(type, op));
    if (!types.back())
      return failure();
  }
  bool hasElse = !op.getElseRegion().empty();
  auto conditional = scf::IfOp::create(b, types, values.lookup(op.getCondition()), hasElse);
  values.map(op.getResults(), conditional.getResults());
  auto lowerInto = [&](Block *from, Block *to) {
    to->clear();
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(to);
    return lowerBlock(*from);
  };
  if (failed(lowerInto(op.thenBlock(), conditional.thenBlock())))
    return failure();
  return hasElse ? lowerInto(op.elseBlock(), conditional.elseBlock()) : success();
}

/// Whether an elementwise function has an instruction or an expansion in LLVM's AMDGPU backend, without a library.
static bool hasInstruction(Operation &op) {
  return isa<math::ExpOp, math::Exp2Op, math::LogOp, math::Log2Op, math::SqrtOp, math::RsqrtOp, math::AbsFOp,
      math::FloorOp,
             math::CeilOp, math::FmaOp>(op) &&
         getElementTypeOrSelf(op.getOperand(0)).isF32();
}

LogicalResult KernelLowering::lowerElementwise(Operation &op) {
  bool arithmetic = isa_and_nonnull<arith::ArithDialect>(op.getDialect());
  if ((!arithmetic && !hasInstruction(op)) || op.getNumResults() != 1)
    return op.emitOpError("has no lowering for AMD GPUs");
  Type type = convert(op.getResult(0).getType(), &op);
  if (!type)
    return failure();
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    Attribute value = constant.getValue();
    if (auto elements = dyn_cast<DenseElementsAttr>(value)) {
      if (!elements.isSplat())
        return op.emitOpError("is a tile of different numbers, which has no lowering for AMD GPUs");
      value = DenseElementsAttr::get(cast<ShapedType>(type), elements.getSplatValue<Attribute>());
    }
    values.map(constant.getResult(), arith::ConstantOp::create(b, cast<TypedAttr>(value)).getResult());
    return success();
  }
  if (isa<math::RsqrtOp>(op)) {
    lowerRsqrt(op);
    return success();
  }
  SmallVector<Value> operands;
  for (Value operand : op.getOperands())
    operands.push_back(values.lookup(operand));
  OperationState state(op.getLoc(), op.getName(), operands, type, op.getAttrs());
  Operation *lowered = b.create(state);
  // A product and a sum may become one operation, as on the CPU.
  if (isa<arith::AddFOp, arith::SubFOp, arith::MulFOp>(op))
    lowered->setAttr("fastmath", arith::FastMathFlagsAttr::get(b.getContext(), arith::FastMathFlags::contract));
  values.map(op.getResult(0), lowered->getResult(0));
  return success();
}

void KernelLowering::lowerRsqrt(Operation &op) {
  // v_rsq_f32 is exact to one unit in the last place; 1 / sqrt(x) would be two long sequences.
  Value operand = values.lookup(op.getOperand(0));
  auto single = [&](Value x) {
    return LLVM::CallIntrinsicOp::create(b, b.getF32Type(), b.getStringAttr("llvm.amdgcn.rsq.f32"), x).getResult(0);
  };
  if (!isa<VectorType>(operand.getType())) {
    values.map(op.getResult(0), single(operand));
    return;
  }
  SmallVector<Value> results;
  for (int64_t number = 0; number < cast<VectorType>(operand.getType()).getNumElements(); ++number)
    results.push_back(single(extract(operand, number)));
  values.map(op.getResult(0), fromElements(results));
}

//===----------------------------------------------------------------------===//
// Building blocks
//===----------------------------------------------------------------------===//

Value KernelLowering::i32(int64_t value) { return arith::ConstantIntOp::create(b, value, 32); }

Value KernelLowering::extract(Value vector, int64_t position) { return vector::ExtractOp::create(b, vector, position); }

Value KernelLowering::slice(Value vector, int64_t first, int64_t count) {
  return vector::ExtractStridedSliceOp::create(b, vector, first, count, int64_t(1));
}

Value KernelLowering::fromElements(ArrayRef<Value> scalars) {
  auto type = VectorType::get(static_cast<int64_t>(scalars.size()), scalars.front().getType());
  return vector::FromElementsOp::create(b, type, scalars);
}

Value KernelLowering::getLaneCoordinate(const LaneLayout &layout, unsigned coordinate) {
  Value sum;
  for (int64_t first = 0; first < kWaveBits;) {
    int64_t scale = layout.lanes[first][coordinate], end = first + 1;
    // Bits of which each adds twice as much as the one before are one field.
    while (end < kWaveBits && scale != 0 && layout.lanes[end][coordinate] == scale << (end - first))
      ++end;
    if (scale != 0) {
      Value field = first == 0 ? lane : arith::ShRUIOp::create(b, lane, i32(first)).getResult();
      if (end != kWaveBits)
        field = arith::AndIOp::create(b, field, i32((1 << (end - first)) - 1));
      if (scale != 1)
        field = arith::MulIOp::create(b, field, i32(scale));
      sum = sum ? arith::AddIOp::create(b, sum, field).getResult() : field;
    }
    first = end;
  }
  return sum ? sum : i32(0);
}

LogicalResult hip::lowerKernels(ModuleOp module) {
  OpBuilder builder(module.getContext());
  for (auto kernel : llvm::make_early_inc_range(module.getOps<kernel::FuncOp>())) {
    if (failed(KernelLowering(kernel, builder).lower()))
      return failure();
    kernel.erase();
  }
  return success();
}
