//===- LayerFunction.cpp - The calling convention of layers ----------------===//

#include "passes/LayerFunction.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace primus;

/// Names of the kinds, in the order of ArgKind.
static constexpr StringLiteral kArgKindNames[] = {"activation",  "parameter", "constant", "cotangent", "residual",
                                                  "accumulator", "gradient",  "moment",   "scalar"};

StringRef primus::stringifyArgKind(ArgKind kind) { return kArgKindNames[static_cast<unsigned>(kind)]; }

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

static StringRef getLayerEntry(func::FuncOp function, StringRef key) {
  auto entries = function->getAttrOfType<DictionaryAttr>(graph::kLayerAttr);
  auto entry = entries ? entries.getAs<StringAttr>(key) : StringAttr();
  return entry ? entry.getValue() : StringRef();
}

StringRef primus::getLayer(func::FuncOp function) { return getLayerEntry(function, "layer"); }
StringRef primus::getPart(func::FuncOp function) { return getLayerEntry(function, "part"); }

DictionaryAttr primus::getLayerAttr(MLIRContext *context, StringRef layer, StringRef part) {
  Builder b(context);
  return b.getDictionaryAttr(
      {b.getNamedAttr("layer", b.getStringAttr(layer)), b.getNamedAttr("part", b.getStringAttr(part))});
}

//===----------------------------------------------------------------------===//
// Arguments and results
//===----------------------------------------------------------------------===//

static std::optional<ArgKind> lookupArgKind(func::FuncOp function, unsigned index) {
  auto attribute = function.getArgAttrOfType<StringAttr>(index, kArgAttr);
  const auto *name = attribute ? llvm::find(kArgKindNames, attribute.getValue()) : std::end(kArgKindNames);
  if (name == std::end(kArgKindNames))
    return std::nullopt;
  return static_cast<ArgKind>(name - std::begin(kArgKindNames));
}

FailureOr<ArgKind> primus::getArgKind(func::FuncOp function, unsigned index) {
  if (std::optional<ArgKind> kind = lookupArgKind(function, index))
    return *kind;
  emitError(function.getArgument(index).getLoc())
      << "argument " << index << " of layer function '" << function.getName() << "' needs the attribute '" << kArgAttr
      << "', one of " << llvm::join(ArrayRef<StringLiteral>(kArgKindNames), ", ");
  return failure();
}

SmallVector<unsigned> primus::getArgsOfKind(func::FuncOp function, ArgKind kind) {
  SmallVector<unsigned> indices;
  for (unsigned index = 0, end = function.getNumArguments(); index < end; ++index)
    if (lookupArgKind(function, index) == kind)
      indices.push_back(index);
  return indices;
}

DictionaryAttr primus::getArgAttrs(MLIRContext *context, StringRef name, ArgKind kind, std::optional<unsigned> of) {
  Builder b(context);
  SmallVector<NamedAttribute> attributes = {b.getNamedAttr(kNameAttr, b.getStringAttr(name)),
                                            b.getNamedAttr(kArgAttr, b.getStringAttr(stringifyArgKind(kind)))};
  if (of)
    attributes.push_back(b.getNamedAttr(kOfAttr, b.getI64IntegerAttr(*of)));
  return b.getDictionaryAttr(attributes);
}

std::optional<unsigned> primus::getArgOf(func::FuncOp function, unsigned index) {
  auto attribute = function.getArgAttrOfType<IntegerAttr>(index, kOfAttr);
  return attribute ? std::optional<unsigned>(attribute.getInt()) : std::nullopt;
}

std::optional<unsigned> primus::getResultOf(func::FuncOp function, unsigned index) {
  auto attribute = function.getResultAttrOfType<IntegerAttr>(index, kOfAttr);
  return attribute ? std::optional<unsigned>(attribute.getInt()) : std::nullopt;
}

std::string primus::getArgName(func::FuncOp function, unsigned index) {
  StringRef name = getValueName(function.getArgument(index));
  return name.empty() ? "arg" + std::to_string(index) : name.str();
}

std::string primus::getResultName(func::FuncOp function, unsigned index) {
  if (auto name = function.getResultAttrOfType<StringAttr>(index, kNameAttr))
    return name.str();
  StringRef name = getValueName(function.getBody().front().getTerminator()->getOperand(index));
  return name.empty() ? "result" + std::to_string(index) : name.str();
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static NameLoc findNameLoc(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name;
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location inner : fused.getLocations())
      if (NameLoc name = findNameLoc(inner))
        return name;
  return {};
}

StringRef primus::getValueName(Value value) {
  if (NameLoc name = findNameLoc(value.getLoc()))
    return name.getName();
  auto argument = dyn_cast<BlockArgument>(value);
  auto function = argument ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp()) : func::FuncOp();
  auto name = function ? function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kNameAttr) : StringAttr();
  return name ? name.getValue() : StringRef();
}

Location primus::getDerivedLoc(Value value, StringRef suffix) {
  StringRef name = getValueName(value);
  if (name.empty())
    return value.getLoc();
  NameLoc loc = findNameLoc(value.getLoc());
  return NameLoc::get(StringAttr::get(value.getContext(), name + suffix), loc ? loc.getChildLoc() : value.getLoc());
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

bool primus::hasFloatElements(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<FloatType>(tensor.getElementType());
}

RankedTensorType primus::withElementType(Type type, Type element) {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape(), element, tensor.getEncoding());
}

Value primus::convertElements(OpBuilder &builder, Location loc, Value value, Type element) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getElementType() == element)
    return value;
  return graph::ConvertOp::create(builder, loc, withElementType(type, element), value);
}

int64_t primus::getBytes(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return llvm::divideCeil(tensor.getNumElements() * tensor.getElementTypeBitWidth(), 8);
}

SmallVector<graph::CallOp> primus::findCalls(func::FuncOp function) {
  SmallVector<graph::CallOp> calls;
  if (function)
    function->getParentOfType<ModuleOp>().walk([&](graph::CallOp call) {
      if (call.getCallee() == function.getName())
        calls.push_back(call);
    });
  return calls;
}

graph::CallOp primus::replaceCall(graph::CallOp call, func::FuncOp callee, ValueRange operands) {
  OpBuilder builder(call);
  auto updated = graph::CallOp::create(builder, call.getLoc(), callee.getResultTypes(), callee.getName(), operands, call.getInstance());
  call->replaceAllUsesWith(updated->getResults().take_front(call.getNumResults()));
  call.erase();
  return updated;
}

void primus::eraseDeadOps(func::FuncOp function) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}
