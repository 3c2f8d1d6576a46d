//===- RowEvaluator.h - Graph values at a position ---------------*- C++ -*-===//
//
// Computes a tile of a value of a fusion by following its definition backwards: each op asks its operands for the tiles that it needs, and a
// broadcast, slice or gather asks at another position. Iteration and the order of passes belong to the families.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/Elementwise.h"
#include "passes/kernels/TileBuilder.h"

namespace primus::kernels {

/// Where a value is wanted.
struct Position {
  /// With a column: index over all dimensions but the last. Without: index over all dimensions, and the result is a scalar.
  Value row = {};
  /// First column of a rank-1 tile, or null.
  Value column = {};
  /// Columns of the tile.
  int64_t width = 0;
  /// `row` is the row that the kernel is at, so that its reductions are known here.
  bool atRow = false;
  /// The value's dimensions are one (index in `column`, `row` unused); only where every value has the same elements in the same order.
  bool flat = false;
  /// The tile lies within the row.
  bool inbounds = false;
  /// The tile's columns are those of whole blocks: it is [blocks, block], or [blocks, 1] of values with an element for each block of the row.
  enum { None, Elements, Blocks } blocks = None;
};

/// How a kernel reads an input, to know what may share its buffer.
struct InputUse {
  bool isRead = false;
  /// The last pass over the row that reads it.
  unsigned lastPass = 0;
  /// Also read elsewhere than at the position of what is computed.
  bool elsewhere = false;
};

/// Says whether values can be computed by ops of a candidate, from what lies outside of it, by RowEvaluator.
/// Reductions must be over the last dimension and used at their own row only.
class RowChecker {
public:
  RowChecker(const llvm::SmallPtrSetImpl<mlir::Operation *> &ops, int64_t rows, std::string &reason)
      : ops(ops), rows(rows), reason(reason) {}

  /// `tile`, `atRow` and `flat` are the sort of position at which the value is wanted (see Position).
  bool check(Value value, bool tile, bool atRow, bool flat);
  /// States that the value is known wherever it is asked for.
  void give(Value value) { given.insert(value); }

private:
  const llvm::SmallPtrSetImpl<mlir::Operation *> &ops;
  int64_t rows;
  std::string &reason;
  llvm::DenseSet<std::pair<Value, unsigned>> known;
  llvm::DenseSet<Value> given;
};

class RowEvaluator {
public:
  explicit RowEvaluator(TileBuilder &builder) : builder(builder) {}

  Value evaluate(Value value, Position position);

  /// States how rows are cut into blocks, before tiles of blocks are asked for.
  void setBlocks(int64_t columns, int64_t size) {
    rowLength = columns;
    blockSize = size;
  }
  /// The shape of a tile at a position with a column.
  llvm::SmallVector<int64_t> getTile(const Position &position) const;
  /// A buffer of so many elements, seen under the shape in which a position with a column and without `flat` indexes it, and the place there.
  struct Place {
    llvm::SmallVector<int64_t> shape;
    llvm::SmallVector<Value> indices;
    llvm::SmallVector<int64_t> dims;
  };
  Place getPlace(const Position &position, int64_t elements, int64_t columns);

  /// States the value of a reduction at the present row.
  void setRowValue(Value value, Value scalar) { rowValues[value] = scalar; }
  /// States a value's tile at a position.
  void setTile(Value value, const Position &position, Value tile) { tiles[{value, position.row, position.column}] = tile; }
  /// Forgets tiles (not scalars): at the start of each loop body.
  void startTiles() { tiles.clear(); }
  /// Where the scalars of the present row are computed: before `loop`, while its body is built; null: where they are asked for.
  void setRowScope(mlir::Operation *loop) { rowScope = loop; }
  /// Numbers the pass over the row that is being built.
  void startPass(unsigned number) { pass = number; }
  InputUse getUse(unsigned input) const { return uses.lookup(input); }

private:
  Value compute(Value value, Position position);
  Value load(mlir::BlockArgument argument, Position position);
  Value broadcast(graph::BroadcastOp op, Position position);
  /// Of values with an element for each block, or to a tile of blocks.
  Value broadcastBlocks(graph::BroadcastOp op, Position position);
  Value gather(graph::GatherOp op, Position position);
  Value slice(graph::SliceOp op, Position position);
  Value transpose(graph::TransposeOp op, Position position);
  Value iota(graph::IotaOp op, Position position);
  /// mapIndex, computed where the row's scalars are.
  Value mapRow(Value row, llvm::ArrayRef<int64_t> from, llvm::ArrayRef<int64_t> to, llvm::ArrayRef<int64_t> map,
               llvm::ArrayRef<int64_t> offset = {});

  TileBuilder &builder;
  llvm::DenseMap<Value, Value> rowValues;
  using Key = std::tuple<Value, Value, Value>;
  llvm::DenseMap<Key, Value> tiles, scalars;
  llvm::DenseMap<unsigned, InputUse> uses;
  mlir::Operation *rowScope = nullptr;
  unsigned pass = 0;
  int64_t rowLength = 0, blockSize = 0;
};

/// Linear index over dimensions `to` of the element whose linear index over dimensions `from` is `linear`, where dimension d of `from` is
/// dimension `map[d]` of `to`, moved by `offset[d]`, or absent (-1).
Value mapIndex(TileBuilder &builder, Value linear, llvm::ArrayRef<int64_t> from, llvm::ArrayRef<int64_t> to, llvm::ArrayRef<int64_t> map,
               llvm::ArrayRef<int64_t> offset = {});

} // namespace primus::kernels
