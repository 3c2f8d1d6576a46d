//===- LowerDot.cpp - Register-blocked matrix products --------------------===//
//
// A dot is cut into blocks of at most 16 (AVX2: 8) accumulator vectors. Each block runs over k once: per k it loads the vectors of a row
// of the right operand, broadcasts one element per row of the left operand from memory, and multiplies and adds. Operands
// that come from a kernel.load are read where they lie; others are spilled to the stack where they are made.
//
//===----------------------------------------------------------------------===//

#include "codegen/common/Float8.h"
#include "codegen/cpu/KernelLowering.h"

#include "llvm/ADT/Sequence.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

static bool writesMemory(Operation *op) {
  return op->walk([](kernel::StoreOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

/// Whether memory is the same at `user` as it is at `load`.
static bool isUnchangedAt(kernel::LoadOp load, Operation *user) {
  Operation *ancestor = load->getBlock()->findAncestorOpInBlock(*user);
  if (!ancestor)
    return false;
  for (Operation *op = load->getNextNode(); op != ancestor; op = op->getNextNode())
    if (writesMemory(op))
      return false;
  return ancestor == user || !writesMemory(ancestor);
}

static RankedTensorType getTileType(Value value) { return cast<RankedTensorType>(value.getType()); }

/// A product with one column is computed in registers.
static bool isMatrixVector(kernel::DotOp dot) { return getTileType(dot.getAcc()).getDimSize(1) == 1; }

bool KernelLowering::readsInPlace(kernel::DotOp dot, OpOperand &operand) {
  auto load = operand.get().getDefiningOp<kernel::LoadOp>();
  unsigned number = operand.getOperandNumber();
  if (!load || number > 1 || isMatrixVector(dot) || !isUnchangedAt(load, dot))
    return false;
  if (load.getPad() && !load.getPad()->isZero())
    return false;
  SmallVector<int64_t> strides;
  int64_t offset;
  auto memory = cast<MemRefType>(load.getMemref().getType());
  (void)memory.getStridesAndOffset(strides, offset);
  auto range = [&](int64_t dim) { return ranges.get(load.getIndices()[dim]); };
  int64_t rowDim = load.getDims()[0], columnDim = load.getDims()[1];
  if (!load.getInbounds() && (range(rowDim).min < 0 || range(columnDim).min < 0))
    return false;
  // Vectors of the right operand are contiguous; so are groups of k in the left one, and the row of zeros that takes the place of
  // rows outside the buffer.
  bool isContiguous = strides[columnDim] == 1;
  if (number == 1)
    return isContiguous;
  bool hasRowsOutside =
      !load.getInbounds() && range(rowDim).max > memory.getDimSize(rowDim) - getTileType(load).getDimSize(0);
  return isContiguous || (dot.getGroup() == 1 && !hasRowsOutside);
}

bool KernelLowering::needsSpill(Value tile) {
  return llvm::any_of(tile.getUses(), [&](OpOperand &use) {
    auto dot = dyn_cast<kernel::DotOp>(use.getOwner());
    return dot && use.getOperandNumber() < 2 && !isMatrixVector(dot) && !readsInPlace(dot, use);
  });
}

void KernelLowering::spill(Value tile) {
  TileLayout layout = layoutOf(tile);
  TileMemory memory;
  memory.element = layout.element;
  memory.type = getTileType(tile).getElementType();
  memory.columnStride = getElementBytes(layout.element);
  int64_t pitch = layout.chunks * layout.width * memory.columnStride;
  memory.rowStride = layout.column ? memory.columnStride : pitch;
  memory.pointer = allocate(layout.rows * pitch);
  for (auto [i, part] : llvm::enumerate(partsOf(tile)))
    b.store(part, b.offset(memory.pointer, i * layout.width * memory.columnStride));
  spilled[tile] = memory;
}

TileMemory KernelLowering::getDotOperand(kernel::DotOp dot, OpOperand &operand) {
  if (!readsInPlace(dot, operand))
    return spilled.find(operand.get())->second;
  auto load = operand.get().getDefiningOp<kernel::LoadOp>();
  return getTileMemory(load, getTileType(load));
}

//===----------------------------------------------------------------------===//
// The micro-kernel
//===----------------------------------------------------------------------===//

namespace {

/// One block of accumulators, [rows, chunks].
class MicroKernel {
public:
  MicroKernel(VectorBuilder &b, const TileMemory &lhs, const TileMemory &rhs, int64_t group, int64_t width)
      : b(b), lhs(lhs), rhs(rhs), group(group), width(width),
        usesBf16Dot(group == 2 && width >= 4 && b.target.has("avx512bf16")) {}

  /// Where each row of the left operand starts.
  SmallVector<Value> rowPointers;
  /// Which lanes of each chunk of the right operand's rows to load; null for all.
  SmallVector<Value> masks;
  /// First chunk of the block.
  int64_t firstChunk = 0;
  /// Valid k when it is not static; i64.
  Value end;

  /// Runs over all of k.
  Parts run(Parts accumulators, int64_t k);

private:
  /// `count` groups of k from group `index` (a value, or null for 0) on.
  Parts steps(Parts accumulators, Value index, int64_t first, int64_t count);
  /// The last element of k, alone in its group.
  Parts lastElement(Parts accumulators, Value index, int64_t first);
  Parts loop(Parts accumulators, Value begin, Value end, int64_t unroll);

  /// What a group's vectors or broadcast elements are multiplied as: one f32 value per element of the group, or one register of pairs.
  using Factors = SmallVector<Value, 2>;
  Factors loadVector(Value row, int64_t chunk);
  Factors loadBroadcast(Value pointer, bool isLast);
  Value multiplyAdd(const Factors &x, const Factors &y, Value accumulator);
  Parts multiplyStep(Parts accumulators, Value rhsRow, ArrayRef<Value> lhsElements, bool isLast);

  static constexpr int64_t unroll = 4;
  VectorBuilder &b;
  const TileMemory &lhs, &rhs;
  int64_t group, width;
  bool usesBf16Dot;
};

} // namespace

MicroKernel::Factors MicroKernel::loadVector(Value row, int64_t chunk) {
  int64_t lanes = width * group;
  auto type = VectorType::get({lanes}, rhs.element);
  Value mask = masks[chunk];
  Value pointer = b.offset(row, (firstChunk + chunk) * lanes * getElementBytes(rhs.element));
  Value zero = mask ? (isa<FloatType>(rhs.element) ? b.constant(type, 0.0) : b.constantInt(type, 0)) : Value();
  Value vector = b.load(type, pointer, mask, zero);
  if (usesBf16Dot)
    return {b.bitcast(vector, type.clone(b.getBF16Type()))};
  auto f32 = VectorType::get({width}, b.getF32Type()), i32 = VectorType::get({width}, b.getI32Type());
  if (group == 2) {
    Value pairs = b.bitcast(vector, i32);
    Value low = arith::ShLIOp::create(b, pairs, b.constantInt(i32, 16));
    Value high = arith::AndIOp::create(b, pairs, b.constantInt(i32, int32_t(0xffff0000)));
    return {b.bitcast(low, f32), b.bitcast(high, f32)};
  }
  return {b.toF32(vector, rhs.type)};
}

MicroKernel::Factors MicroKernel::loadBroadcast(Value pointer, bool isLast) {
  Type i32 = b.getI32Type(), f32 = b.getF32Type();
  if (group == 2) {
    // The pair as 32 bits; a last single element is followed by zero.
    Value pair = isLast ? Value(arith::ExtUIOp::create(b, i32, b.load(b.getIntegerType(16), pointer)))
                        : Value(LLVM::LoadOp::create(b, i32, pointer, /*alignment=*/2));
    if (usesBf16Dot)
      return {b.bitcast(b.splat(pair, width), VectorType::get({2 * width}, b.getBF16Type()))};
    Value low = arith::ShLIOp::create(b, pair, b.constantInt(i32, 16));
    Value high = arith::AndIOp::create(b, pair, b.constantInt(i32, int32_t(0xffff0000)));
    return {b.splat(b.bitcast(low, f32), width), b.splat(b.bitcast(high, f32), width)};
  }
  return {b.splat(b.toF32(b.load(lhs.element, pointer), lhs.type), width)};
}

Value MicroKernel::multiplyAdd(const Factors &x, const Factors &y, Value accumulator) {
  if (usesBf16Dot) {
    StringRef name = width == 16  ? "llvm.x86.avx512bf16.dpbf16ps.512"
                     : width == 8 ? "llvm.x86.avx512bf16.dpbf16ps.256"
                                  : "llvm.x86.avx512bf16.dpbf16ps.128";
    return b.intrinsic(name, accumulator.getType(), {accumulator, x[0], y[0]});
  }
  for (auto [left, right] : llvm::zip(x, y))
    accumulator = math::FmaOp::create(b, left, right, accumulator);
  return accumulator;
}

Parts MicroKernel::multiplyStep(Parts accumulators, Value rhsRow, ArrayRef<Value> lhsElements, bool isLast) {
  int64_t chunks = masks.size();
  SmallVector<Factors> vectors;
  for (int64_t chunk : llvm::seq(chunks))
    vectors.push_back(loadVector(rhsRow, chunk));
  for (auto [row, element] : llvm::enumerate(lhsElements)) {
    Factors broadcast = loadBroadcast(element, isLast);
    for (int64_t chunk : llvm::seq(chunks)) {
      Value &accumulator = accumulators[row * chunks + chunk];
      accumulator = multiplyAdd(broadcast, vectors[chunk], accumulator);
    }
  }
  return accumulators;
}

Parts MicroKernel::steps(Parts accumulators, Value index, int64_t first, int64_t count) {
  auto at = [&](Value pointer, int64_t stride) {
    return index ? b.offset(pointer, arith::MulIOp::create(b, index, b.i64(stride))) : pointer;
  };
  Value rhsRow = at(rhs.pointer, rhs.rowStride);
  SmallVector<Value> rows;
  for (Value row : rowPointers)
    rows.push_back(at(row, group * lhs.columnStride));
  for (int64_t step : llvm::seq(first, first + count)) {
    SmallVector<Value> elements;
    for (Value row : rows)
      elements.push_back(b.offset(row, step * group * lhs.columnStride));
    accumulators = multiplyStep(std::move(accumulators), b.offset(rhsRow, step * rhs.rowStride), elements, false);
  }
  return accumulators;
}

Parts MicroKernel::lastElement(Parts accumulators, Value index, int64_t first) {
  auto at = [&](Value pointer, int64_t stride) {
    return index ? b.offset(pointer, arith::MulIOp::create(b, index, b.i64(stride))) : b.offset(pointer, first * stride);
  };
  SmallVector<Value> elements;
  for (Value row : rowPointers)
    elements.push_back(at(row, group * lhs.columnStride));
  return multiplyStep(std::move(accumulators), at(rhs.pointer, rhs.rowStride), elements, true);
}

Parts MicroKernel::loop(Parts accumulators, Value begin, Value last, int64_t step) {
  auto loop = scf::ForOp::create(b, begin, last, b.i64(step), accumulators);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Parts next = steps(Parts(loop.getRegionIterArgs()), loop.getInductionVar(), 0, step);
  scf::YieldOp::create(b, next);
  return Parts(loop.getResults());
}

Parts MicroKernel::run(Parts accumulators, int64_t k) {
  if (!end) {
    int64_t groups = k / group, main = groups > 2 * unroll ? groups / unroll * unroll : 0;
    if (main)
      accumulators = loop(std::move(accumulators), b.i64(0), b.i64(main), unroll);
    accumulators = steps(std::move(accumulators), Value(), main, groups - main);
    return k % group ? lastElement(std::move(accumulators), Value(), groups) : accumulators;
  }
  Value groups = group == 1 ? end : Value(arith::DivUIOp::create(b, end, b.i64(group)));
  Value main = arith::AndIOp::create(b, groups, b.i64(-unroll));
  accumulators = loop(std::move(accumulators), b.i64(0), main, unroll);
  accumulators = loop(std::move(accumulators), main, groups, 1);
  if (group == 1)
    return accumulators;
  Value isOdd = arith::TruncIOp::create(b, b.getI1Type(), end);
  auto branch = scf::IfOp::create(b, ValueRange(accumulators).getTypes(), isOdd, /*addThenBlock=*/true, /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&branch.getElseRegion().front());
  scf::YieldOp::create(b, accumulators);
  b.setInsertionPointToStart(&branch.getThenRegion().front());
  scf::YieldOp::create(b, lastElement(accumulators, groups, 0));
  return Parts(branch.getResults());
}

//===----------------------------------------------------------------------===//
// kernel.dot
//===----------------------------------------------------------------------===//

/// acc + lhs rhs with one column: the products of each row are summed in registers.
LogicalResult KernelLowering::lowerMatrixVector(kernel::DotOp dot) {
  if (dot.getGroup() != 1)
    return dot.emitOpError("with a packed right operand needs more than one column");
  TileLayout layout = layoutOf(dot.getLhs()), accLayout = layoutOf(dot.getAcc());
  auto f32 = VectorType::get({layout.width}, b.getF32Type());
  Type left = getTileType(dot.getLhs()).getElementType(), right = getTileType(dot.getRhs()).getElementType();
  // One k: a column times a scalar.
  ArrayRef<Value> lhs = partsOf(dot.getLhs()), rhs = partsOf(dot.getRhs());
  Parts result;
  if (layout.column || layout.columns == 1) {
    Value scalar = b.splatLane(rhs.front(), 0, layout.width);
    for (auto [part, acc] : llvm::zip(lhs, partsOf(dot.getAcc())))
      result.push_back(math::FmaOp::create(b, b.toF32(part, left), b.toF32(scalar, right), acc));
    define(dot, std::move(result));
    return success();
  }
  SmallVector<Value> rows;
  for (int64_t row = 0; row < layout.rows; ++row) {
    SmallVector<Value> products;
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
      Value product = arith::MulFOp::create(b, b.toF32(lhs[row * layout.chunks + chunk], left), b.toF32(rhs[chunk], right));
      if (Value mask = laneMask({}, {}, 0, layout.width, layout.validLanes(chunk)))
        product = arith::SelectOp::create(b, mask, product, b.constant(f32, 0.0));
      products.push_back(product);
    }
    auto add = [&](Value x, Value y) -> Value { return arith::AddFOp::create(b, x, y); };
    rows.push_back(b.combineTree(products, add));
  }
  auto add = [&](Value x, Value y) -> Value { return arith::AddFOp::create(b, x, y); };
  for (auto [chunk, acc] : llvm::enumerate(partsOf(dot.getAcc()))) {
    size_t first = chunk * accLayout.width;
    auto group = ArrayRef(rows).slice(first, std::min<size_t>(accLayout.width, rows.size() - first));
    result.push_back(add(acc, b.slice(b.combineLanes(group, add), 0, accLayout.width)));
  }
  define(dot, std::move(result));
  return success();
}

/// A row of zeros, in place of rows outside the buffer.
Value KernelLowering::getZeros(int64_t bytes) {
  std::string name = (function.getSymName() + ".zeros").str();
  auto global = module.lookupSymbol<LLVM::GlobalOp>(name);
  if (!global || int64_t(cast<LLVM::LLVMArrayType>(global.getType()).getNumElements()) < bytes) {
    if (global)
      global.erase();
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    // Not constant, so that it takes no room in the object.
    global = LLVM::GlobalOp::create(b, LLVM::LLVMArrayType::get(b.getI8Type(), bytes), /*isConstant=*/false,
                                    LLVM::Linkage::Internal, name, b.getStringAttr(std::string(bytes, '\0')),
                                    /*alignment=*/64);
  }
  return LLVM::AddressOfOp::create(b, global);
}

LogicalResult KernelLowering::lowerDot(kernel::DotOp dot) {
  RankedTensorType lhsType = getTileType(dot.getLhs()), rhsType = getTileType(dot.getRhs());
  int64_t group = dot.getGroup();
  auto isOperandType = [](Type type) {
    return type.isF32() || type.isBF16() || type.isF16() ||
           (isFloat8(type) && !isa<Float8E8M0FNUType>(type));
  };
  if (!getTileType(dot.getAcc()).getElementType().isF32() || !isOperandType(lhsType.getElementType()) ||
      !isOperandType(rhsType.getElementType()))
    return dot.emitOpError() << "of " << lhsType.getElementType() << " and " << rhsType.getElementType()
                             << " has no lowering to the CPU; operands are f32, bf16, f16 or 8-bit floats and accumulate in f32";
  if (dot.getLhsFactor())
    return dot.emitOpError("with factors has no lowering to the CPU; multiply the operands by them first");
  bool isBf16 = lhsType.getElementType().isBF16() && rhsType.getElementType().isBF16();
  if (group != 1 && !(group == 2 && isBf16))
    return dot.emitOpError() << "with groups of " << group << " has no lowering to the CPU; use 1, or 2 for bf16 operands";
  if (isMatrixVector(dot))
    return lowerMatrixVector(dot);

  TileMemory lhs = getDotOperand(dot, dot.getLhsMutable()), rhs = getDotOperand(dot, dot.getRhsMutable());
  TileLayout layout = layoutOf(dot.getAcc());
  int64_t m = layout.rows, k = lhsType.getDimSize(1);
  MicroKernel kernel(b, lhs, rhs, group, layout.width);

  // k ends where either operand does: what lies outside counts as zero whatever stands there.
  Value zero = b.i64(0);
  if (lhs.columns.last || rhs.rows.last) {
    Value end = b.i64(k);
    if (lhs.columns.last)
      end = arith::MinSIOp::create(b, end, lhs.columns.last);
    if (rhs.rows.last)
      end = arith::MinSIOp::create(b, end, arith::MulIOp::create(b, rhs.rows.last, b.i64(group)));
    kernel.end = arith::MaxSIOp::create(b, end, zero);
  }
  SmallVector<Value> rowPointers;
  for (int64_t row : llvm::seq(m)) {
    Value pointer = b.offset(lhs.pointer, row * lhs.rowStride);
    if (Value inside = isInside(lhs.rows, row))
      pointer = arith::SelectOp::create(b, inside, pointer, getZeros(k * getElementBytes(lhs.element)));
    rowPointers.push_back(pointer);
  }
  SmallVector<Value> masks;
  for (int64_t chunk : llvm::seq(layout.chunks)) {
    int64_t lanes = layout.width * group;
    masks.push_back(laneMask(rhs.columns, {}, chunk * lanes, lanes, layout.columns * group));
  }

  // Half of the registers accumulate.
  int64_t budget = target.registers() / 2;
  int64_t blockRows = std::min(m, budget / 2);
  int64_t blockChunks = std::min(layout.chunks, std::max<int64_t>(2, budget / blockRows));
  ArrayRef<Value> acc = partsOf(dot.getAcc());
  Parts result(layout.size());
  for (int64_t chunk = 0; chunk < layout.chunks; chunk += blockChunks) {
    int64_t chunks = std::min(blockChunks, layout.chunks - chunk);
    kernel.firstChunk = chunk;
    kernel.masks = SmallVector<Value>(ArrayRef(masks).slice(chunk, chunks));
    for (int64_t row = 0; row < m; row += blockRows) {
      int64_t rows = std::min(blockRows, m - row);
      kernel.rowPointers = SmallVector<Value>(ArrayRef(rowPointers).slice(row, rows));
      Parts block;
      for (int64_t i : llvm::seq(row, row + rows))
        llvm::append_range(block, acc.slice(i * layout.chunks + chunk, chunks));
      block = kernel.run(std::move(block), k);
      for (int64_t i : llvm::seq(rows))
        for (int64_t j : llvm::seq(chunks))
          result[(row + i) * layout.chunks + chunk + j] = block[i * chunks + j];
    }
  }
  define(dot, std::move(result));
  return success();
}
