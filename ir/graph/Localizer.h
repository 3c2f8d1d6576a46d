//===- Localizer.h - What an op may ask when it is made local ----*- C++ -*-===//
//
// For the definitions of Shardable::localize.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"

#include "mlir/IR/Builders.h"

namespace primus::graph {

/// Where a rank is. Implemented by the pass that places a function on the mesh.
class Localizer {
public:
  virtual ~Localizer() = default;

  /// The rank's index in the group over these axes (major first): an i32 scalar.
  virtual mlir::Value getAxisIndex(mlir::ArrayAttr axes) = 0;
  /// Number of ranks in that group.
  virtual int64_t getSize(mlir::ArrayAttr axes) = 0;
};

/// The mesh axes that split dimension `dim` of a type with or without layout.
mlir::ArrayAttr getSplitAxes(mlir::RankedTensorType type, int64_t dim);

/// The position of a rank's block in dimension `dim` of the whole tensor, for a value whose type on one rank is `type`:
/// a scalar of `elementType` (an integer type).
mlir::Value buildBlockOffset(mlir::OpBuilder &builder, mlir::Location loc, mlir::RankedTensorType type, int64_t dim,
                             mlir::Type elementType, Localizer &localizer);

} // namespace primus::graph
