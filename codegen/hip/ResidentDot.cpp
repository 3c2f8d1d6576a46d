//===- ResidentDot.cpp - Dots whose left operand is in registers ----------===//

#include "codegen/hip/ResidentDot.h"

#include "codegen/hip/Mfma.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

bool hip::isResidentDot(kernel::DotOp dot) {
  auto lhs = dot.getLhs().getDefiningOp<kernel::LoadOp>(), rhs = dot.getRhs().getDefiningOp<kernel::LoadOp>();
  bool isPadded = rhs && rhs.getPad() && !rhs.getPad()->isZero();
  return rhs && !isPadded && (!lhs || lhs->getBlock() != dot->getBlock());
}

bool hip::isStagedLoad(kernel::LoadOp load) {
  return !load->use_empty() && llvm::all_of(load->getUses(), [](OpOperand &use) {
    auto dot = dyn_cast<kernel::DotOp>(use.getOwner());
    return dot && use.getOperandNumber() == 1 && isResidentDot(dot);
  });
}

//===----------------------------------------------------------------------===//
// Staging
//===----------------------------------------------------------------------===//

/// What the bits of a thread's number, of which each moves by one of `threads` (depth and column), add to an address.
Value KernelLowering::getStagedBase(const StagedTile &tile, ArrayRef<TilePosition> threads) {
  LaneLayout bytes;
  // XOR of fields of the thread's number: which of its bits go where, by how far they move.
  llvm::MapVector<int64_t, int64_t> fields;
  for (auto [bit, moved] : llvm::enumerate(threads)) {
    StagedTile::Place place = tile.getPlace(moved[0], moved[1]);
    bytes.threads.push_back({place.bytes, 0});
    for (int64_t rest = place.swizzled; rest != 0; rest &= rest - 1) {
      int64_t to = llvm::countr_zero(static_cast<uint64_t>(rest));
      fields[static_cast<int64_t>(bit) - to] |= int64_t(1) << to;
    }
  }
  Value number = lane, swizzled;
  if (threads.size() > kWaveBits)
    number = add(number, mul(wave, kWaveLanes));
  for (auto [distance, mask] : fields) {
    Value field = number;
    if (distance > 0)
      field = arith::ShRUIOp::create(b, field, i32(distance));
    else if (distance < 0)
      field = arith::ShLIOp::create(b, field, i32(-distance));
    field = arith::AndIOp::create(b, field, i32(mask));
    swizzled = swizzled ? arith::XOrIOp::create(b, swizzled, field).getResult() : field;
  }
  Value base = mul(swizzled, StagedTile::chunkBytes);
  for (Value part : {getLaneCoordinate(bytes, 0), getWaveCoordinate(bytes, 0)})
    if (part)
      base = add(base, part);
  return base;
}

Value KernelLowering::getStagedPointer(const StagedLoad &staged, Value base, int64_t atDepth, int64_t column) {
  // Lines and what lies within a chunk leave the bits free in which chunks are exchanged.
  StagedTile::Place place = staged.tile.getPlace(atDepth, column);
  if (place.swizzled != 0)
    base = arith::XOrIOp::create(b, base, i32(place.swizzled * StagedTile::chunkBytes));
  return getLdsPointer(staged.offset + place.bytes, base);
}

KernelLowering::StagedLoad KernelLowering::startStaging(kernel::LoadOp load) {
  auto type = cast<RankedTensorType>(load.getType());
  auto memref = cast<MemRefType>(load.getMemref().getType());
  bool isTransposed = load.getDims()[1] == memref.getRank() - 1;
  StagedLoad staged{load, StagedTile::get(type.getShape(), type.getElementTypeBitWidth() / 8, isTransposed, shape), 0, {}, {}};
  staged.offset = allocateLds(staged.tile.getBytes());
  staged.writeBase = getStagedBase(staged.tile, staged.tile.source.threads);
  // Lanes are columns, and the halves of a wave take turns along the depth, as in the left operand.
  SmallVector<TilePosition> readers{{0, 1}, {0, 2}, {0, 4}, {0, 8}, {0, 16}, {StagedTile::unit, 0}};
  staged.readBase = getStagedBase(staged.tile, readers);
  return staged;
}

Parts KernelLowering::loadStaged(const StagedLoad &staged) {
  kernel::LoadOp load = staged.load;
  TileAccess access{cast<TypedValue<MemRefType>>(load.getMemref()), load.getIndices(), load.getDims(),
                    cast<RankedTensorType>(load.getType()).getShape(), load.getInbounds()};
  return this->load(access, staged.tile.source);
}

/// Element `number` of four vectors becomes one of vector `number`.
static SmallVector<Value> transposeRows(ImplicitLocOpBuilder &b, ArrayRef<Value> rows) {
  auto type = cast<VectorType>(rows.front().getType());
  int64_t count = type.getNumElements();
  Type element = type.getElementType();
  SmallVector<Value> columns;
  if (element.getIntOrFloatBitWidth() != 16 || count % 2 != 0) {
    for (int64_t column = 0; column < count; ++column) {
      SmallVector<Value> elements;
      for (Value row : rows)
        elements.push_back(vector::ExtractOp::create(b, row, column));
      columns.push_back(vector::FromElementsOp::create(b, VectorType::get(rows.size(), element), elements));
    }
    return columns;
  }
  // One byte permutation per pair of rows and column.
  Type word = b.getI32Type();
  auto words = VectorType::get(count / 2, word);
  SmallVector<Value> bits;
  for (Value row : rows)
    bits.push_back(LLVM::BitcastOp::create(b, words, row));
  for (int64_t column = 0; column < count; ++column) {
    int64_t selector = column % 2 == 0 ? 0x05040100 : 0x07060302;
    SmallVector<Value> pairs;
    for (size_t row = 0; row < rows.size(); row += 2) {
      Value low = vector::ExtractOp::create(b, bits[row], column / 2), high = vector::ExtractOp::create(b, bits[row + 1], column / 2);
      Value chosen = arith::ConstantIntOp::create(b, selector, 32);
      pairs.push_back(LLVM::CallIntrinsicOp::create(b, word, b.getStringAttr("llvm.amdgcn.perm"), ValueRange{high, low, chosen}).getResult(0));
    }
    Value packed = vector::FromElementsOp::create(b, VectorType::get(pairs.size(), word), pairs);
    columns.push_back(LLVM::BitcastOp::create(b, VectorType::get(rows.size(), element), packed));
  }
  return columns;
}

void KernelLowering::writeStaged(const StagedLoad &staged, ValueRange parts) {
  const StagedTile &tile = staged.tile;
  const LaneLayout &source = tile.source;
  auto write = [&](Value neighbours, TilePosition position) {
    Value pointer = getStagedPointer(staged, staged.writeBase, position[0], position[1]);
    LLVM::StoreOp::create(b, neighbours, pointer, StagedTile::unit * tile.elementBytes);
  };
  auto writeAll = [&] {
    if (!tile.isTransposed) {
      for (auto [number, part] : llvm::enumerate(parts))
        for (int64_t first = 0; first < source.partSize; first += StagedTile::unit) {
          TilePosition position = source.registers[number * source.partSize];
          position[0] += first;
          write(slice(part, first, StagedTile::unit), position);
        }
      return;
    }
    for (size_t number = 0; number < parts.size(); number += StagedTile::unit) {
      SmallVector<Value> rows(parts.slice(number, StagedTile::unit));
      for (auto [column, neighbours] : llvm::enumerate(transposeRows(b, rows))) {
        TilePosition position = source.registers[number * source.partSize];
        position[1] += column;
        write(neighbours, position);
      }
    }
  };
  Value only = isFirstCopy(source.getCopyBits());
  if (!only)
    return writeAll();
  auto conditional = scf::IfOp::create(b, only, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(conditional.thenBlock());
  writeAll();
}

//===----------------------------------------------------------------------===//
// Loads of loops
//===----------------------------------------------------------------------===//

KernelLowering::LoadsAhead::LoadsAhead(KernelLowering &lowering, scf::ForOp loop)
    : lowering(lowering), loop(loop), firstOffset(lowering.ldsTop) {
  // Products that stream both operands need room of their own.
  bool streams = loop->walk([](kernel::DotOp dot) {
    return isResidentDot(dot) ? WalkResult::advance() : WalkResult::interrupt();
  }).wasInterrupted();
  if (streams)
    return;
  auto getBytes = [](kernel::LoadOp load) {
    auto type = cast<RankedTensorType>(load.getType());
    return type.getNumElements() * type.getElementTypeBitWidth() / 8;
  };
  int64_t needed = 0;
  SmallVector<kernel::LoadOp> found;
  for (auto load : loop.getBody()->getOps<kernel::LoadOp>()) {
    if (!isStagedLoad(load) || !llvm::all_of(load.getIndices(), [&](Value index) { return isKnownAhead(index); }))
      continue;
    found.push_back(load);
    needed += getBytes(load);
  }
  // What else the kernel exchanges through LDS is small, but for tiles that are not loaded ahead, one at a time.
  constexpr int64_t exchanged = 2048;
  int64_t room = lowering.getLdsLimit() - firstOffset - exchanged, rest = 0;
  for (; !found.empty() && needed + rest > room; found.pop_back()) {
    needed -= getBytes(found.back());
    rest = std::max(rest, getBytes(found.back()));
  }
  for (kernel::LoadOp load : found)
    loads.push_back(lowering.startStaging(load));
}

KernelLowering::LoadsAhead::~LoadsAhead() {
  for (const StagedLoad &staged : loads)
    lowering.staged.erase(staged.load);
  lowering.releaseLds(firstOffset);
}

bool KernelLowering::LoadsAhead::isKnownAhead(Value index) {
  Operation *op = index.getDefiningOp();
  if (!op)
    return index == loop.getInductionVar() || index.getParentBlock() != loop.getBody();
  if (op->getBlock() != loop.getBody())
    return true;
  if (!isa<arith::ArithDialect>(op->getDialect()) || !llvm::all_of(op->getOperands(), [&](Value operand) { return isKnownAhead(operand); }))
    return false;
  positions.insert(op);
  return true;
}

Value KernelLowering::LoadsAhead::isBefore(Value position, Value end) {
  return arith::CmpIOp::create(lowering.b, arith::CmpIPredicate::slt, position, end);
}

Parts KernelLowering::LoadsAhead::loadAt(Value position) {
  Value variable = loop.getInductionVar();
  lowering.define(variable, {lowering.cast(position, lowering.getIndexBits(variable))});
  for (Operation *op : positions)
    (void)lowering.lowerOp(*op);
  Parts parts;
  for (const StagedLoad &staged : loads)
    llvm::append_range(parts, lowering.loadStaged(staged));
  return parts;
}

Parts KernelLowering::LoadsAhead::loadFirst(Value begin, Value end) {
  if (loads.empty())
    return {};
  // A loop without iterations loads what nobody needs from where something is.
  Value zero = arith::ConstantIntOp::create(lowering.b, begin.getType(), 0);
  return loadAt(arith::SelectOp::create(lowering.b, isBefore(begin, end), begin, zero));
}

Parts KernelLowering::LoadsAhead::loadNext(ValueRange carried, Value current, Value step, Value end) {
  if (loads.empty())
    return {};
  ROCDL::SetPrioOp::create(lowering.b, 0);
  // Everyone has read what was there before, then has written.
  lowering.startLds();
  for (const StagedLoad &staged : loads) {
    size_t count = staged.tile.source.getParts();
    lowering.writeStaged(staged, carried.take_front(count));
    carried = carried.drop_front(count);
    lowering.staged[staged.load] = &staged;
  }
  lowering.ldsBarrier();
  // The last iteration loads its own tiles once more.
  Value next = lowering.add(current, step);
  return loadAt(arith::SelectOp::create(lowering.b, isBefore(next, end), next, current));
}

//===----------------------------------------------------------------------===//
// kernel.dot
//===----------------------------------------------------------------------===//

/// LLVM moves neither matrix instructions nor accesses to LDS across this.
static void keepOrder(ImplicitLocOpBuilder &b) {
  // What may be moved (SIInstrInfo, SchedGroup).
  constexpr int vector = 0x2, scalar = 0x4, memory = 0x10, transcendental = 0x400;
  ROCDL::SchedBarrier::create(b, vector | scalar | memory | transcendental);
}

Parts KernelLowering::multiplyStaged(const StagedLoad &staged, const Mfma &mfma, ArrayRef<Value> lhs, Parts acc) {
  const StagedTile &tile = staged.tile;
  constexpr int64_t block = 32;
  int64_t columnBlocks = tile.columns / block, depthBlocks = tile.depth / block, steps = tile.depth / tile.getStepDepth();
  int64_t rowBlocks = static_cast<int64_t>(lhs.size()) / depthBlocks, count = columnBlocks * steps;
  auto element = cast<VectorType>(lhs.front().getType()).getElementType();
  auto chunk = VectorType::get(tile.getChunkElements(), element);
  auto read = [&](int64_t number) -> Value {
    Value pointer = getStagedPointer(staged, staged.readBase, number % steps * tile.getStepDepth(), number / steps * block);
    return LLVM::LoadOp::create(b, chunk, pointer, StagedTile::chunkBytes);
  };
  // LLVM alone would read only just before it multiplies. Reading takes as long as some instructions before.
  constexpr int64_t latency = 128;
  int64_t perStep = rowBlocks * tile.getChunkElements() / mfma.perLane() * mfma.cycles;
  int64_t ahead = std::min<int64_t>(llvm::divideCeil(latency, perStep), count);
  SmallVector<Value> chunks;
  {
    // What lies in LDS for the whole iteration is read before a branch that changes sums.
    OpBuilder::InsertionGuard guard(b);
    auto conditional = acc.front().getDefiningOp<scf::IfOp>();
    if (conditional && conditional->getBlock() == b.getBlock() && this->staged.contains(staged.load))
      b.setInsertionPoint(conditional);
    for (int64_t number = 0; number < ahead; ++number)
      chunks.push_back(read(number));
  }
  for (int64_t number = 0; number < count; ++number) {
    keepOrder(b);
    if (number + ahead < count)
      chunks.push_back(read(number + ahead));
    int64_t column = number / steps, atDepth = number % steps * tile.getStepDepth();
    for (int64_t row = 0; row < rowBlocks; ++row) {
      Value &sum = acc[row * columnBlocks + column];
      // A lane's registers of a block of 32 columns are those of two halves of the wave.
      Value left = slice(lhs[row * depthBlocks + atDepth / block], atDepth % block / 2, tile.getChunkElements());
      for (int64_t first = 0; first < tile.getChunkElements(); first += mfma.perLane())
        sum = emitMfma(b, mfma, slice(chunks[number], first, mfma.perLane()), slice(left, first, mfma.perLane()), sum);
    }
  }
  return acc;
}

LogicalResult KernelLowering::lowerResidentDot(kernel::DotOp dot) {
  auto load = dot.getRhs().getDefiningOp<kernel::LoadOp>();
  auto lhsType = cast<RankedTensorType>(dot.getLhs().getType()), rhsType = cast<RankedTensorType>(load.getType());
  if (dot.getLhsFactor())
    return dot.emitOpError("with factors must multiply tiles that come straight from memory, on AMD GPUs");
  Type element = lhsType.getElementType();
  const Mfma *mfma = findMfma(chip, element, element, 32);
  if (!mfma || rhsType.getElementType() != element)
    return dot.emitOpError("multiplies ") << element << " with " << rhsType.getElementType() <<
        "; AMD GPUs multiply f32, f16 or bf16 with the same";
  auto isWhole = [](int64_t size) { return size % 32 == 0; };
  if (dot.getGroup() != 1 || !llvm::all_of(lhsType.getShape(), isWhole) || !isWhole(rhsType.getShape()[1]) || shape.waves[1] != 1)
    return dot.emitOpError("with a computed left operand must have sizes that are multiples of 32, no packed operand, and all waves along "
                           "its rows on AMD GPUs");
  // Matrix instructions of one wave run beside other instructions of another one, but not beside packed ones.
  function.setTargetFeaturesAttr(LLVM::TargetFeaturesAttr::get(b.getContext(), ArrayRef<StringRef>("-packed-fp32-ops")));
  if (const StagedLoad *known = staged.lookup(load)) {
    define(dot, multiplyStaged(*known, *mfma, getParts(dot.getLhs()), Parts(getParts(dot.getAcc()))));
    // Of two waves that want the same unit the one that is farther goes first.
    if (dot.getLhs().getParentBlock() != dot->getBlock())
      ROCDL::SetPrioOp::create(b, 1);
    return success();
  }
  StagedLoad here = startStaging(load);
  Parts parts = loadStaged(here);
  startLds();
  writeStaged(here, parts);
  ldsBarrier();
  define(dot, multiplyStaged(here, *mfma, getParts(dot.getLhs()), Parts(getParts(dot.getAcc()))));
  releaseLds(here.offset);
  return success();
}
