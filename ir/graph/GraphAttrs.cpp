//===- GraphAttrs.cpp - Mesh and layout attributes ------------------------===//

#include "ir/graph/GraphDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;
using namespace primus::graph;

#define GET_ATTRDEF_CLASSES
#include "ir/graph/GraphAttrs.cpp.inc"

void GraphDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "ir/graph/GraphAttrs.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Mesh
//===----------------------------------------------------------------------===//

int64_t MeshAttr::getNumRanks() const {
  return std::accumulate(getSizes().begin(), getSizes().end(), int64_t(1), std::multiplies<int64_t>());
}

std::optional<int64_t> MeshAttr::getSize(StringRef axis) const {
  for (auto [name, size] : llvm::zip_equal(getNames(), getSizes()))
    if (name.getValue() == axis)
      return size;
  return std::nullopt;
}

std::optional<int64_t> MeshAttr::getGroupSize(ArrayAttr axes) const {
  int64_t ranks = 1;
  for (StringRef axis : axes.getAsValueRange<StringAttr>()) {
    std::optional<int64_t> size = getSize(axis);
    if (!size)
      return std::nullopt;
    ranks *= *size;
  }
  return ranks;
}

LogicalResult MeshAttr::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<StringAttr> names,
                               ArrayRef<int64_t> sizes) {
  if (names.size() != sizes.size())
    return emitError() << "mesh has " << names.size() << " axis names but " << sizes.size() << " sizes";
  llvm::SmallPtrSet<Attribute, 8> seen;
  for (auto [name, size] : llvm::zip_equal(names, sizes)) {
    if (!seen.insert(name).second)
      return emitError() << "mesh axis " << name << " appears twice";
    if (size < 1)
      return emitError() << "mesh axis " << name << " has size " << size << "; it must be at least 1";
  }
  return success();
}

/// `<"dp" = 4, "tp" = 2>`.
Attribute MeshAttr::parse(AsmParser &parser, Type) {
  SmallVector<StringAttr> names;
  SmallVector<int64_t> sizes;
  SMLoc loc = parser.getCurrentLocation();
  auto parseAxis = [&]() {
    return failure(parser.parseAttribute(names.emplace_back()) || parser.parseEqual() ||
                   parser.parseInteger(sizes.emplace_back()));
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, parseAxis, " in mesh axes"))
    return {};
  return parser.getChecked<MeshAttr>(loc, parser.getContext(), names, sizes);
}

void MeshAttr::print(AsmPrinter &printer) const {
  printer << '<';
  llvm::interleaveComma(llvm::zip_equal(getNames(), getSizes()), printer, [&](auto axis) {
    auto [name, size] = axis;
    printer << name << " = " << size;
  });
  printer << '>';
}

//===----------------------------------------------------------------------===//
// Fp8
//===----------------------------------------------------------------------===//

LogicalResult Fp8Attr::verify(function_ref<InFlightDiagnostic()> emitError, Fp8Recipe recipe, Fp8Format, Fp8Encoding encoding,
                              Fp8Role, int64_t margin, int64_t history, Fp8History, bool) {
  if (recipe == Fp8Recipe::Mxfp8 && encoding == Fp8Encoding::Fnuz)
    return emitError() << "mxfp8 is defined for the encoding ocp only";
  if (history < 1)
    return emitError() << "history must be at least one step, but is " << history;
  // Beyond it a scale need not be a normal f32.
  constexpr int64_t largestMargin = 64;
  if (std::abs(margin) > largestMargin)
    return emitError() << "margin must be between " << -largestMargin << " and " << largestMargin << ", but is " << margin;
  return success();
}

Fp8Attr Fp8Attr::withRole(Fp8Role role) const {
  return get(getContext(), getRecipe(), getFormat(), getEncoding(), role, getMargin(), getHistory(), getAlgorithm(),
             getWideWgrad());
}

FloatType Fp8Attr::getLhsType() const {
  bool isFnuz = getEncoding() == Fp8Encoding::Fnuz;
  if (getRole() == Fp8Role::Forward || getFormat() == Fp8Format::E4M3)
    return getRhsType();
  return isFnuz ? FloatType(Float8E5M2FNUZType::get(getContext())) : Float8E5M2Type::get(getContext());
}

FloatType Fp8Attr::getRhsType() const {
  bool isFnuz = getEncoding() == Fp8Encoding::Fnuz;
  return isFnuz ? FloatType(Float8E4M3FNUZType::get(getContext())) : Float8E4M3FNType::get(getContext());
}

//===----------------------------------------------------------------------===//
// Layout
//===----------------------------------------------------------------------===//

LayoutAttr LayoutAttr::getReplicated(MLIRContext *context, int64_t rank) {
  SmallVector<ArrayAttr> axes(rank, ArrayAttr::get(context, {}));
  return get(context, StringAttr::get(context, "mesh"), axes, {}, {});
}

LayoutAttr LayoutAttr::withDim(int64_t dim, ArrayRef<Attribute> axes) const {
  SmallVector<ArrayAttr> all(getAxes());
  all[dim] = ArrayAttr::get(getContext(), axes);
  return get(getContext(), getMesh(), all, getPartialAxes(), getPartialKinds());
}

LayoutAttr LayoutAttr::withPartial(ArrayRef<StringAttr> axes, ArrayRef<ReduceKind> kinds) const {
  return get(getContext(), getMesh(), getAxes(), axes, kinds);
}

LogicalResult LayoutAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringAttr mesh,
                                 ArrayRef<ArrayAttr> axes, ArrayRef<StringAttr> partialAxes,
                                 ArrayRef<ReduceKind> partialKinds) {
  if (partialAxes.size() != partialKinds.size())
    return emitError() << "layout has " << partialAxes.size() << " partial axes but " << partialKinds.size()
                       << " reductions";
  llvm::SmallPtrSet<Attribute, 8> seen;
  for (ArrayAttr dim : axes)
    for (Attribute axis : dim) {
      if (!isa<StringAttr>(axis))
        return emitError() << "layout axes must be strings, but one is " << axis;
      if (!seen.insert(axis).second)
        return emitError() << "mesh axis " << axis << " splits two dimensions, or one twice";
    }
  for (StringAttr axis : partialAxes)
    if (!seen.insert(axis).second)
      return emitError() << "mesh axis " << axis << " is partial and appears elsewhere in the layout";
  return success();
}

LogicalResult LayoutAttr::verifyEncoding(ArrayRef<int64_t> shape, Type,
                                         function_ref<InFlightDiagnostic()> emitError) const {
  if (getAxes().size() != shape.size())
    return emitError() << "layout has axis lists for " << getAxes().size() << " dimensions, but the tensor has "
                       << shape.size();
  return success();
}

/// `<mesh, [["dp"], []], partial = {tp : sum}>`.
Attribute LayoutAttr::parse(AsmParser &parser, Type) {
  StringRef mesh;
  SmallVector<ArrayAttr> axes;
  SmallVector<StringAttr> partialAxes;
  SmallVector<ReduceKind> partialKinds;
  SMLoc loc = parser.getCurrentLocation();
  auto parsePartial = [&]() -> ParseResult {
    StringRef axis;
    if (parser.parseKeyword(&axis) || parser.parseColon())
      return failure();
    auto kind = FieldParser<ReduceKind>::parse(parser);
    if (failed(kind))
      return failure();
    partialAxes.push_back(StringAttr::get(parser.getContext(), axis));
    partialKinds.push_back(*kind);
    return success();
  };
  if (parser.parseLess() || parser.parseKeyword(&mesh) || parser.parseComma() ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                     [&]() { return parser.parseAttribute(axes.emplace_back()); }))
    return {};
  if (succeeded(parser.parseOptionalComma()))
    if (parser.parseKeyword("partial") || parser.parseEqual() ||
        parser.parseCommaSeparatedList(AsmParser::Delimiter::Braces, parsePartial))
      return {};
  if (parser.parseGreater())
    return {};
  return parser.getChecked<LayoutAttr>(loc, parser.getContext(), StringAttr::get(parser.getContext(), mesh), axes,
                                       partialAxes, partialKinds);
}

void LayoutAttr::print(AsmPrinter &printer) const {
  printer << '<' << getMesh().getValue() << ", [";
  llvm::interleaveComma(getAxes(), printer);
  printer << ']';
  if (isPartial()) {
    printer << ", partial = {";
    llvm::interleaveComma(llvm::zip_equal(getPartialAxes(), getPartialKinds()), printer, [&](auto entry) {
      auto [axis, kind] = entry;
      printer << axis.getValue() << " : " << stringifyReduceKind(kind);
    });
    printer << '}';
  }
  printer << '>';
}
