//===- FunctionPlacer.h - One rank's form of functions -----------*- C++ -*-===//

#pragma once

#include "ir/graph/Localizer.h"
#include "passes/placement/ReshardPlan.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"

namespace primus::placement {

/// `type` with the shape that one rank has.
mlir::RankedTensorType getLocalType(mlir::Type type, graph::MeshAttr mesh);

/// Builds the collectives for a reshard of `value`, which is local, to `to` at the builder's insertion point. Each has
/// the reshard's reason, and a remark in `function`.
mlir::Value buildCollectives(mlir::OpBuilder &builder, mlir::Value value, graph::ReshardOp reshard,
                             graph::MeshAttr mesh, mlir::func::FuncOp function);

/// Rebuilds a layer function on local shapes: ops say themselves what one rank does for them, reshards become
/// collectives.
class FunctionPlacer : public graph::Localizer {
public:
  FunctionPlacer(mlir::func::FuncOp function, graph::MeshAttr mesh)
      : function(function), mesh(mesh), builder(function.getContext()) {}

  mlir::LogicalResult run();
  /// After run(): the places in the mesh that the function was given as further arguments, in order.
  llvm::ArrayRef<mlir::ArrayAttr> getPlaces() const { return places; }

  mlir::Value getAxisIndex(mlir::ArrayAttr axes) override;
  int64_t getSize(mlir::ArrayAttr axes) override { return *mesh.getGroupSize(axes); }

private:
  mlir::LogicalResult visit(mlir::Operation &op);

  mlir::func::FuncOp function;
  graph::MeshAttr mesh;
  mlir::OpBuilder builder;
  mlir::IRMapping mapping;
  mlir::Block *body = nullptr;
  llvm::SmallVector<mlir::ArrayAttr> places;
  llvm::SmallVector<mlir::Value> placeArguments;
};

/// Name and type of the constant that says where in the groups over `axes` a rank is: `axis_index.tp`, an i32 scalar.
std::string getPlaceName(mlir::ArrayAttr axes);
mlir::RankedTensorType getPlaceType(mlir::MLIRContext *context);

} // namespace primus::placement
