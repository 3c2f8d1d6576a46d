//===- Pack.cpp - Panels for the matmul micro-kernel ----------------------===//
//
// The family "pack": one graph.pack, of an operand of 8-bit floats after its conversion. Pairs of 16-bit elements are moved as
// one 32-bit integer, so that both group sizes are the same copies and transposes.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/RowPass.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

/// Of 8-bit floats.
bool isWidening(Operation *op) {
  return isa<graph::ConvertOp>(op) && getElementTypeOrSelf(op->getOperand(0).getType()).getIntOrFloatBitWidth() == 8;
}

class PackFamily : public KernelFamily {
public:
  StringRef getName() const override { return "pack"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    reason = "packing stays alone";
    return isa<graph::PackOp>(candidate.ops.back()) &&
           (candidate.ops.size() == 1 || (candidate.ops.size() == 2 && isWidening(candidate.ops.front())));
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;
};

/// Builds the kernel of one graph.pack.
class PackKernel {
public:
  PackKernel(graph::FusionOp fusion, graph::PackOp pack, OpBuilder &builder, StringRef name, int64_t lanes);

  /// Panels are rows of the operand, or pairs of them, one after the other.
  Launch buildRows();
  /// Panels are the operand's transpose, in square tiles.
  Launch buildTransposed();

private:
  /// `width` columns of one row of the matrix, as `element`.
  Value loadRow(TileBuilder &builder, Value batch, Value row, Value column);

  graph::FusionOp fusion;
  OpBuilder &moduleBuilder;
  StringRef name;
  bool transposed;
  int64_t lanes, batch, rows, columns, width, group, panels, groups;
  /// Of the operand in memory, and packed.
  Type source, element;
};

} // namespace

PackKernel::PackKernel(graph::FusionOp fusion, graph::PackOp pack, OpBuilder &builder, StringRef name, int64_t lanes)
    : fusion(fusion), moduleBuilder(builder), name(name), transposed(pack.getTransposed()), lanes(lanes),
      width(pack.getWidth()), group(pack.getGroup()) {
  auto type = cast<RankedTensorType>(pack.getOperand().getType());
  batch = type.getDimSize(0);
  rows = type.getDimSize(transposed ? 2 : 1);
  columns = type.getDimSize(transposed ? 1 : 2);
  panels = llvm::divideCeil(columns, width);
  groups = llvm::divideCeil(rows, group);
  element = type.getElementType();
  source = getElementTypeOrSelf(fusion.getInputs().front().getType());
}

Value PackKernel::loadRow(TileBuilder &builder, Value batchIndex, Value row, Value column) {
  bool inbounds = columns % width == 0;
  Value tile = transposed ? builder.load(builder.input(0, {batch, columns, rows}), {batchIndex, column, row}, {1}, {width}, inbounds)
                          : builder.load(builder.input(0, {batch, rows, columns}), {batchIndex, row, column}, {2}, {width}, inbounds);
  return builder.convert(tile, element);
}

/// Integers of so many bits with the bits of a tile.
static Value asIntegers(TileBuilder &builder, Value tile, unsigned bits) {
  return arith::BitcastOp::create(builder, withElement(tile.getType(), builder.getIntegerType(bits)), tile);
}

static Value extend(TileBuilder &builder, Value tile, unsigned bits) {
  return arith::ExtUIOp::create(builder, withElement(tile.getType(), builder.getIntegerType(bits)), tile);
}

/// Pairs of 8-bit floats, as i16, to pairs of bf16, as i32.
static Value widenPairs(TileBuilder &builder, Value pairs, Type source) {
  auto widen = [&](Value half) {
    Value bytes = arith::TruncIOp::create(builder, withElement(half.getType(), builder.getI8Type()), half);
    Value number = arith::BitcastOp::create(builder, withElement(half.getType(), source), bytes);
    return extend(builder, asIntegers(builder, builder.convert(number, builder.getBF16Type()), 16), 32);
  };
  Value upper = arith::ShRUIOp::create(builder, pairs, builder.constant(pairs.getType(), 8));
  Value low = widen(pairs), high = widen(upper);
  return arith::OrIOp::create(builder, low, arith::ShLIOp::create(builder, high, builder.constant(high.getType(), 16)));
}

Launch PackKernel::buildRows() {
  constexpr int64_t step = 16;
  int64_t blocks = llvm::divideCeil(groups, step);
  // Neighbouring instances read neighbouring memory.
  TileBuilder builder(moduleBuilder, fusion, name, {batch, blocks, panels});
  Value b = builder.programId(0), panel = builder.programId(2), zero = builder.index(0);
  Value begin = builder.mulIndex(builder.programId(1), step);
  Value end = builder.minIndex(builder.addIndex(begin, builder.index(step)), builder.index(groups));
  Value column = builder.mulIndex(panel, width);
  Type word = builder.getI32Type();
  Value target = builder.operand(Operand::Output, 0, MemRefType::get({batch, panels, groups, width}, group == 1 ? element : word));
  builder.loop(begin, end, 1, {}, [&](Value line, ValueRange) {
    Value tile;
    if (group == 1) {
      tile = loadRow(builder, b, line, column);
    } else {
      Value first = builder.mulIndex(line, 2), second = builder.addIndex(first, builder.index(1));
      auto bits = [&](Value row) {
        return extend(builder, asIntegers(builder, loadRow(builder, b, row, column), 16), 32);
      };
      Value low = bits(first), high;
      if (rows % 2 == 0) {
        high = bits(second);
      } else {
        // The last row of an odd number has zeros beside it.
        Value last = builder.index(rows - 1);
        high = bits(builder.minIndex(second, last));
        Value exists = arith::CmpIOp::create(builder, arith::CmpIPredicate::ule, second, last);
        high = builder.select(exists, high, builder.constant(high.getType(), 0));
      }
      Value sixteen = builder.constant(high.getType(), 16);
      tile = arith::OrIOp::create(builder, low, arith::ShLIOp::create(builder, high, sixteen));
    }
    builder.store(tile, target, {b, panel, line, zero}, {3}, /*inbounds=*/true);
    return SmallVector<Value>();
  });
  return builder.finish();
}

Launch PackKernel::buildTransposed() {
  // One element of the transpose is a group.
  int64_t side = std::min(lanes, width), blocks = llvm::divideCeil(groups, side);
  bool widens = source != element;
  Type word = group == 1 ? element : IntegerType::get(fusion.getContext(), 32);
  Type sourceWord = group == 1 ? source : IntegerType::get(fusion.getContext(), widens ? 16 : 32);
  TileBuilder builder(moduleBuilder, fusion, name, {batch, panels, blocks});
  Value b = builder.programId(0), panel = builder.programId(1), line = builder.mulIndex(builder.programId(2), side);
  Value from = builder.operand(Operand::Input, 0, MemRefType::get({batch, columns, groups}, sourceWord));
  Value target = builder.operand(Operand::Output, 0, MemRefType::get({batch, panels, groups, width}, word));
  bool inbounds = groups % side == 0;
  for (int64_t part = 0; part < width; part += side) {
    Value column = builder.addIndex(builder.mulIndex(panel, width), builder.index(part));
    Value tile = builder.load(from, {b, column, line}, {1, 2}, {side, side}, inbounds && columns % width == 0);
    Value result = builder.transpose(tile);
    if (widens)
      result = group == 1 ? builder.convert(result, element) : widenPairs(builder, result, source);
    builder.store(result, target, {b, panel, line, builder.index(part)}, {2, 3}, inbounds);
  }
  return builder.finish();
}

FailureOr<LoweredFusion> PackFamily::lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                           const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  std::string reason;
  auto pack = accepts({ops, {}}, reason) ? cast<graph::PackOp>(ops.back()) : graph::PackOp();
  if (!pack || !isa<BlockArgument>(ops.front()->getOperand(0)) || (ops.size() == 2 && pack.getOperand() != ops.front()->getResult(0)))
    return fusion.emitOpError("of family 'pack' must hold one graph.pack of an input");
  auto type = cast<RankedTensorType>(pack.getOperand().getType());
  int64_t group = pack.getGroup(), bits = type.getElementTypeBitWidth();
  if (group != 1 && (group != 2 || bits != 16))
    return fusion.emitOpError("packs groups of ") << group << " elements of type " << type.getElementType()
                                                  << "; there are kernels for single elements and pairs of 16 bits";
  PackKernel kernel(fusion, pack, builder, name, traits.lanes);
  LoweredFusion lowered;
  bool pairsAreWords = group == 1 || type.getDimSize(2) % 2 == 0;
  lowered.launches.push_back(pack.getTransposed() && pairsAreWords ? kernel.buildTransposed() : kernel.buildRows());
  return lowered;
}

const KernelFamily *kernels::getPackFamily() {
  static const PackFamily family;
  return &family;
}
