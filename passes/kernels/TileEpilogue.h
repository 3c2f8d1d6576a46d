//===- TileEpilogue.h - What follows from a composite's results --*- C++ -*-===//
//
// Kernels of composites (attention, rotations) compute tensors tile by tile. An epilogue is what else is made of such a tile: values with the
// same elements (quantisation by a scale that is known), and largest values of what is computed so, over rows, columns or all of the tensor
// (the choice of scales), of which an instance finds a part (see PartialResults.h). Where an instance has all columns of a head, it knows their
// largest value, and quantises by it.
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
    /// The value has one element for each head of a row.
    bool isOfHead() const { return numElements(value) != numElements(base); }
  };
  llvm::SmallVector<Element> elements;
  llvm::SmallVector<Measure> measures;
  /// Largest values of the columns of a head, on which elements depend, in program order.
  llvm::SmallVector<std::pair<graph::ReduceOp, Value>> ofHeads;
  /// Outputs that follow from the measures.
  llvm::SmallVector<std::pair<unsigned, Value>> combined;

  /// A plan for the outputs that are none of the core's other results. `bases` are [..., heads, head size]: their last two dimensions are the
  /// columns. `hasHeads` says whether an instance has all columns of a head. If there is no plan, `reason` says why.
  static std::optional<TileEpiloguePlan> get(const Candidate &candidate, mlir::Operation *core, llvm::ArrayRef<Value> bases, bool hasHeads,
                                             std::string &reason);

  /// Whether anything follows from the base.
  bool uses(Value base) const;
};

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
  TileEpilogue(TileBuilder &builder, graph::FusionOp fusion, const TileEpiloguePlan &plan, Value base);

  /// Starts with a tile of the base.
  void start(const TilePlace &place, Value tile);
  /// What a maximum over a head is of, at the present tile, and its result for the tile's rows, [rows, 1], which has to be known before what
  /// depends on it is asked for.
  Value getOperand(graph::ReduceOp ofHead);
  void setHead(graph::ReduceOp ofHead, Value largest) { heads[ofHead.getResult()] = largest; }
  llvm::ArrayRef<graph::ReduceOp> getOfHeads() const { return ofHeads; }
  /// Stores the outputs at the present tile, but for those that have one element for each head.
  void store();
  /// Stores those, at the rows of the present tile.
  void storeHeads();
  /// What is measured at the present tile, in the type in which maxima are found.
  Value getMeasured(const Measure &measure);

  llvm::ArrayRef<Measure> getMeasures() const { return measures; }

private:
  Value evaluate(Value value);
  bool isOfHead(Value value) const;
  /// Where a value lies, which may have one element for each head.
  TilePlace getPlace(Value value) const;
  Value evaluateScalar(Value value);
  void findScalars(Value value);

  TileBuilder &builder;
  graph::FusionOp fusion;
  llvm::SmallVector<TileEpiloguePlan::Element> elements;
  llvm::SmallVector<Measure> measures;
  llvm::SmallVector<graph::ReduceOp> ofHeads;
  Value base;
  TilePlace place;
  llvm::DenseMap<Value, Value> tiles, heads, scalars;
};

} // namespace primus::kernels
