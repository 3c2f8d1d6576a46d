//===- Copy.cpp - Concatenation and padding -------------------------------===//
//
// The family "copy": one graph.concat or graph.pad. Inputs are written to their place in the result, row by row; tiles never overrun a
// part of a row, since what lies behind it belongs to another part.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/TileBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class CopyFamily : public KernelFamily {
public:
  StringRef getName() const override { return "copy"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    reason = "copies of parts stay alone";
    return candidate.ops.size() == 1 && isa<graph::ConcatOp, graph::PadOp>(candidate.ops.front());
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;
};

} // namespace

/// Calls `body` with the first column and width of tiles that cover `columns` columns and no more.
static void forEachPiece(TileBuilder &builder, int64_t columns, const kernel::TargetTraits &traits, function_ref<void(Value, int64_t)> body) {
  int64_t width = (traits.isGpu() ? 16 : 4) * traits.lanes, covered = columns / width * width;
  if (covered > 0)
    builder.loop(builder.index(0), builder.index(covered), width, {}, [&](Value column, ValueRange) {
      body(column, width);
      return SmallVector<Value>();
    });
  if (traits.isGpu() && covered < columns)
    return body(builder.index(covered), columns - covered);
  for (int64_t piece = width / 2; piece > 0; piece /= 2)
    if ((columns - covered) & piece) {
      body(builder.index(covered), piece);
      covered += piece;
    }
}

/// Columns per instance: all, or a divisor of them where rows are long.
static int64_t chooseBlock(int64_t columns) {
  constexpr int64_t least = 1024, most = 8192;
  for (int64_t block = most; columns > most && block >= least; --block)
    if (columns % block == 0)
      return block;
  return columns;
}

/// Rows that an instance copies: on a GPU several, where they are short.
static int64_t chooseRows(int64_t rows, int64_t columns, const kernel::TargetTraits &traits) {
  constexpr int64_t elements = 4096;
  return traits.isGpu() ? std::min<int64_t>(llvm::PowerOf2Ceil(rows), std::max<int64_t>(1, elements / llvm::PowerOf2Ceil(columns))) : 1;
}

/// One launch per input: each is a box of columns of [outer, dimension * inner].
static LoweredFusion lowerConcat(graph::FusionOp fusion, graph::ConcatOp op, OpBuilder &moduleBuilder, StringRef name,
                                 const kernel::TargetTraits &traits) {
  ArrayRef<int64_t> shape = op.getType().getShape();
  int64_t dim = op.getDim(), outer = 1, inner = 1;
  for (int64_t size : shape.take_front(dim))
    outer *= size;
  for (int64_t size : shape.drop_front(dim + 1))
    inner *= size;
  int64_t total = shape[dim] * inner, offset = 0;
  LoweredFusion lowered;
  for (Value operand : op.getInputs()) {
    unsigned input = cast<BlockArgument>(operand).getArgNumber();
    int64_t columns = cast<RankedTensorType>(operand.getType()).getDimSize(dim) * inner, block = chooseBlock(columns);
    int64_t rows = chooseRows(outer, block, traits);
    TileBuilder builder(moduleBuilder, fusion, kernelName(name, lowered.launches.size()), {llvm::divideCeilSigned(outer, rows), columns / block});
    // Along the dimension in which a tile is long.
    if (traits.isGpu())
      builder.setWaves(rows > 1 ? 4 : 1, rows > 1 ? 1 : 4);
    Value row = builder.mulIndex(builder.programId(0), rows), first = builder.mulIndex(builder.programId(1), block);
    Value source = builder.input(input, {outer, columns}), target = builder.output(0, {outer, total});
    forEachPiece(builder, block, traits, [&](Value column, int64_t width) {
      Value from = builder.addIndex(first, column), to = builder.addIndex(from, builder.index(offset));
      SmallVector<int64_t> dims{0, 1}, tile{rows, width};
      if (rows == 1)
        dims = {1}, tile = {width};
      bool inbounds = outer % rows == 0;
      builder.store(builder.load(source, {row, from}, dims, tile, inbounds), target, {row, to}, dims, inbounds);
    });
    lowered.launches.push_back(builder.finish());
    offset += columns;
  }
  return lowered;
}

/// An instance writes one row of the result: zeros, the operand's row or zeros in its place, zeros.
static LoweredFusion lowerPad(graph::FusionOp fusion, graph::PadOp op, OpBuilder &moduleBuilder, StringRef name,
                              const kernel::TargetTraits &traits) {
  ArrayRef<int64_t> from = cast<RankedTensorType>(op.getOperand().getType()).getShape(), to = op.getType().getShape();
  ArrayRef<int64_t> low = op.getLow();
  int64_t columns = to.back(), sourceColumns = from.back(), before = low.back();
  int64_t rows = op.getType().getNumElements() / columns;
  int64_t sourceRows = cast<RankedTensorType>(op.getOperand().getType()).getNumElements() / sourceColumns;
  TileBuilder builder(moduleBuilder, fusion, name, {rows});
  Value row = builder.programId(0);
  Value source = builder.input(cast<BlockArgument>(op.getOperand()).getArgNumber(), {sourceRows, sourceColumns});
  Value target = builder.output(0, {rows, columns});

  // The operand's row, and whether there is one: coordinates below `low` wrap around and are too large.
  Value linear = row, sourceRow = builder.index(0), exists;
  int64_t stride = 1;
  for (int64_t d = static_cast<int64_t>(to.size()) - 2; d >= 0; --d) {
    Value coordinate = d == 0 ? linear : builder.remIndex(linear, to[d]);
    linear = builder.divIndex(linear, to[d]);
    if (from[d] != to[d]) {
      coordinate = arith::SubIOp::create(builder, coordinate, builder.index(low[d]));
      Value inside = arith::CmpIOp::create(builder, arith::CmpIPredicate::ult, coordinate, builder.index(from[d]));
      exists = exists ? arith::AndIOp::create(builder, exists, inside).getResult() : inside;
      coordinate = builder.select(inside, coordinate, builder.index(0));
    }
    sourceRow = builder.addIndex(sourceRow, builder.mulIndex(coordinate, stride));
    stride *= from[d];
  }

  auto zeros = [&](int64_t first, int64_t count) {
    forEachPiece(builder, count, traits, [&](Value column, int64_t width) {
      Value zero = builder.constant(getTileType({width}, op.getType().getElementType()), 0);
      builder.store(zero, target, {row, builder.addIndex(column, builder.index(first))}, {1}, true);
    });
  };
  zeros(0, before);
  forEachPiece(builder, sourceColumns, traits, [&](Value column, int64_t width) {
    Value tile = builder.load(source, {sourceRow, column}, {1}, {width}, true);
    if (exists)
      tile = builder.select(exists, tile, builder.constant(tile.getType(), 0));
    builder.store(tile, target, {row, builder.addIndex(column, builder.index(before))}, {1}, true);
  });
  zeros(before + sourceColumns, columns - before - sourceColumns);
  LoweredFusion lowered;
  lowered.launches.push_back(builder.finish());
  return lowered;
}

FailureOr<LoweredFusion> CopyFamily::lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                           const kernel::TargetTraits &traits) const {
  Operation &op = fusion.getBody().front().front();
  if (!llvm::all_of(op.getOperands(), llvm::IsaPred<BlockArgument>))
    return fusion.emitOpError("of family 'copy' must hold one op on inputs");
  if (auto concat = dyn_cast<graph::ConcatOp>(op))
    return lowerConcat(fusion, concat, builder, name, traits);
  if (auto pad = dyn_cast<graph::PadOp>(op); pad && pad.getType().getRank() > 0)
    return lowerPad(fusion, pad, builder, name, traits);
  return fusion.emitOpError("of family 'copy' must hold a graph.concat or graph.pad, but holds '") << op.getName() << "'";
}

const KernelFamily *kernels::getCopyFamily() {
  static const CopyFamily family;
  return &family;
}
