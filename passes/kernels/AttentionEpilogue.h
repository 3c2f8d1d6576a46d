//===- AttentionEpilogue.h - What follows from attention ---------*- C++ -*-===//

#pragma once

#include "passes/kernels/AttentionTiles.h"
#include "passes/kernels/TileEpilogue.h"

namespace primus::kernels {

/// Writes what follows from a tensor [batch, rows, heads, head size], of which an instance has a block of rows of one head.
class AttentionEpilogue {
public:
  /// Adds temporaries for what the instances of a kernel with `tiling` find.
  AttentionEpilogue(const TileEpiloguePlan &plan, Value base, const AttentionTiling &tiling, LoweredFusion &lowered);

  /// Whether anything is to be written.
  bool isNeeded() const { return plan.uses(base); }
  /// The element type of the tiles.
  Type getElement() const { return mlir::getElementTypeOrSelf(base.getType()); }
  /// Writes it for the rows from `row` on, whose tiles are those of the tiling's head tiles.
  void write(TileBuilder &builder, Value batch, Value row, Value head, llvm::ArrayRef<Value> tiles) const;

  /// One per measure of the base.
  llvm::ArrayRef<PartialResult> getPartials() const { return partials; }

private:
  const TileEpiloguePlan &plan;
  Value base;
  const AttentionTiling &tiling;
  llvm::SmallVector<PartialResult> partials;
};

} // namespace primus::kernels
