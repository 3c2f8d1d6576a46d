//===- Collectives.cpp - What moves between ranks -------------------------===//

#include "ir/graph/GraphDialect.h"
#include "ir/step/StepDialect.h"
#include "runtime/executable/CollectiveKind.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus::step;

#include "ir/step/StepEnums.cpp.inc"

static primus::graph::MeshAttr getMesh(CollectiveOp op) {
  auto module = op->getParentOfType<ModuleOp>();
  return module ? module->getAttrOfType<primus::graph::MeshAttr>(primus::graph::kMeshAttr) : primus::graph::MeshAttr();
}

int64_t CollectiveOp::getGroupSize() {
  int64_t size = 1;
  for (auto axis : getAxes().getAsRange<StringAttr>())
    size *= *getMesh(*this).getSize(axis);
  return size;
}

/// The dialect's kinds are the executable format's, in its order.
static_assert(static_cast<int>(CollectiveKind::AllReduce) == static_cast<int>(primus::runtime::CollectiveKind::AllReduce) &&
              static_cast<int>(CollectiveKind::AllToAll) == static_cast<int>(primus::runtime::CollectiveKind::AllToAll) &&
              static_cast<int>(CollectiveKind::Block) == static_cast<int>(primus::runtime::CollectiveKind::Block));

int64_t CollectiveOp::getBytesSent() {
  int64_t bytes = 0;
  for (Value source : getSources())
    bytes += getByteSize(cast<MemRefType>(source.getType()));
  return primus::runtime::getSentBytes(static_cast<primus::runtime::CollectiveKind>(getKind()), bytes, getGroupSize(), getShift());
}

/// The target that `kind` makes of a source, along the dimensions `dim` and `concat`; null if these do not allow it.
static MemRefType getTargetType(CollectiveKind kind, MemRefType source, int64_t ranks, int64_t dim, int64_t concat) {
  SmallVector<int64_t> shape(source.getShape());
  auto isDim = [&](int64_t number) { return number >= 0 && number < source.getRank(); };
  switch (kind) {
  case CollectiveKind::AllReduce:
  case CollectiveKind::Permute:
    return source;
  case CollectiveKind::AllGather:
    if (!isDim(dim))
      return {};
    shape[dim] *= ranks;
    break;
  case CollectiveKind::ReduceScatter:
  case CollectiveKind::Block:
    if (!isDim(dim) || shape[dim] % ranks != 0)
      return {};
    shape[dim] /= ranks;
    break;
  case CollectiveKind::AllToAll:
    if (!isDim(dim) || !isDim(concat) || shape[dim] % ranks != 0)
      return {};
    shape[dim] /= ranks;
    shape[concat] *= ranks;
    break;
  }
  return MemRefType::get(shape, source.getElementType());
}

LogicalResult CollectiveOp::verify() {
  primus::graph::MeshAttr mesh = getMesh(*this);
  if (!mesh)
    return emitOpError() << "needs the mesh in its module's attribute '" << primus::graph::kMeshAttr << "'";
  if (getAxes().empty())
    return emitOpError("needs at least one axis");
  for (auto axis : getAxes().getAsRange<StringAttr>())
    if (!mesh.getSize(axis))
      return emitOpError() << "is over axis " << axis << ", which the mesh " << mesh << " lacks";
  if (static_cast<int64_t>(getTicket()) < 0)
    return emitOpError() << "ticket must not be negative, but is " << static_cast<int64_t>(getTicket());

  CollectiveKind kind = getKind();
  bool reduces = kind == CollectiveKind::AllReduce || kind == CollectiveKind::ReduceScatter;
  if (reduces != getReduction().has_value())
    return emitOpError(reduces ? "needs a reduction: sum or max" : "reduces nothing, but has a reduction");
  bool hasDims = kind != CollectiveKind::AllReduce && kind != CollectiveKind::Permute;
  auto verifyDims = [&](StringRef name, std::optional<ArrayRef<int64_t>> dims, bool wanted) -> LogicalResult {
    if (dims.has_value() == wanted && (!wanted || dims->size() == getSources().size()))
      return success();
    return emitOpError() << (wanted ? "needs one entry per pair of buffers in '" : "has no use for '") << name << "'";
  };
  if (failed(verifyDims("dims", getDims(), hasDims)) ||
      failed(verifyDims("concat", getConcatDims(), kind == CollectiveKind::AllToAll)))
    return failure();
  if (getSources().empty())
    return emitOpError("needs a pair of buffers");

  Type element = cast<MemRefType>(getSources().front().getType()).getElementType();
  int64_t ranks = getGroupSize();
  for (auto [index, source, target] : llvm::enumerate(getSources(), getTargets())) {
    auto type = cast<MemRefType>(source.getType());
    if (type.getElementType() != element)
      return emitOpError() << "has buffers of " << element << " and " << type.getElementType()
                           << "; one element type travels together";
    MemRefType expected = getTargetType(kind, type, ranks, getDims() ? (*getDims())[index] : 0,
                                        getConcatDims() ? (*getConcatDims())[index] : 0);
    if (!expected)
      return emitOpError() << "cannot cut " << type << " into " << ranks << " blocks along the given dimension";
    if (target.getType() != expected)
      return emitOpError() << "makes " << expected << " of " << type << " on " << ranks << " ranks, but the target is "
                           << target.getType();
  }
  return success();
}
