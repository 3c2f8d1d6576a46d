//===- LayerFunction.cpp - A layer's forward function under construction --===//

#include "frontend/models/LayerFunction.h"

using namespace mlir;
using namespace primus;
using namespace primus::models;

std::string VariableInfo::variableName(StringRef instance) const {
  return isShared() ? name.substr(1) : (instance + "." + name).str();
}

LayerFunction::LayerFunction(ModuleOp module, StringRef layer, StringRef part, FloatType computeType)
    : builder(module.getContext()), computeType(computeType) {
  builder.setInsertionPointToEnd(module.getBody());
  std::string name = (layer + "." + part).str();
  function = func::FuncOp::create(builder, loc(name), name, builder.getFunctionType({}, {}));
  function->setAttr(graph::kLayerAttr,
                    builder.getDictionaryAttr({builder.getNamedAttr("layer", builder.getStringAttr(layer)),
                                               builder.getNamedAttr("part", builder.getStringAttr(part))}));
  function.setPrivate();
  builder.setInsertionPointToStart(function.addEntryBlock());
}

Location LayerFunction::loc(const Twine &name) { return NameLoc::get(builder.getStringAttr(name)); }

graph::InitAttr LayerFunction::normal(const spec::WeightInit &init) {
  SmallVector<NamedAttribute> params = {builder.getNamedAttr("std", builder.getF64FloatAttr(init.std()))};
  if (init.cutoff() > 0)
    params.push_back(builder.getNamedAttr("cutoff", builder.getF64FloatAttr(init.cutoff())));
  return graph::InitAttr::get(builder.getContext(), builder.getStringAttr("normal"), builder.getDictionaryAttr(params));
}

graph::InitAttr LayerFunction::filled(double value) {
  StringRef kind = value == 0 ? "zeros" : value == 1 ? "ones" : "constant";
  DictionaryAttr params;
  if (kind == "constant")
    params = builder.getDictionaryAttr(builder.getNamedAttr("value", builder.getF64FloatAttr(value)));
  return graph::InitAttr::get(builder.getContext(), builder.getStringAttr(kind), params);
}

Value LayerFunction::addArgument(LayerArgument::Kind kind, VariableInfo info, Type type) {
  Value argument = function.front().addArgument(type, loc(StringRef(info.name).ltrim('@')));
  arguments.push_back({kind, std::move(info)});
  return argument;
}

Value LayerFunction::activation(StringRef name, Type type, LogicalDims dims) {
  return addArgument(LayerArgument::Activation,
                     {name.str(), cast<RankedTensorType>(type), builder.getStrArrayAttr(dims), {}}, type);
}

Value LayerFunction::matrix(StringRef name, ArrayRef<int64_t> shape, LogicalDims dims, const spec::WeightInit &init) {
  Value value = parameter(name, shape, dims, normal(init), /*decay=*/true);
  arguments.back().info.initByDepth = init.by_depth();
  return value;
}

Value LayerFunction::parameter(StringRef name, ArrayRef<int64_t> shape, LogicalDims dims, graph::InitAttr init,
                               bool decay) {
  return addArgument(LayerArgument::Parameter,
                     {name.str(), tensor(shape, builder.getF32Type()), builder.getStrArrayAttr(dims), init, decay},
                     tensor(shape));
}

Value LayerFunction::constant(StringRef name, RankedTensorType type, LogicalDims dims, graph::InitAttr init) {
  for (auto [argument, value] : llvm::zip(arguments, function.getArguments()))
    if (argument.info.name == name)
      return value;
  return addArgument(LayerArgument::Constant, {name.str(), type, builder.getStrArrayAttr(dims), init}, type);
}

Value LayerFunction::pin(Value value, LogicalDims dims) {
  pins.set(cast<NameLoc>(value.getLoc()).getName(), builder.getStrArrayAttr(dims));
  return value;
}

func::FuncOp LayerFunction::finish(ArrayRef<LayerResult> results) {
  SmallVector<Value> values = llvm::map_to_vector(results, [](const LayerResult &result) { return result.value; });
  func::ReturnOp::create(builder, function.getLoc(), values);

  // Re-create the arguments in the order of the calling convention.
  Block &body = function.front();
  unsigned count = arguments.size();
  std::vector<LayerArgument> ordered;
  SmallVector<DictionaryAttr> attributes;
  for (auto kind : {LayerArgument::Activation, LayerArgument::Parameter, LayerArgument::Constant}) {
    static constexpr StringLiteral kindNames[] = {"activation", "parameter", "constant"};
    for (unsigned i = 0; i < count; ++i) {
      if (arguments[i].kind != kind)
        continue;
      BlockArgument old = body.getArgument(i);
      old.replaceAllUsesWith(body.addArgument(old.getType(), old.getLoc()));
      ordered.push_back(arguments[i]);
      attributes.push_back(builder.getDictionaryAttr(
          {builder.getNamedAttr("graph.name", builder.getStringAttr(StringRef(arguments[i].info.name).ltrim('@'))),
           builder.getNamedAttr("graph.arg", builder.getStringAttr(kindNames[kind])),
           builder.getNamedAttr(graph::kDimsAttr, arguments[i].info.dims)}));
    }
  }
  body.eraseArguments(0, count);
  arguments = std::move(ordered);

  function.setFunctionType(builder.getFunctionType(body.getArgumentTypes(), ValueRange(values).getTypes()));
  function.setAllArgAttrs(attributes);
  for (auto [index, result] : llvm::enumerate(results)) {
    if (!result.name.empty())
      function.setResultAttr(index, "graph.name", builder.getStringAttr(result.name));
    if (result.dims)
      function.setResultAttr(index, graph::kDimsAttr, result.dims);
  }
  if (!pins.empty())
    function->setAttr(graph::kPinsAttr, pins.getDictionary(builder.getContext()));
  return function;
}
