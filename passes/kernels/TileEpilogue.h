//===- TileEpilogue.h - What follows from a composite's results --*- C++ -*-===//
//
// Kernels of composites (attention, rotations) compute tensors tile by tile. An epilogue is what else is made of such a tile: values with the
// same elements (quantisation by a scale that is known), and largest values of what is computed so, over rows, columns or all of the tensor
// (the choice of scales), of which an instance finds a part (see PartialResults.h). Where an instance has all columns of a head, it knows the
// largest values of blocks of them, and quantises by those.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/PartialResults.h"

namespace primus::kernels {

/// Over which elements of a tensor [rows, columns] a maximum goes.
enum class Extent { All, Row, Column };

/// The largest values of something.
struct Measure {
  /// The op whose result they are.
  graph::ReduceOp reduce;
  /// Has the elements of `base`.
  Value measured, base;
  Extent extent;
};

/// What a candidate computes besides one op, its core.
struct TileEpiloguePlan {
  /// A result of the core, or an operand of it, is the base of what is computed from its elements. An output may be the base itself.
  struct Element {
    unsigned output;
    Value value, base;
    /// The value has one element for each block of a head's columns.
    bool isOfBlocks() const { return numElements(value) != numElements(base); }
  };
  llvm::SmallVector<Element> elements;
  llvm::SmallVector<Measure> measures;
  /// Largest values of blocks of a head's columns that are needed in the tiles of a base, in program order.
  llvm::SmallVector<std::pair<graph::ReduceOp, Value>> ofBlocks;
  /// Outputs that follow from the measures.
  llvm::SmallVector<std::pair<unsigned, Value>> combined;

  /// A plan for the outputs that are none of the core's other results. `bases` are [..., heads, head size]: their last two dimensions are the
  /// columns. `hasHeads` says whether an instance has all columns of a head. If there is no plan, `reason` says why.
  static std::optional<TileEpiloguePlan> get(const Candidate &candidate, mlir::Operation *core, llvm::ArrayRef<Value> bases, bool hasHeads,
                                             std::string &reason);

  /// Whether anything follows from the base.
  bool uses(Value base) const;
};

/// Whether `value`, which is no result of the core, is the base's elements read from memory, in a fusion or before there is one.
bool isReadAs(Value value, Value base);

/// Where a tile lies in a tensor that is seen under some shape.
struct TilePlace {
  llvm::SmallVector<int64_t> shape;
  llvm::SmallVector<Value> indices;
  llvm::SmallVector<int64_t> dims, tile;
  bool inbounds;
};

/// Computes what follows from one base of a plan, tile by tile.
class TileEpilogue {
public:
  /// Scalars are loaded and computed at the builder's present place.
  TileEpilogue(TileBuilder &builder, const TileEpiloguePlan &plan, Value base);

  /// Starts with a tile of the base.
  void start(const TilePlace &place, Value tile);
  /// What a maximum over blocks is of, at the present tile, and its result for a block of the tile's rows, [rows, 1], which has to be known before
  /// what depends on it is asked for.
  Value getOperand(graph::ReduceOp reduce);
  void setLargest(graph::ReduceOp reduce, int64_t block, Value largest) { ofBlock[{reduce.getResult(), block}] = largest; }
  llvm::ArrayRef<graph::ReduceOp> getOfBlocks() const { return ofBlocks; }
  /// Stores the outputs at the present tile, but for those that have one element for each block.
  void store();
  /// Stores those, at the rows of the present tile.
  void storeBlocks();
  /// What is measured at the present tile, in the type in which maxima are found.
  Value getMeasured(const Measure &measure);

  llvm::ArrayRef<Measure> getMeasures() const { return measures; }

private:
  Value evaluate(Value value);
  /// A value with one element for each block, at a block of the tile's rows.
  Value evaluateBlock(Value value, int64_t block);
  /// Such a value, repeated in the columns of its blocks.
  Value repeat(Value value);
  /// Blocks of a head.
  int64_t countBlocks(Value value) const { return numElements(value) * shapeOf(base).back() / numElements(base); }
  Value evaluateScalar(Value value);
  void findScalars(Value value, llvm::DenseSet<Value> &seen);

  TileBuilder &builder;
  llvm::SmallVector<TileEpiloguePlan::Element> elements;
  llvm::SmallVector<Measure> measures;
  llvm::SmallVector<graph::ReduceOp> ofBlocks;
  Value base;
  TilePlace place;
  llvm::DenseMap<Value, Value> tiles, scalars;
  llvm::DenseMap<std::pair<Value, int64_t>, Value> ofBlock;
};

} // namespace primus::kernels
