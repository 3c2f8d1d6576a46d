//===- Initialization.cpp - First values of graph variables ---------------===//

#include "ir/interpreter/Initialization.h"

using namespace mlir;
using namespace primus;
using namespace primus::interpreter;

FailureOr<runtime::InitializerSpec> primus::interpreter::getInitializerSpec(graph::VariableOp variable,
                                                                            RankedTensorType type) {
  graph::InitAttr init = variable.getInit();
  runtime::InitializerSpec spec;
  spec.kind = init.getKind().str();
  spec.stream = variable.getStream();
  if (DictionaryAttr parameters = init.getParams())
    for (NamedAttribute parameter : parameters) {
      auto frequencies = dyn_cast<DenseF64ArrayAttr>(parameter.getValue());
      if (frequencies && parameter.getName() == "inv_freq")
        spec.frequencies.assign(frequencies.asArrayRef().begin(), frequencies.asArrayRef().end());
      else if (auto axes = dyn_cast<ArrayAttr>(parameter.getValue());
               axes && parameter.getName() == "axes" && llvm::all_of(axes, llvm::IsaPred<StringAttr>))
        for (StringRef axis : axes.getAsValueRange<StringAttr>())
          spec.axes.push_back(axis.str());
      else if (auto number = dyn_cast<FloatAttr>(parameter.getValue()))
        spec.parameters[parameter.getName().str()] = number.getValueAsDouble();
      else
        return variable.emitOpError() << "parameter '" << parameter.getName().getValue() << "' of its initializer is "
                                      << parameter.getValue() << "; expected a float, inv_freq as array<f64: ...>, or axes as a list of names";
    }
  if (std::optional<std::string> problem = runtime::checkInitializer(spec, type.getShape()))
    return variable.emitOpError() << *problem;
  return spec;
}

FailureOr<Tensor> primus::interpreter::makeInitialValue(graph::VariableOp variable, RankedTensorType type,
                                                        uint64_t seed, int64_t axisIndex) {
  FailureOr<runtime::InitializerSpec> spec = getInitializerSpec(variable, type);
  FailureOr<Tensor> tensor = Tensor::make(variable, type);
  if (failed(spec) || failed(tensor))
    return failure();
  spec->axisIndex = axisIndex;
  std::vector<float> values(tensor->size());
  if (std::optional<std::string> problem =
          runtime::initialize(*spec, tensor->shape, seed, 0, tensor->size(), values.data()))
    return variable.emitOpError() << *problem;
  llvm::copy(values, tensor->values.begin());
  return tensor;
}
