//===- TileLayout.h - How a tile lies in vector registers --------*- C++ -*-===//

#pragma once

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/SmallVector.h"

namespace primus::codegen {

/// The type in which an element is kept in registers: bf16 as its bits (i16), 8-bit floats as theirs (i8), an index as i64, everything else as it is.
mlir::Type getStorageType(mlir::Type element);

/// A tile [R, C] (or [C]) is a list of rows times chunks one-dimensional vectors, row by row. The vectors have min(target lanes, C rounded
/// up to a power of two) lanes for every element type, so that conversions map vector to vector. Lanes beyond C in a row's last
/// chunk hold unspecified values. A column [R, 1] is kept as one row of R lanes: arithmetic on row statistics stays
/// vectorised, and exchanging the dimensions of a row or column costs nothing.
struct TileLayout {
  int64_t rows, columns;
  int64_t width, chunks;
  /// The tile is a column; `rows` is 1 and `columns` its number of rows.
  bool column;
  /// In registers.
  mlir::Type element;

  static TileLayout get(mlir::RankedTensorType type, int64_t lanes);

  int64_t size() const { return rows * chunks; }
  mlir::VectorType vectorType() const { return mlir::VectorType::get({width}, element); }
  /// Lanes of a row's chunk that belong to the tile.
  int64_t validLanes(int64_t chunk) const { return std::min(width, columns - chunk * width); }
};

/// The vectors of a tile in the order of its layout, or one scalar.
using Parts = llvm::SmallVector<mlir::Value>;

} // namespace primus::codegen
