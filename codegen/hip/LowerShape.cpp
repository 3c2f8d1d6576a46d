//===- LowerShape.cpp - Reductions, broadcasts and indices ----------------===//

#include "codegen/hip/KernelLowering.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

/// The greater of two floats, where NaN may be ignored.
static Value combineNumbers(ImplicitLocOpBuilder &b, Value x, Value y) {
  return arith::MaxNumFOp::create(b, x, y, arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
}

Value KernelLowering::combine(kernel::ReduceKind kind, Value x, Value y) {
  bool isFloat = isa<FloatType>(getElementTypeOrSelf(x.getType()));
  if (kind == kernel::ReduceKind::Sum)
    return isFloat ? arith::AddFOp::create(b, x, y).getResult() : arith::AddIOp::create(b, x, y).getResult();
  return isFloat ? arith::MaximumFOp::create(b, x, y).getResult() : arith::MaxSIOp::create(b, x, y).getResult();
}

/// The value that changes nothing, of a scalar type.
static TypedAttr getNeutral(OpBuilder &b, kernel::ReduceKind kind, Type type) {
  bool isSum = kind == kernel::ReduceKind::Sum;
  if (isa<FloatType>(type))
    return b.getFloatAttr(type, isSum ? 0.0 : -std::numeric_limits<double>::infinity());
  return b.getIntegerAttr(type, isSum ? 0 : llvm::minIntN(type.getIntOrFloatBitWidth()));
}

//===----------------------------------------------------------------------===//
// Between lanes
//===----------------------------------------------------------------------===//

/// Applies `move` to the words of 32 bits of a scalar of up to 64 bits.
static Value moveWords(ImplicitLocOpBuilder &b, Value scalar, function_ref<Value(Value)> move) {
  Type type = scalar.getType(), word = b.getI32Type();
  unsigned bits = type.getIntOrFloatBitWidth();
  Type integer = b.getIntegerType(bits);
  Value whole = arith::BitcastOp::create(b, integer, scalar);
  if (bits < 32)
    whole = arith::TruncIOp::create(b, integer, move(arith::ExtUIOp::create(b, word, whole)));
  else if (bits == 32)
    whole = move(whole);
  else {
    auto pair = VectorType::get(2, word);
    Value words = LLVM::BitcastOp::create(b, pair, whole);
    Value low = move(vector::ExtractOp::create(b, words, 0)), high = move(vector::ExtractOp::create(b, words, 1));
    whole = LLVM::BitcastOp::create(b, integer, vector::FromElementsOp::create(b, pair, ValueRange{low, high}));
  }
  return arith::BitcastOp::create(b, type, whole);
}

Value KernelLowering::exchange(Value scalar, unsigned bit) {
  // DPP moves within groups of 4 and 16 lanes at no cost; ds_swizzle reaches all of 32 lanes, ds_bpermute all of the
  // wave.
  Type word = b.getI32Type();
  return moveWords(b, scalar, [&](Value bits) -> Value {
    auto moveByDpp = [&](int64_t control) {
      return ROCDL::DPPUpdateOp::create(b, word, bits, bits, control, /*rowMask=*/0xf, /*bankMask=*/0xf,
                                        /*boundCtrl=*/true).getResult();
    };
    switch (bit) {
    case 0: // quad_perm:[1,0,3,2]
      return moveByDpp(0xb1);
    case 1: // quad_perm:[2,3,0,1]
      return moveByDpp(0x4e);
    case 3: // row_ror:8
      return moveByDpp(0x128);
    case 2:
    case 4: // The and-mask keeps all five bits, the xor-mask turns one over.
      return ROCDL::DsSwizzleOp::create(b, word, bits, i32((1 << bit) << 10 | 0x1f));
    default: {
      Value other = arith::XOrIOp::create(b, lane, i32(1 << bit));
      return ROCDL::DsBpermuteOp::create(b, word, arith::ShLIOp::create(b, other, i32(2)), bits);
    }
    }
  });
}

std::pair<Value, Value> KernelLowering::getPair(Value scalar, unsigned bit) {
  // Gfx950 exchanges rows of 16 lanes, or halves of the wave, between two registers: of equal ones, one then has the
  // lower and the other the upper of each pair.
  bool swaps = chip == "gfx950" && scalar.getType().getIntOrFloatBitWidth() == 32 && bit >= 4;
  if (!swaps)
    return {scalar, exchange(scalar, bit)};
  Value bits = arith::BitcastOp::create(b, b.getI32Type(), scalar);
  auto pair = LLVM::LLVMStructType::getLiteral(b.getContext(), {b.getI32Type(), b.getI32Type()});
  Value both;
  if (bit == 4)
    both = ROCDL::Permlane16SwapOp::create(b, pair, bits, bits, /*fi=*/false, /*boundControl=*/false);
  else
    both = ROCDL::Permlane32SwapOp::create(b, pair, bits, bits, /*fi=*/false, /*boundControl=*/false);
  auto get = [&](int64_t number) -> Value {
    return arith::BitcastOp::create(b, scalar.getType(), LLVM::ExtractValueOp::create(b, both, number));
  };
  return {get(0), get(1)};
}

Value KernelLowering::combineLanes(kernel::ReduceKind kind, Value scalar, int64_t bits) {
  if (bits == kWaveLanes - 1)
    return combineWave(kind, scalar);
  for (unsigned bit = 0; bit < kWaveBits; ++bit)
    if (bits >> bit & 1) {
      auto [lower, upper] = getPair(scalar, bit);
      scalar = combine(kind, lower, upper);
    }
  return scalar;
}

Value KernelLowering::combineWave(kernel::ReduceKind kind, Value scalar) {
  // Within rows of 16 lanes by exchanges; then the last lane of a row goes to the row behind it, and that of the second
  // row to the second half. The last lane has all.
  Type type = scalar.getType(), word = b.getI32Type();
  auto moved = [&](int64_t control, int64_t rows) {
    Value neutral = arith::ConstantOp::create(b, getNeutral(b, kind, type));
    SmallVector<Value> old;
    moveWords(b, neutral, [&](Value bits) { return old.emplace_back(bits); });
    size_t next = 0;
    return moveWords(b, scalar, [&](Value bits) -> Value {
      return ROCDL::DPPUpdateOp::create(b, word, old[next++], bits, control, rows, /*bankMask=*/0xf,
                                        /*boundCtrl=*/false);
    });
  };
  constexpr int64_t halfMirror = 0x141, mirror = 0x140, broadcast15 = 0x142, broadcast31 = 0x143;
  for (unsigned bit : {0, 1})
    scalar = combine(kind, scalar, exchange(scalar, bit));
  for (int64_t control : {halfMirror, mirror})
    scalar = combine(kind, scalar, moved(control, 0xf));
  scalar = combine(kind, scalar, moved(broadcast15, 0xa));
  scalar = combine(kind, scalar, moved(broadcast31, 0xc));
  return moveWords(b, scalar, [&](Value bits) -> Value {
    return ROCDL::ReadlaneOp::create(b, word, bits, i32(kWaveLanes - 1));
  });
}

Parts KernelLowering::combineWaves(kernel::ReduceKind kind, ArrayRef<Value> scalars, int64_t bits, bool uniform) {
  // Each wave writes what it has; then each reads what the waves of its group have, in the order of their numbers.
  Type type = scalars.front().getType();
  int64_t bytes = getElementBytes(type), lanes = uniform ? 1 : kWaveLanes;
  int64_t perWave = static_cast<int64_t>(scalars.size()) * lanes * bytes, waves = shape.getThreads() / kWaveLanes;
  int64_t region = allocateLds(perWave * waves);
  Value laneOffset = uniform ? Value() : mul(lane, bytes);
  auto getAddress = [&](Value base, int64_t number) {
    return getLdsPointer(region + number * lanes * bytes, base);
  };
  startLds(region);
  auto write = [&] {
    Value base = add(mul(wave, perWave), laneOffset);
    for (auto [number, scalar] : llvm::enumerate(scalars))
      LLVM::StoreOp::create(b, scalar, getAddress(base, number), bytes);
  };
  if (uniform) {
    auto conditional = scf::IfOp::create(b, isFirstCopy(kWaveLanes - 1), /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(conditional.thenBlock());
    write();
  } else {
    write();
  }
  ldsBarrier();

  Parts results;
  Value group = arith::AndIOp::create(b, wave, i32(~bits & (waves - 1)));
  for (size_t number = 0; number < scalars.size(); ++number) {
    Value sum;
    // All numbers whose bits are among `bits`.
    for (int64_t member = 0;; member = (member - bits) & bits) {
      Value base = add(mul(group, perWave), laneOffset);
      Value address = getAddress(base, number + member * static_cast<int64_t>(scalars.size()));
      Value part = LLVM::LoadOp::create(b, type, address, bytes);
      sum = sum ? combine(kind, sum, part) : part;
      if (member == bits)
        break;
    }
    results.push_back(uniform ? makeUniform(sum) : sum);
  }
  // A few bytes that are used once are kept, so that the next reduction need not wait.
  if (!uniform || isInRegion())
    releaseLds(region);
  return results;
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

Parts KernelLowering::neutralisePadding(kernel::ReduceOp op, const LaneLayout &layout, Parts parts) {
  auto type = mlir::cast<RankedTensorType>(op.getOperand().getType());
  unsigned coordinate = getCoordinate(type.getRank(), op.getDim());
  int64_t size = type.getDimSize(op.getDim());
  if (layout.getExtent()[coordinate] <= size)
    return parts;
  Value neutral = arith::ConstantOp::create(b, getNeutral(b, op.getKind(), type.getElementType()));
  Value position = add(getLaneCoordinate(layout, coordinate), getWaveCoordinate(layout, coordinate));
  SmallVector<Value> elements;
  for (auto [number, held] : llvm::enumerate(layout.registers)) {
    Value element = getElement(parts, layout, number);
    Value limit = i32(size - held[coordinate]);
    Value inside = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, position ? position : i32(0), limit);
    elements.push_back(arith::SelectOp::create(b, inside, element, neutral));
  }
  return makeParts(elements, layout);
}

FailureOr<KernelLowering::OpenReduction> KernelLowering::startReduce(kernel::ReduceOp op) {
  auto type = mlir::cast<RankedTensorType>(op.getOperand().getType());
  unsigned bits = type.getElementTypeBitWidth();
  if (bits < 8 || type.getElementType().isBF16())
    return op.emitOpError() << "of " << type.getElementType()
                            << " has no lowering for AMD GPUs; convert the tile to f32 or i32 first";
  OpenReduction reduction{op, getCoordinate(type.getRank(), op.getDim()), getLayout(type), {}, {}, {}};
  reduction.target = reduction.source.project(reduction.coordinate);
  reduction.operand = neutralisePadding(op, reduction.source, Parts(getParts(op.getOperand())));
  reduction.sums.resize(reduction.target.getParts());
  return reduction;
}

Value KernelLowering::combineHeld(kernel::ReduceOp op, Value x, Value y) {
  return op.getNonan() ? combineNumbers(b, x, y) : combine(op.getKind(), x, y);
}

Value KernelLowering::collapse(const OpenReduction &reduction, Value sum) {
  if (reduction.source.partSize == reduction.target.partSize)
    return sum;
  SmallVector<Value> elements;
  for (int64_t number = 0; number < reduction.source.partSize; ++number)
    elements.push_back(extract(sum, number));
  while (elements.size() > static_cast<size_t>(reduction.target.partSize)) {
    size_t half = elements.size() / 2;
    for (size_t number = 0; number < half; ++number)
      elements[number] = combineHeld(reduction.op, elements[number], elements[number + half]);
    elements.truncate(half);
  }
  return fromElements(elements);
}

/// Whether elements of a part are combined before parts: few registers hold the result. It makes no difference to a maximum.
static bool collapsesParts(kernel::ReduceOp op) { return op.getKind() == kernel::ReduceKind::Max && !op.getNonan(); }

void KernelLowering::reducePart(OpenReduction &reduction, size_t number) {
  TilePosition position = reduction.source.registers[number * reduction.source.partSize];
  position[reduction.coordinate] = 0;
  auto place = llvm::find(reduction.target.registers, position) - reduction.target.registers.begin();
  Value held = reduction.operand[number];
  if (collapsesParts(reduction.op))
    held = collapse(reduction, held);
  Value &sum = reduction.sums[place / reduction.target.partSize];
  sum = sum ? combineHeld(reduction.op, sum, held) : held;
  if (Operation *op = sum.getDefiningOp())
    anchors.insert(op);
}

void KernelLowering::finishReduce(OpenReduction &reduction) {
  kernel::ReduceOp op = reduction.op;
  // What a lane holds itself.
  SmallVector<Value> results;
  for (Value sum : reduction.sums) {
    if (!collapsesParts(op))
      sum = collapse(reduction, sum);
    for (int64_t number = 0; number < reduction.target.partSize; ++number)
      results.push_back(extract(sum, number));
  }

  // What other lanes hold, then other waves.
  int64_t threads = 0;
  for (auto [bit, added] : llvm::enumerate(reduction.source.threads))
    threads |= int64_t(added[reduction.coordinate] != 0) << bit;
  int64_t lanes = threads & (kWaveLanes - 1), waves = threads >> kWaveBits;
  for (Value &result : results)
    result = combineLanes(op.getKind(), result, lanes);
  if (waves != 0)
    results = combineWaves(op.getKind(), results, waves, /*uniform=*/lanes == kWaveLanes - 1);
  if (!isa<RankedTensorType>(op.getType())) {
    bool isUniform = lanes == kWaveLanes - 1;
    define(op, {isUniform ? results.front() : makeUniform(results.front())});
    return;
  }
  define(op, convertLayout(makeParts(results, reduction.target), reduction.target, getLayout(op.getType())));
}

//===----------------------------------------------------------------------===//
// Broadcasts, indices, transposes
//===----------------------------------------------------------------------===//

/// The layout in which a broadcast takes its operand, and the coordinates of the operand's dimensions of size one.
static std::pair<LaneLayout, SmallVector<unsigned>> getOperandLayout(RankedTensorType operand, LaneLayout result) {
  SmallVector<unsigned> collapsed;
  for (auto [dim, size] : llvm::enumerate(operand.getShape()))
    if (size == 1) {
      collapsed.push_back(getCoordinate(operand.getRank(), dim));
      result = result.project(collapsed.back());
    }
  return {result, collapsed};
}

std::optional<LaneLayout> KernelLowering::findBroadcastLayout(Value tile) {
  auto type = dyn_cast<RankedTensorType>(tile.getType());
  if (!type || type.getRank() != 2 || !llvm::is_contained(type.getShape(), 1))
    return std::nullopt;
  std::optional<LaneLayout> common;
  for (Operation *user : tile.getUsers()) {
    std::optional<LaneLayout> wanted;
    // Arithmetic on the tile alone leaves it where it is.
    if (auto broadcast = dyn_cast<kernel::BroadcastOp>(user))
      wanted = getOperandLayout(type, getLayout(broadcast.getType())).first;
    else if (OpTrait::hasElementwiseMappableTraits(user) && user->getNumOperands() == 1)
      wanted = findBroadcastLayout(user->getResult(0));
    if (!wanted || (common && *common != *wanted))
      return std::nullopt;
    common = wanted;
  }
  return common;
}

LogicalResult KernelLowering::lowerBroadcast(kernel::BroadcastOp op) {
  LaneLayout target = getLayout(op.getType());
  auto sourceType = dyn_cast<RankedTensorType>(op.getOperand().getType());
  if (!sourceType) {
    Value scalar = getScalar(op.getOperand());
    auto type = VectorType::get(target.partSize, scalar.getType());
    define(op, Parts(target.getParts(), vector::BroadcastOp::create(b, type, scalar)));
    return success();
  }
  if (sourceType == op.getType()) {
    define(op, Parts(getParts(op.getOperand())));
    return success();
  }

  auto [projected, collapsed] = getOperandLayout(sourceType, target);
  Parts source = convertLayout(getParts(op.getOperand()), getLayout(op.getOperand()), projected);
  Parts parts;
  for (int64_t part = 0; part < target.getParts(); ++part) {
    TilePosition position = target.registers[part * target.partSize];
    for (unsigned coordinate : collapsed)
      position[coordinate] = 0;
    int64_t number = llvm::find(projected.registers, position) - projected.registers.begin();
    // Parts of the operand are as large, or single elements.
    if (projected.partSize == target.partSize) {
      parts.push_back(source[number / target.partSize]);
      continue;
    }
    auto type = VectorType::get(target.partSize, sourceType.getElementType());
    parts.push_back(vector::BroadcastOp::create(b, type, getElement(source, projected, number)));
  }
  define(op, std::move(parts));
  return success();
}

LogicalResult KernelLowering::lowerIota(kernel::IotaOp op) {
  LaneLayout layout = getLayout(op.getType());
  unsigned coordinate = getCoordinate(mlir::cast<RankedTensorType>(op.getType()).getRank(), op.getDim());
  Value base = add(getIndex(op.getBase(), 32), getWaveCoordinate(layout, coordinate));
  base = add(base, getLaneCoordinate(layout, coordinate));
  auto type = VectorType::get(layout.partSize, b.getI32Type());
  Value start = vector::BroadcastOp::create(b, type, base);
  Parts parts;
  for (int64_t part = 0; part < layout.getParts(); ++part) {
    SmallVector<int32_t> offsets;
    for (int64_t number = 0; number < layout.partSize; ++number)
      offsets.push_back(layout.registers[part * layout.partSize + number][coordinate]);
    parts.push_back(arith::AddIOp::create(
        b, start, arith::ConstantOp::create(b, DenseElementsAttr::get(type, ArrayRef(offsets)))));
  }
  define(op, std::move(parts));
  return success();
}

LogicalResult KernelLowering::lowerTranspose(kernel::TransposeOp op) {
  LaneLayout turned = getLayout(op.getOperand().getType());
  for (TilePosition &position : turned.threads)
    std::swap(position[0], position[1]);
  for (TilePosition &position : turned.registers)
    std::swap(position[0], position[1]);
  define(op, convertLayout(getParts(op.getOperand()), turned, getLayout(op.getType())));
  return success();
}
