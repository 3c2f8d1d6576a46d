//===- Layout.h - Layouts as passes work with them ---------------*- C++ -*-===//
//
// The contents of a #graph.layout, taken apart. Partial values are sums, apart from the maxima that a step collects.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"

#include "llvm/ADT/SmallVector.h"

namespace primus::placement {

/// On a graph.reshard or a collective: what it is needed for.
inline constexpr llvm::StringLiteral kReasonAttr = "graph.reason";

/// Mesh axes, major first.
using Axes = llvm::SmallVector<mlir::StringAttr, 2>;

struct Layout {
  /// Per dimension: the axes that split it.
  llvm::SmallVector<Axes, 4> dims;
  /// The axes over which the value is a pending sum, in the mesh's order.
  Axes partial;
  /// The value is the largest of what these axes' ranks have, not their sum. A whole value is that, too.
  bool maximum = false;

  Layout() = default;
  /// Every rank has the whole tensor of `rank` dimensions.
  explicit Layout(int64_t rank) : dims(rank) {}
  /// The layout in a tensor's type; whole if it has none.
  explicit Layout(mlir::Type type);

  bool operator==(const Layout &) const = default;
  bool isWhole() const;
  /// True if `axis` splits a dimension.
  bool splits(mlir::StringAttr axis) const;
  /// The same without pending sums.
  Layout reduced() const;

  graph::LayoutAttr getAttr(mlir::MLIRContext *context) const;
  /// `type` in this layout.
  mlir::RankedTensorType apply(mlir::Type type) const;
  /// As in a type, for messages.
  std::string describe() const;
};

/// What `axes` divide a dimension by.
int64_t getGroupSize(graph::MeshAttr mesh, llvm::ArrayRef<mlir::StringAttr> axes);
/// Sorted in the mesh's order, without doubles.
Axes sortAxes(graph::MeshAttr mesh, llvm::ArrayRef<mlir::StringAttr> axes);
/// How many axes two lists begin with in common.
size_t countCommonPrefix(llvm::ArrayRef<mlir::StringAttr> a, llvm::ArrayRef<mlir::StringAttr> b);
/// `tp`, `(cp, tp)`.
std::string describe(llvm::ArrayRef<mlir::StringAttr> axes);

} // namespace primus::placement
