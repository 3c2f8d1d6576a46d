//===- StreamedDot.cpp - Dots whose operands stream through LDS -----------===//

#include "codegen/hip/StreamedDot.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

static constexpr int64_t chunkBytes = 16, blockLines = 32;

//===----------------------------------------------------------------------===//
// One operand
//===----------------------------------------------------------------------===//

/// A thread's units of `unit` elements, dealt along `fast` first, then along the other coordinate of a tile of `size`.
static LaneLayout dealUnits(TilePosition size, TilePosition unit, unsigned fast, unsigned threadBits) {
  LaneLayout layout;
  layout.threads.resize(threadBits);
  TilePosition covered = unit;
  for (TilePosition &bit : layout.threads)
    for (unsigned coordinate : {fast, 1 - fast})
      if (covered[coordinate] < size[coordinate]) {
        bit[coordinate] = covered[coordinate];
        covered[coordinate] *= 2;
        break;
      }
  for (int64_t slow = 0; slow < size[1 - fast]; slow += covered[1 - fast])
    for (int64_t first = 0; first < size[fast]; first += covered[fast])
      for (int64_t i = 0; i < unit[1 - fast]; ++i)
        for (int64_t j = 0; j < unit[fast]; ++j) {
          TilePosition &position = layout.registers.emplace_back();
          position[fast] = first + j;
          position[1 - fast] = slow + i;
        }
  layout.partSize = unit[fast];
  return layout;
}

/// Of two vectors of one size.
static Value concatenate(ImplicitLocOpBuilder &b, Value first, Value second) {
  SmallVector<int32_t> all(2 * cast<VectorType>(first.getType()).getNumElements());
  std::iota(all.begin(), all.end(), 0);
  return LLVM::ShuffleVectorOp::create(b, first, second, all);
}

KernelLowering::StagedOperand::StagedOperand(KernelLowering &lowering, kernel::LoadOp load, unsigned contracted,
                                             int64_t depth, const LaneLayout &result, int64_t offset)
    : lowering(lowering), b(lowering.b), access{mlir::cast<TypedValue<MemRefType>>(load.getMemref()), load.getIndices(),
                                                load.getDims(), {}, load.getInbounds()},
      line(1 - contracted), depth(depth), offset(offset) {
  auto type = mlir::cast<RankedTensorType>(load.getType());
  whole = shape = llvm::to_vector(type.getShape());
  shape[contracted] -= shape[contracted] % depth;
  access.stepDim = contracted;
  access.stepDivisor = depth;
  bytes = type.getElementTypeBitWidth() / 8;
  perChunk = chunkBytes / bytes;
  lineBytes = depth * bytes;
  swizzledFrom = 7 + (bytes == 1 ? 4 : 3);

  // Neighbours in memory are loaded together: values of k, or lines, which then change places in registers.
  int64_t threads = lowering.shape.getThreads(), lines = shape[line];
  unsigned threadBits = lowering.shape.getThreadBits();
  TilePosition size{depth, depth}, unit{perChunk, perChunk};
  size[line] = lines;
  bool linesNeighbour = load.getDims()[line] == access.memref.getType().getRank() - 1;
  if (linesNeighbour) {
    // As many values of k as leave no thread without any.
    transposed = std::clamp<int64_t>(lines * depth / (perChunk * threads), 1, perChunk);
    unit[contracted] = transposed;
  } else {
    unit[line] = 1;
  }
  layout = dealUnits(size, unit, linesNeighbour ? line : contracted, threadBits);

  auto orZero = [&](Value value) { return value ? value : lowering.i32(0); };
  auto getThreadBase = [&](unsigned coordinate) {
    return lowering.add(orZero(lowering.getLaneCoordinate(layout, coordinate)),
                        orZero(lowering.getWaveCoordinate(layout, coordinate)));
  };
  storeBase = swizzle(lowering.add(lowering.mul(getThreadBase(line), lineBytes),
                                   lowering.mul(getThreadBase(contracted), bytes)));

  // The wave's share of the result's rows or columns; dimension `line` of an operand is that of the result.
  TilePosition extent = {0, 0};
  for (TilePosition position : result.registers)
    extent[line] = std::max(extent[line], position[line] / blockLines + 1);
  blocks = extent[line];
  Value first = orZero(lowering.getWaveCoordinate(result, line));
  Value own = arith::AndIOp::create(b, lowering.lane, lowering.i32(blockLines - 1));
  Value half = arith::ShRUIOp::create(b, lowering.lane, lowering.i32(5));
  readBase = swizzle(lowering.add(lowering.mul(lowering.add(first, own), lineBytes),
                                  lowering.mul(half, chunkBytes)));
}

Value KernelLowering::StagedOperand::swizzle(Value address) {
  Value low = arith::ShRUIOp::create(b, address, lowering.i32(7));
  Value high = arith::ShRUIOp::create(b, address, lowering.i32(swizzledFrom));
  Value bits = arith::AndIOp::create(b, arith::XOrIOp::create(b, low, high), lowering.i32(7));
  return arith::XOrIOp::create(b, address, arith::ShLIOp::create(b, bits, lowering.i32(4)));
}

Value KernelLowering::StagedOperand::getAddress(Value base, TilePosition position, Value stage,
                                                DenseMap<int64_t, Value> &bases) {
  // The thread's own bits and those of `position` are different ones, so the swizzled address of both together is the
  // exclusive or of their swizzled addresses: few registers, and a constant that the instruction adds.
  int64_t address = swizzleAddress(getBytes(position)), low = address & 127;
  Value &toggled = bases[low];
  if (!toggled) {
    // Not in the loop that may be the first to need it.
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfterValue(base);
    toggled = low == 0 ? base : arith::XOrIOp::create(b, base, lowering.i32(low)).getResult();
  }
  return lowering.getLdsPointer(offset + (address - low), lowering.add(toggled, stage));
}

Parts KernelLowering::StagedOperand::load(Value step, bool partial) {
  access.step = step;
  access.shape = partial ? whole : shape;
  return lowering.load(access, layout);
}

/// Byte `number` of each of four vectors of words, as one word.
Value KernelLowering::StagedOperand::transposeBytes(ArrayRef<Value> vectors, int64_t number) {
  auto permute = [&](Value low, Value high, int64_t select) {
    return LLVM::CallIntrinsicOp::create(b, b.getI32Type(), b.getStringAttr("llvm.amdgcn.perm"),
                                         ValueRange{high, low, lowering.i32(select)}).getResult(0);
  };
  // Pairs first; the same for the neighbours' number, which LLVM sees.
  auto join = [&](Value low, Value high) {
    return permute(lowering.extract(low, number / 4), lowering.extract(high, number / 4),
                   number % 4 < 2 ? 0x05010400 : 0x07030602);
  };
  return permute(join(vectors[0], vectors[1]), join(vectors[2], vectors[3]), number % 2 == 0 ? 0x05040100 : 0x07060302);
}

void KernelLowering::StagedOperand::storeTransposed(ArrayRef<Value> parts, int64_t first, Value stage) {
  // `parts` hold lines for one k after the other; written are values of k for one line after the other.
  auto words = VectorType::get(chunkBytes / 4, b.getI32Type());
  SmallVector<Value> loaded;
  for (Value part : parts)
    loaded.push_back(LLVM::BitcastOp::create(b, words, part));
  for (int64_t number = 0; number < perChunk; ++number) {
    SmallVector<Value> result;
    if (bytes == 1 && transposed >= 4) {
      for (size_t four = 0; four < loaded.size(); four += 4)
        result.push_back(transposeBytes(ArrayRef(loaded).slice(four, 4), number));
    } else if (bytes != 2 || transposed == 1) {
      for (Value part : parts)
        result.push_back(lowering.extract(part, number));
    } else {
      // Two halves of words that lie above each other become one word.
      Value select = lowering.i32(number % 2 == 0 ? 0x05040100 : 0x07060302);
      for (size_t pair = 0; pair < loaded.size(); pair += 2) {
        Value low = lowering.extract(loaded[pair], number / 2), high = lowering.extract(loaded[pair + 1], number / 2);
        result.push_back(LLVM::CallIntrinsicOp::create(b, b.getI32Type(), b.getStringAttr("llvm.amdgcn.perm"),
                                                       ValueRange{high, low, select}).getResult(0));
      }
    }
    Value address = getAddress(storeBase, layout.registers[first + number], stage, storeBases);
    LLVM::StoreOp::create(b, lowering.fromElements(result), address, /*alignment=*/transposed * bytes);
  }
}

void KernelLowering::StagedOperand::storeUnit(ArrayRef<Value> parts, int64_t number, Value stage) {
  if (transposed)
    return storeTransposed(parts.slice(number * transposed, transposed), number * transposed * layout.partSize, stage);
  auto words = VectorType::get(chunkBytes / 4, b.getI32Type());
  Value address = getAddress(storeBase, layout.registers[number * layout.partSize], stage, storeBases);
  LLVM::StoreOp::create(b, LLVM::BitcastOp::create(b, words, parts[number]), address, chunkBytes);
}

Value KernelLowering::StagedOperand::read(int64_t block, int64_t chunks, int64_t count, Value stage) {
  TilePosition position;
  position[line] = block * blockLines;
  Type element = getStorageType(access.memref.getType().getElementType());
  auto words = VectorType::get(chunkBytes / 4, b.getI32Type());
  SmallVector<Value> loaded;
  for (int64_t number = 0; number < count; ++number) {
    position[1 - line] = (chunks + number) * 2 * perChunk;
    Value address = getAddress(readBase, position, stage, readBases);
    loaded.push_back(LLVM::LoadOp::create(b, words, address, chunkBytes));
  }
  Value all = count == 2 ? concatenate(b, loaded[0], loaded[1]) : loaded[0];
  return LLVM::BitcastOp::create(b, VectorType::get(count * perChunk, element), all);
}

//===----------------------------------------------------------------------===//
// Factors
//===----------------------------------------------------------------------===//

KernelLowering::LineFactors::LineFactors(KernelLowering &lowering, kernel::LoadOp load, unsigned contracted, int64_t depth,
                                         const LaneLayout &result, int64_t blocks)
    : lowering(lowering), b(lowering.b),
      access{mlir::cast<TypedValue<MemRefType>>(load.getMemref()), load.getIndices(), load.getDims(),
             mlir::cast<RankedTensorType>(load.getType()).getShape(), load.getInbounds()},
      block(access.memref.getType().getElementType().isF32() ? depth : 32) {
  access.stepDim = contracted;
  access.stepDivisor = depth / block;
  unsigned line = 1 - contracted;
  bool isCommon = access.shape[line] == 1, isOfSums = block == depth;
  if (isOfSums && !isCommon && line == 1) {
    // A lane has sums of one row and of many columns.
    layout = result.project(contracted);
    return;
  }
  layout.threads.resize(lowering.shape.getThreadBits());
  for (unsigned bit = 0; bit < layout.threads.size() && !isCommon; ++bit)
    layout.threads[bit][line] = bit < 5 ? 1 << bit : bit < kWaveBits ? 0 : result.threads[bit][line];
  layout.partSize = access.stepDivisor;
  for (int64_t number = 0; number < (isCommon ? 1 : blocks) * layout.partSize; ++number) {
    TilePosition &position = layout.registers.emplace_back();
    position[line] = number / layout.partSize * blockLines;
    position[contracted] = number % layout.partSize;
  }
}

Parts KernelLowering::LineFactors::load(Value step) {
  access.step = arith::ShRUIOp::create(b, step, lowering.i32(llvm::Log2_64(block)));
  return lowering.load(access, layout);
}

SmallVector<Value> KernelLowering::LineFactors::getFactors(ArrayRef<Value> parts) {
  if (access.memref.getType().getElementType().isF32())
    return llvm::map_to_vector(parts, [&](Value part) { return layout.partSize == 1 ? lowering.extract(part, 0) : part; });
  // The upper half of a wave has the second of each two blocks.
  Value half = arith::ShRUIOp::create(b, lowering.lane, lowering.i32(5));
  Value shift = lowering.mul(half, 8);
  return llvm::map_to_vector(parts, [&](Value part) -> Value {
    Value word = LLVM::BitcastOp::create(b, b.getIntegerType(8 * layout.partSize), part);
    if (layout.partSize < 4)
      word = arith::ExtUIOp::create(b, b.getI32Type(), word);
    return arith::ShRUIOp::create(b, word, shift);
  });
}

//===----------------------------------------------------------------------===//
// The dot
//===----------------------------------------------------------------------===//

KernelLowering::StreamedDot::StreamedDot(KernelLowering &lowering, kernel::DotOp op, const Mfma &mfma,
                                         int64_t lineBytes)
    : lowering(lowering), b(lowering.b), op(op), mfma(mfma) {
  auto lhs = op.getLhs().getDefiningOp<kernel::LoadOp>(), rhs = op.getRhs().getDefiningOp<kernel::LoadOp>();
  auto lhsType = mlir::cast<RankedTensorType>(lhs.getType()), rhsType = mlir::cast<RankedTensorType>(rhs.getType());
  int64_t bytes = lhsType.getElementTypeBitWidth() / 8, rows = lhsType.getDimSize(0), columns = rhsType.getDimSize(1);
  k = lhsType.getDimSize(1);
  chunks = std::max<int64_t>(mfma.perLane() * bytes / chunkBytes, 1);
  perMultiply = chunks * 2 * chunkBytes / bytes;
  depth = lineBytes / bytes;
  stageBytes = (rows + columns) * lineBytes;
  ldsOffset = lowering.allocateLds(2 * stageBytes);
  LaneLayout result = lowering.getLayout(op.getType());
  left.emplace(lowering, lhs, /*contracted=*/1, depth, result, ldsOffset);
  right.emplace(lowering, rhs, /*contracted=*/0, depth, result, ldsOffset + rows * lineBytes);
  sums = Parts(lowering.getParts(op.getAcc()));
  if (!op.getLhsFactor())
    return;
  sumsStages = mlir::cast<RankedTensorType>(op.getLhsFactor().getType()).getElementType().isF32();
  leftFactors.emplace(lowering, op.getLhsFactor().getDefiningOp<kernel::LoadOp>(), /*contracted=*/1, depth, result,
                      left->getBlocks());
  rightFactors.emplace(lowering, op.getRhsFactor().getDefiningOp<kernel::LoadOp>(), /*contracted=*/0, depth, result,
                       right->getBlocks());
}

Parts KernelLowering::StreamedDot::loadStage(Value step, bool partial) {
  // Factors are few and come first, so that they are there when the operands are.
  Parts factorParts;
  if (leftFactors && !sumsStages) {
    factorParts = leftFactors->load(step);
    factorParts.append(rightFactors->load(step));
  }
  Parts parts = left->load(step, partial);
  parts.append(right->load(step, partial));
  parts.append(factorParts);
  return parts;
}

SmallVector<Value> KernelLowering::StreamedDot::getFactors(ArrayRef<Value> parts) {
  if (!leftFactors || sumsStages)
    return {};
  parts = parts.drop_front(left->getLoadedParts() + right->getLoadedParts());
  SmallVector<Value> found = leftFactors->getFactors(parts.take_front(leftFactors->getLoadedParts()));
  found.append(rightFactors->getFactors(parts.drop_front(leftFactors->getLoadedParts())));
  return found;
}

int64_t KernelLowering::StreamedDot::storeShare(ArrayRef<Value> parts, Value stage, int64_t share, int64_t shares) {
  int64_t writes = 0, number = 0, units = left->getUnits() + right->getUnits();
  ArrayRef<Value> rest = parts;
  for (StagedOperand *operand : {&*left, &*right}) {
    for (int64_t unit = 0; unit < operand->getUnits(); ++unit, ++number)
      if (number * shares / units == share) {
        operand->storeUnit(rest, unit, stage);
        writes += operand->getWrites();
      }
    rest = rest.drop_front(operand->getLoadedParts());
  }
  return writes;
}

SmallVector<Value> KernelLowering::StreamedDot::readFragments(int64_t number, Value stage) {
  Fragments fragments;
  for (StagedOperand *operand : {&*left, &*right})
    for (int64_t block = 0; block < operand->getBlocks(); ++block)
      fragments.push_back(operand->read(block, number * chunks, chunks, stage));
  return fragments;
}

int64_t KernelLowering::StreamedDot::countInstructions() const {
  return perMultiply / 2 / mfma.perLane() * left->getBlocks() * right->getBlocks();
}

void KernelLowering::StreamedDot::multiply(const Fragments &fragments, int64_t number, int64_t begin, int64_t end) {
  int64_t rows = left->getBlocks(), columns = right->getBlocks();
  for (int64_t instruction = begin; instruction < end; ++instruction) {
    // Instructions on the same accumulators are far apart. The columns go first: the result is transposed.
    int64_t block = instruction % (rows * columns), first = instruction / (rows * columns) * mfma.perLane();
    auto take = [&](Value fragment) { return lowering.slice(fragment, first, mfma.perLane()); };
    MfmaFactors scales;
    if (!factors.empty() && !sumsStages)
      scales = {factors[rows + block % columns], factors[block / columns], 2 * number};
    sums[block] = emitMfma(b, mfma, take(fragments[rows + block % columns]), take(fragments[block / columns]), sums[block], scales);
  }
}

void KernelLowering::StreamedDot::addScaled(ArrayRef<Value> before) {
  size_t rows = left->getBlocks(), columns = right->getBlocks();
  bool isCommon = !isa<VectorType>(factors.back().getType());
  for (auto [block, sum] : llvm::enumerate(sums)) {
    Value row = factors[block / columns], column = factors[isCommon ? rows : rows + block % columns], factor;
    if (isCommon)
      factor = vector::BroadcastOp::create(b, sum.getType(), arith::MulFOp::create(b, row, column));
    else
      factor = arith::MulFOp::create(b, vector::BroadcastOp::create(b, sum.getType(), row), column);
    sum = math::FmaOp::create(b, sum, factor, before[block]);
  }
}

/// LLVM moves no instruction across this.
static void endRegion(ImplicitLocOpBuilder &b) { ROCDL::SchedBarrier::create(b, /*mask=*/0); }

void KernelLowering::StreamedDot::interleave(const Accesses &accesses, int64_t instructions) {
  // What LLVM calls groups of instructions (SIInstrInfo, SchedGroup).
  constexpr int matrix = 0x8, memoryRead = 0x20, ldsRead = 0x100, ldsWrite = 0x200;
  SmallVector<int> order(accesses.reads, ldsRead);
  order.append(accesses.writes, ldsWrite);
  order.append(accesses.loads, memoryRead);
  auto addGroup = [&](int kind, int64_t size) {
    if (size > 0)
      ROCDL::SchedGroupBarrier::create(b, kind, size, /*groupId=*/0);
  };
  // The last instructions hide how long the last accesses take.
  int64_t count = order.size(), hiding = 3 * instructions / 4;
  for (int64_t number = 0; number < count; ++number) {
    addGroup(order[number], 1);
    addGroup(matrix, (number + 1) * hiding / count - number * hiding / count);
  }
  addGroup(matrix, instructions - hiding);
}

SmallVector<Value> KernelLowering::StreamedDot::multiplyStage(Fragments fragments, Value stage, Value number,
                                                              function_ref<Accesses(int64_t, int64_t)> work,
                                                              function_ref<Fragments()> readAhead) {
  // LLVM alone would read what registers can hold, or only just before it is multiplied. Small tiles leave registers for
  // several workgroups, which hide each other's latencies.
  int64_t instructions = countInstructions(), count = depth / perMultiply, shares = std::max<int64_t>(count - 1, 1);
  bool ordered = instructions >= 8;
  Parts before = sums;
  if (sumsStages) {
    // They are needed when the stage has been multiplied, which is later than they come.
    Value step = lowering.mul(number, depth);
    factors = leftFactors->getFactors(leftFactors->load(step));
    factors.append(rightFactors->getFactors(rightFactors->load(step)));
    for (Value &sum : sums)
      sum = arith::ConstantOp::create(b, b.getZeroAttr(sum.getType()));
  }
  for (int64_t number = 0; number < count; ++number) {
    Fragments next;
    Accesses accesses;
    int64_t begin = 0;
    if (ordered)
      endRegion(b);
    if (number + 1 < count) {
      next = readFragments(number + 1, stage);
      accesses = work(number, shares);
    } else {
      if (count == 1)
        work(0, shares);
      // Some of the multiplications come before the barrier: the matrix unit is busy while waves wait for each other.
      begin = instructions / 4;
      multiply(fragments, number, 0, begin);
      if (ordered)
        endRegion(b);
      next = readAhead();
    }
    accesses.reads = next.size() * chunks;
    multiply(fragments, number, begin, instructions);
    if (ordered)
      interleave(accesses, instructions - begin);
    fragments = next;
  }
  if (sumsStages)
    addScaled(before);
  return fragments;
}

void KernelLowering::StreamedDot::reserveAccumulators() {
  // Left to itself, LLVM mixes sums and fragments in both halves of the registers and moves sums between them.
  constexpr int64_t many = 128;
  int64_t count = sums.size() * mfma.results();
  if (count < many)
    return;
  Attribute reserved = b.getStrArrayAttr({"amdgpu-agpr-alloc", std::to_string(count)});
  lowering.function.setPassthroughAttr(b.getArrayAttr(reserved));
}

void KernelLowering::StreamedDot::lower() {
  // The stage that is not whole comes first; the others need no masks along k.
  bool partial = k % depth != 0;
  int64_t stages = llvm::divideCeilSigned(k, depth);
  auto getStep = [&](int64_t number) {
    return lowering.i32(partial ? (number == 0 ? k / depth : number - 1) * depth : number * depth);
  };
  reserveAccumulators();
  lowering.startLds();
  Value zero = lowering.i32(0);
  Parts incoming = loadStage(getStep(0), partial);
  storeShare(incoming, zero, 0, 1);
  factors = getFactors(incoming);
  if (stages > 1)
    incoming = loadStage(getStep(1), false);
  lowering.ldsBarrier();
  Fragments fragments = readFragments(0, zero);
  Value stage = zero;

  if (stages > 1) {
    // Carried: the sums, the first fragments of the stage in LDS, the next stage in registers, and where the first is.
    SmallVector<Value> carried(sums);
    carried.append(fragments);
    carried.append(incoming);
    carried.append(factors);
    carried.push_back(stage);
    auto loop = scf::ForOp::create(b, zero, lowering.i32(stages - 1), lowering.i32(1), carried);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    auto split = [&](ValueRange values) {
      size_t first = sums.size(), second = first + fragments.size();
      sums = Parts(values.take_front(first));
      fragments = Fragments(values.slice(first, fragments.size()));
      incoming = Parts(values.slice(second, incoming.size()));
      factors = llvm::to_vector(values.slice(second + incoming.size(), factors.size()));
      stage = values.back();
    };
    split(loop.getRegionIterArgs());
    Value other = arith::SubIOp::create(b, lowering.i32(stageBytes), stage);
    SmallVector<Value> nextFactors;
    auto work = [&](int64_t share, int64_t shares) {
      Accesses accesses;
      accesses.writes = storeShare(incoming, other, share, shares);
      if (share + 1 < shares)
        return accesses;
      // Now, so that the next ones can be loaded into the same registers.
      nextFactors = getFactors(incoming);
      // The last iteration has nothing to load, and loads the last stage again.
      Value number = lowering.add(loop.getInductionVar(), lowering.i32(2));
      number = arith::MinUIOp::create(b, number, lowering.i32(stages - 1));
      Value step = lowering.mul(arith::SubIOp::create(b, number, lowering.i32(partial ? 1 : 0)), depth);
      incoming = loadStage(step, false);
      accesses.loads = incoming.size();
      return accesses;
    };
    fragments = multiplyStage(fragments, stage, loop.getInductionVar(), work, [&] {
      // All have read this stage and written the other one.
      lowering.ldsBarrier();
      return readFragments(0, other);
    });
    SmallVector<Value> next(sums);
    next.append(fragments);
    next.append(incoming);
    next.append(nextFactors);
    next.push_back(other);
    scf::YieldOp::create(b, next);
    split(loop.getResults());
  }
  multiplyStage(fragments, stage, lowering.i32(stages - 1), [](int64_t, int64_t) { return Accesses(); }, [] { return Fragments(); });
  lowering.releaseLds(ldsOffset);
  lowering.define(op.getResult(), sums);
}
