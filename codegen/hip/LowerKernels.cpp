//===- LowerKernels.cpp - Functions, control flow and building blocks -----===//

#include "codegen/hip/HoistLoads.h"
#include "codegen/hip/KernelLowering.h"
#include "codegen/hip/ResidentDot.h"
#include "ir/kernel/TargetTraits.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

SmallVector<Type> KernelLowering::getPartTypes(Value value) {
  Type type = value.getType();
  if (type.isIndex())
    return {b.getIntegerType(getIndexBits(value))};
  auto tile = dyn_cast<RankedTensorType>(type);
  if (!tile)
    return {getStorageType(type)};
  LaneLayout layout = getLayout(value);
  return SmallVector<Type>(layout.getParts(), VectorType::get(layout.partSize, getStorageType(tile.getElementType())));
}

LogicalResult KernelLowering::checkTypes(Operation *op) {
  // A lane has 512 registers of 32 bits; beyond that compile time explodes.
  constexpr int64_t most = 1024;
  for (Value result : op->getResults()) {
    auto tile = dyn_cast<RankedTensorType>(result.getType());
    if (!tile)
      continue;
    if (tile.getRank() < 1 || tile.getRank() > 2 || tile.getNumElements() == 0 || tile.getElementType().isIndex())
      return op->emitOpError() << "has a tile of type " << tile
                               << "; GPUs need tiles of numbers with one or two positive dimensions";
    if (llvm::divideCeil(tile.getNumElements(), shape.getThreads()) > most)
      return op->emitOpError() << "has a tile of type " << tile << ", more than " << most
                               << " elements a lane; loop over smaller tiles";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

LogicalResult KernelLowering::checkArguments() {
  for (auto [number, type] : llvm::enumerate(kernel.getArgumentTypes())) {
    auto memref = mlir::cast<MemRefType>(type);
    if (!memref.getElementType().isIntOrFloat() || !memref.getLayout().isIdentity())
      return kernel.emitOpError("argument #") << number << " of type " << type << " is no packed buffer of numbers";
  }
  return success();
}

void KernelLowering::startFunction() {
  int64_t threads = shape.getThreads();
  function->setAttr(ROCDL::ROCDLDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function->setAttr("rocdl.reqd_work_group_size", b.getDenseI32ArrayAttr({static_cast<int32_t>(threads), 1, 1}));
  function->setAttr("rocdl.flat_work_group_size", b.getStringAttr(llvm::formatv("{0},{0}", threads).str()));
  Block *entry = function.addEntryBlock(b);
  b.setInsertionPointToStart(entry);

  Value thread = ROCDL::ThreadIdXOp::create(b, b.getI32Type(),
                                            LLVM::ConstantRangeAttr::get(b.getContext(), 32, 0, threads));
  lane = thread;
  wave = i32(0);
  if (threads > kWaveLanes) {
    lane = arith::AndIOp::create(b, thread, i32(kWaveLanes - 1));
    Value number = arith::ShRUIOp::create(b, thread, i32(kWaveBits));
    wave = ROCDL::ReadfirstlaneOp::create(b, b.getI32Type(), number);
  }
  instance = ROCDL::BlockIdXOp::create(b, b.getI32Type());
  for (auto [argument, pointer] : llvm::zip_equal(kernel.getBody().getArguments(), entry->getArguments())) {
    pointers[argument] = pointer;
    define(argument, {makeResource(pointer, getBufferBytes(mlir::cast<MemRefType>(argument.getType())))});
  }
}

/// Moves what the end of a kernel computes, after its last loop, multiplication or barrier before one, to its first use: an epilogue on many
/// sums is then done part by part, from loads to stores and to reductions, which `anchors` are, and needs few registers beside them.
static void sinkToUsers(Block &block, const SmallPtrSetImpl<Operation *> &anchors) {
  auto isMultiplication = [](Operation &op) {
    auto call = dyn_cast<LLVM::CallIntrinsicOp>(op);
    return call && call.getIntrin().contains("mfma");
  };
  auto canMove = [&](Operation &op) {
    if (anchors.contains(&op) || isMultiplication(op))
      return false;
    if (isa<LLVM::CallIntrinsicOp>(op))
      return op.getNumResults() != 0;
    // An output may share its buffer with an input whose same elements were read for it.
    return isMemoryEffectFree(&op) || isa<ROCDL::RawPtrBufferLoadOp>(op);
  };
  auto isStore = [](Operation *op) { return isa_and_nonnull<ROCDL::RawPtrBufferStoreOp>(op); };
  // The waves of a reduction meet behind the last multiplication.
  bool isEpilogue = true;
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
    isEpilogue &= !isMultiplication(op);
    if (op.getNumRegions() != 0 || (isa<ROCDL::SBarrierOp>(op) && !isEpilogue))
      return;
    if (!canMove(op))
      continue;
    Operation *first = nullptr;
    for (Operation *user : op.getUsers())
      if (user->getBlock() == &block && (!first || user->isBeforeInBlock(first)))
        first = user;
    // Stores of one part of several outputs stay together: the first of them may overwrite what another's value is read from.
    while (first && isStore(first) && isStore(first->getPrevNode()))
      first = first->getPrevNode();
    if (first)
      op.moveBefore(first);
  }
}

/// Keeps LLVM from unrolling loops within loops: beside the sums of the outer one there is no room for several iterations' tiles.
static void keepRolled(LLVM::LLVMFuncOp function) {
  MLIRContext *context = function.getContext();
  auto unroll = LLVM::LoopUnrollAttr::get(context, BoolAttr::get(context, true), {}, {}, {}, {}, {}, {});
  auto annotation = LLVM::LoopAnnotationAttr::get(context, {}, {}, {}, unroll, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});
  function.walk([&](scf::ForOp loop) {
    if (loop->getParentOfType<scf::ForOp>())
      loop->setAttr("llvm.loop_annotation", annotation);
  });
}

LogicalResult KernelLowering::lower() {
  if (failed(checkArguments()))
    return failure();
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), 1);
  SmallVector<Type> arguments(kernel.getArgumentTypes().size(), pointer);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), arguments);
  // Dots have an order of their own.
  if (!shape.hasDots)
    hoistLoads(kernel);
  b.setInsertionPoint(kernel);
  function = LLVM::LLVMFuncOp::create(b, kernel.getName(), type);
  startFunction();
  if (succeeded(lowerBlock(kernel.getBody().front())) && succeeded(finishLds())) {
    if (shape.hasDots) {
      sinkToUsers(function.getBody().front(), anchors);
      keepRolled(function);
    }
    return success();
  }
  function.erase();
  if (lds)
    lds.erase();
  return failure();
}

/// A store at `first`, and those right behind it that store tiles of the same shape into other buffers.
static SmallVector<kernel::StoreOp> getStores(Block::iterator first, Block::iterator end) {
  SmallVector<kernel::StoreOp> stores;
  for (auto op = first; op != end; ++op) {
    auto store = dyn_cast<kernel::StoreOp>(*op);
    bool isAlike = store && llvm::all_of(stores, [&](kernel::StoreOp other) {
      auto type = dyn_cast<ShapedType>(store.getValue().getType()), old = dyn_cast<ShapedType>(other.getValue().getType());
      return type && old && type.getShape() == old.getShape() && store.getMemref() != other.getMemref();
    });
    if (!isAlike)
      break;
    stores.push_back(store);
  }
  return stores;
}

/// Reductions from `first` on of tiles of one shape: the one that is stored by `stores`, if there are any.
static SmallVector<kernel::ReduceOp> getReductions(MutableArrayRef<kernel::StoreOp> stores, Block::iterator first, Block::iterator end) {
  SmallVector<kernel::ReduceOp> reductions;
  Type shape = stores.empty() ? Type() : stores.front().getValue().getType();
  for (auto op = first; op != end; ++op) {
    auto reduce = dyn_cast<kernel::ReduceOp>(*op);
    if (!reduce || llvm::is_contained(reductions, reduce.getOperand().getDefiningOp()))
      break;
    auto type = cast<ShapedType>(reduce.getOperand().getType()), other = dyn_cast_or_null<ShapedType>(shape);
    if (shape && (!other || type.getShape() != other.getShape()))
      break;
    shape = type;
    reductions.push_back(reduce);
  }
  return reductions;
}

LogicalResult KernelLowering::lowerBlock(Block &block) {
  for (auto op = block.begin(); op != block.end();) {
    b.setLoc(op->getLoc());
    SmallVector<kernel::StoreOp> stores = getStores(op, block.end());
    auto behind = std::next(op, stores.size());
    SmallVector<kernel::ReduceOp> reductions = getReductions(stores, behind, block.end());
    if (!stores.empty() || !reductions.empty()) {
      op = std::next(behind, reductions.size());
      if (failed(lowerStores(stores, reductions)))
        return failure();
      continue;
    }
    // What a dot reads is no tile in registers.
    if ((!isa<kernel::LoadOp>(*op) && failed(checkTypes(&*op))) || failed(lowerOp(*op)))
      return failure();
    ++op;
  }
  return success();
}

LogicalResult KernelLowering::lowerOp(Operation &op) {
  return TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](kernel::ProgramIdOp op) { return lowerProgramId(op); })
      .Case([&](kernel::LoadOp op) { return lowerLoad(op); })
      .Case([&](kernel::DotOp op) { return lowerDot(op); })
      .Case([&](kernel::BroadcastOp op) { return lowerBroadcast(op); })
      .Case([&](kernel::IotaOp op) { return lowerIota(op); })
      .Case([&](kernel::TransposeOp op) { return lowerTranspose(op); })
      .Case([&](kernel::ReturnOp) {
        LLVM::ReturnOp::create(b, ValueRange());
        return success();
      })
      .Case([&](scf::ForOp op) { return lowerFor(op); })
      .Case([&](scf::IfOp op) { return lowerIf(op); })
      .Case([&](scf::YieldOp op) {
        scf::YieldOp::create(b, flatten(op.getResults(), op->getParentOp()->getResults()));
        return success();
      })
      .Case([&](arith::ConstantOp op) { return lowerConstant(op); })
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
  define(op, {id});
  return success();
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

Parts KernelLowering::flatten(ValueRange from, ValueRange to) {
  Parts parts;
  for (auto [value, target] : llvm::zip_equal(from, to)) {
    if (target.getType().isIndex())
      parts.push_back(getIndex(value, getIndexBits(target)));
    else
      llvm::append_range(parts, getParts(value));
  }
  return parts;
}

void KernelLowering::distribute(ValueRange parts, ValueRange to) {
  for (Value value : to) {
    size_t count = getPartTypes(value).size();
    define(value, Parts(parts.take_front(count)));
    parts = parts.drop_front(count);
  }
}

LogicalResult KernelLowering::lowerFor(scf::ForOp op) {
  unsigned bits = getIndexBits(op.getInductionVar());
  for (Value bound : {op.getLowerBound(), op.getUpperBound(), op.getStep()})
    bits = std::max(bits, getIndexBits(bound));
  Value begin = getIndex(op.getLowerBound(), bits), end = getIndex(op.getUpperBound(), bits), step = getIndex(op.getStep(), bits);
  LoadsAhead ahead(*this, op);
  Parts starts = flatten(op.getInitArgs(), op.getResults()), tiles = ahead.loadFirst(begin, end);
  size_t carried = starts.size();
  starts.append(tiles);
  auto loop = scf::ForOp::create(b, begin, end, step, starts);
  // It makes its own terminator where nothing is carried; the translated body brings one.
  loop.getBody()->clear();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(loop.getBody());
  ValueRange inside = loop.getRegionIterArgs();
  tiles = ahead.loadNext(inside.drop_front(carried), loop.getInductionVar(), step, end);
  define(op.getInductionVar(), {cast(loop.getInductionVar(), getIndexBits(op.getInductionVar()))});
  distribute(inside.take_front(carried), op.getRegionIterArgs());
  distribute(ValueRange(loop.getResults()).take_front(carried), op.getResults());
  if (failed(lowerBlock(*op.getBody())))
    return failure();
  loop.getBody()->getTerminator()->insertOperands(carried, tiles);
  return success();
}

LogicalResult KernelLowering::lowerIf(scf::IfOp op) {
  SmallVector<Type> types;
  for (Value result : op.getResults())
    llvm::append_range(types, getPartTypes(result));
  bool hasElse = !op.getElseRegion().empty();
  Value condition = getScalar(op.getCondition());
  // Where there is nothing to do if the condition holds, it mostly does: masks at the edges of a matrix. LLVM moves what
  // is rare out of the loop.
  if (hasElse && isa<scf::YieldOp>(op.thenBlock()->front()))
    condition = LLVM::ExpectOp::create(b, condition, arith::ConstantIntOp::create(b, 1, 1));
  auto conditional = scf::IfOp::create(b, types, condition, hasElse);
  distribute(conditional.getResults(), op.getResults());
  auto lowerInto = [&](Block *from, Block *to) {
    to->clear();
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(to);
    // Or else LLVM takes tiles for scalars, and computes both sides always.
    if (!types.empty() && !isa<scf::YieldOp>(from->front()))
      ROCDL::SchedBarrier::create(b, 0);
    return lowerBlock(*from);
  };
  if (failed(lowerInto(op.thenBlock(), conditional.thenBlock())))
    return failure();
  return hasElse ? lowerInto(op.elseBlock(), conditional.elseBlock()) : success();
}

//===----------------------------------------------------------------------===//
// Building blocks
//===----------------------------------------------------------------------===//

Value KernelLowering::i32(int64_t value) { return arith::ConstantIntOp::create(b, value, 32); }

Value KernelLowering::i64(int64_t value) { return arith::ConstantIntOp::create(b, value, 64); }

unsigned KernelLowering::getIndexBits(Value index) {
  // What a loop or a branch hands on may be anything.
  IndexRange range = ranges.get(index);
  return llvm::isInt<32>(range.min) && llvm::isInt<32>(range.max) ? 32 : 64;
}

Value KernelLowering::cast(Value integer, unsigned bits) {
  unsigned has = integer.getType().getIntOrFloatBitWidth();
  if (has == bits)
    return integer;
  Type type = b.getIntegerType(bits);
  return has < bits ? arith::ExtSIOp::create(b, type, integer).getResult()
                    : arith::TruncIOp::create(b, type, integer).getResult();
}

Value KernelLowering::makeUniform(Value scalar) {
  Type type = scalar.getType();
  bool narrow = type.isInteger() && type.getIntOrFloatBitWidth() < 16;
  if (narrow)
    scalar = arith::ExtUIOp::create(b, b.getI32Type(), scalar);
  scalar = ROCDL::ReadfirstlaneOp::create(b, scalar.getType(), scalar);
  return narrow ? arith::TruncIOp::create(b, type, scalar).getResult() : scalar;
}

Value KernelLowering::getIndex(Value index, unsigned bits) { return cast(getScalar(index), bits); }

Value KernelLowering::add(Value x, Value y) {
  if (!x || !y)
    return x ? x : y;
  return arith::AddIOp::create(b, x, y);
}

Value KernelLowering::mul(Value x, int64_t factor) {
  if (factor == 1)
    return x;
  return arith::MulIOp::create(b, x, arith::ConstantIntOp::create(b, x.getType(), factor));
}

Value KernelLowering::extract(Value vector, int64_t position) { return vector::ExtractOp::create(b, vector, position); }

Value KernelLowering::slice(Value vector, int64_t first, int64_t count) {
  if (count == llvm::cast<VectorType>(vector.getType()).getNumElements())
    return vector;
  return vector::ExtractStridedSliceOp::create(b, vector, first, count, int64_t(1));
}

Value KernelLowering::fromElements(ArrayRef<Value> scalars) {
  auto type = VectorType::get(static_cast<int64_t>(scalars.size()), scalars.front().getType());
  return vector::FromElementsOp::create(b, type, scalars);
}

Value KernelLowering::getElement(ArrayRef<Value> parts, const LaneLayout &layout, int64_t number) {
  return extract(parts[number / layout.partSize], number % layout.partSize);
}

Parts KernelLowering::makeParts(ArrayRef<Value> elements, const LaneLayout &layout) {
  Parts parts;
  for (; !elements.empty(); elements = elements.drop_front(layout.partSize))
    parts.push_back(fromElements(elements.take_front(layout.partSize)));
  return parts;
}

Value KernelLowering::getThreadCoordinate(const LaneLayout &layout, unsigned coordinate, unsigned firstBit,
                                          unsigned endBit) {
  Value sum;
  for (unsigned first = firstBit; first < endBit;) {
    int64_t scale = layout.threads[first][coordinate];
    unsigned end = first + 1;
    // Bits of which each adds twice as much as the one before are one field.
    while (end < endBit && scale != 0 && layout.threads[end][coordinate] == scale << (end - first))
      ++end;
    if (scale != 0) {
      unsigned shift = first < kWaveBits ? first : first - kWaveBits;
      unsigned bits = first < kWaveBits ? kWaveBits : layout.threads.size() - kWaveBits;
      Value field = first < kWaveBits ? lane : wave;
      if (shift != 0)
        field = arith::ShRUIOp::create(b, field, i32(shift));
      if (shift + end - first != bits)
        field = arith::AndIOp::create(b, field, i32((1 << (end - first)) - 1));
      sum = add(sum, mul(field, scale));
    }
    first = end;
  }
  return sum;
}

Value KernelLowering::isFirstCopy(int64_t copies) {
  auto isZero = [&](Value number, int64_t bits) -> Value {
    if (bits == 0)
      return {};
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, arith::AndIOp::create(b, number, i32(bits)), i32(0));
  };
  Value firstLane = isZero(lane, copies & (kWaveLanes - 1)), firstWave = isZero(wave, copies >> kWaveBits);
  if (!firstLane || !firstWave)
    return firstLane ? firstLane : firstWave;
  return arith::AndIOp::create(b, firstLane, firstWave);
}

LogicalResult hip::lowerKernels(ModuleOp module) {
  OpBuilder builder(module.getContext());
  using kernel::GpuArchitecture;
  std::string chip = GpuArchitecture::getAll().front().name.str();
  if (module->hasAttr("primus.target"))
    chip = kernel::TargetTraits::get(module).name;
  if (!GpuArchitecture::find(chip)) {
    InFlightDiagnostic error = module.emitError("primus.target is \"") << chip << "\"; the known GPUs are ";
    llvm::interleaveComma(GpuArchitecture::getAll(), error, [&](const GpuArchitecture &gpu) { error << gpu.name; });
    return error;
  }
  for (auto kernel : llvm::make_early_inc_range(module.getOps<kernel::FuncOp>())) {
    if (failed(KernelLowering(kernel, chip, builder).lower()))
      return failure();
    kernel.erase();
  }
  return success();
}
