//===- TileEpilogue.h - What follows from a composite's results --*- C++ -*-===//
//
// Kernels of composites (attention, rotations) compute tensors tile by tile. An epilogue is what else is made of such a tile: values with the
// same elements (quantisation by a scale that is known), and largest values of what is computed so, over rows, columns or all of the tensor
// (the choice of scales), of which an instance finds a part (see PartialResults.h).
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
  };
  llvm::SmallVector<Element> elements;
  llvm::SmallVector<Measure> measures;
  /// Outputs that follow from the measures.
  llvm::SmallVector<std::pair<unsigned, Value>> combined;

  /// A plan for the outputs that are none of the core's other results. `bases` are [..., heads, head size]: their last two dimensions are the
  /// columns. If there is none, `reason` says why.
  static std::optional<TileEpiloguePlan> get(const Candidate &candidate, mlir::Operation *core, llvm::ArrayRef<Value> bases, std::string &reason);

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

  /// Starts with a tile of the base and stores the outputs there.
  void store(const TilePlace &place, Value tile);
  /// What is measured at the present tile, in the type in which maxima are found.
  Value getMeasured(const Measure &measure);

  llvm::ArrayRef<Measure> getMeasures() const { return measures; }

private:
  Value evaluate(Value value);
  Value evaluateScalar(Value value);
  void findScalars(Value value);

  TileBuilder &builder;
  graph::FusionOp fusion;
  llvm::SmallVector<TileEpiloguePlan::Element> elements;
  llvm::SmallVector<Measure> measures;
  Value base;
  TilePlace place;
  llvm::DenseMap<Value, Value> tiles, scalars;
};

} // namespace primus::kernels
