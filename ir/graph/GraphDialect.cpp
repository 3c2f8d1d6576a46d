//===- GraphDialect.cpp - Registration of the graph dialect ---------------===//

#include "ir/graph/GraphDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace primus::graph;

#include "ir/graph/GraphDialect.cpp.inc"
#include "ir/graph/GraphEnums.cpp.inc"
#include "ir/graph/GraphInterfaces.cpp.inc"

namespace {

/// Short names for attributes that most types and lines of a module would spell out.
struct AttributeAliases : OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;

  AliasResult getAlias(Attribute attribute, raw_ostream &os) const override {
    if (isa<MeshAttr>(attribute)) {
      os << "mesh";
      return AliasResult::FinalAlias;
    }
    auto layout = dyn_cast<LayoutAttr>(attribute);
    if (!layout)
      return AliasResult::NoAlias;
    // One entry per dimension, e.g. #layout_dp-cp_x_tp, or #layout_x_x_sum-tp for a value that is partial over tp.
    os << "layout";
    for (ArrayAttr axes : layout.getAxes()) {
      os << '_';
      llvm::interleave(axes.getAsValueRange<StringAttr>(), os, [&](StringRef axis) { os << axis; }, "-");
      if (axes.empty())
        os << 'x';
    }
    for (auto [axis, kind] : llvm::zip_equal(layout.getPartialAxes(), layout.getPartialKinds()))
      os << '_' << stringifyReduceKind(kind) << '-' << axis.getValue();
    return AliasResult::FinalAlias;
  }
};

} // namespace

void GraphDialect::initialize() {
  registerAttributes();
  addInterfaces<AttributeAliases>();
  addOperations<
#define GET_OP_LIST
#include "ir/graph/GraphOps.cpp.inc"
      >();
}
