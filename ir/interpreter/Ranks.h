//===- Ranks.h - Virtual ranks of the interpreter ----------------*- C++ -*-===//
//
// Which ranks there are, and which part of a tensor each of them has by a layout.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/interpreter/Tensor.h"

#include <memory>

namespace primus::interpreter {

/// Values are shared between variables, frames, calls and ranks, and never change.
using TensorRef = std::shared_ptr<const Tensor>;
/// One tensor per rank.
using RankValues = llvm::SmallVector<TensorRef, 1>;

/// The ranks of a mesh, numbered row-major: the last axis is the fastest. Without a mesh there is one.
class Ranks {
public:
  explicit Ranks(graph::MeshAttr mesh) : mesh(mesh) {}

  int64_t getCount() const { return mesh ? mesh.getNumRanks() : 1; }
  /// Whether these (strings) are axes of the mesh.
  bool hasAxes(mlir::ArrayAttr axes) const { return mesh && mesh.getGroupSize(axes); }
  /// The index of a rank in its group over these axes, which are axes of the mesh: row-major, the last one the fastest.
  int64_t getIndex(int64_t rank, llvm::ArrayRef<llvm::StringRef> axes) const;
  /// The ranks that agree with this one in all other axes, by their index.
  llvm::SmallVector<int64_t> getGroup(int64_t rank, llvm::ArrayRef<llvm::StringRef> axes) const;

  /// What a rank of a layout has of a tensor: its block; of a pending sum the whole on the first rank and zeros on the
  /// others, of a pending maximum the whole. All of it without a layout. Fails, with an error at `op`, if the tensor does
  /// not divide.
  mlir::FailureOr<Tensor> slice(mlir::Operation *op, const Tensor &whole, graph::LayoutAttr layout, int64_t rank) const;
  /// The tensor of which the ranks have these parts. Fails, with an error at `op`, if ranks that should have the same
  /// part differ; `what` names the value.
  mlir::FailureOr<Tensor> join(mlir::Operation *op, const llvm::Twine &what, llvm::ArrayRef<TensorRef> parts,
                               graph::LayoutAttr layout) const;
  /// The type of the whole, for a type of one rank with its layout.
  mlir::RankedTensorType getWholeType(mlir::RankedTensorType local) const;

private:
  /// The layout's axes are axes of the mesh.
  mlir::LogicalResult check(mlir::Operation *op, graph::LayoutAttr layout) const;
  /// Size and stride (in ranks) of an axis.
  std::pair<int64_t, int64_t> getAxis(llvm::StringRef axis) const;

  graph::MeshAttr mesh;
};

/// The layout of a type, null without one.
graph::LayoutAttr getLayout(mlir::Type type);

/// Block number `index` of `count` equal ones along a dimension.
Tensor takeBlock(const Tensor &tensor, int64_t dim, int64_t index, int64_t count);
/// Tensors one after the other along a dimension.
Tensor concatenate(llvm::ArrayRef<const Tensor *> tensors, int64_t dim);
/// Combines tensors of one shape element by element, in order.
Tensor combine(llvm::ArrayRef<const Tensor *> tensors, graph::ReduceKind kind);

} // namespace primus::interpreter
