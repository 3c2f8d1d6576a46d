//===- EmitMesh.h - What concerns several ranks --------------------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/step/StepDialect.h"
#include "runtime/executable/Executable.pb.h"

namespace primus {

/// Writes the mesh, unless it has one rank only.
void emitMesh(graph::MeshAttr mesh, executable::Executable &result);

/// How a tensor whose type on one rank is `type` lies on the mesh; nothing if every rank holds all of it (and for axes of one rank). `mesh` and
/// `layout` may be null.
std::optional<executable::Layout> describeLayout(graph::MeshAttr mesh, graph::LayoutAttr layout, mlir::ShapedType type);

/// Writes all but the references: kind, axes, and the parts' shapes and dimensions.
void emitCollective(step::CollectiveOp collective, executable::DataType dataType, executable::Collective &result);

} // namespace primus
