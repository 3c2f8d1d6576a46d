//===- TrainedParameters.cpp - Who updates which parameter -----------------===//

#include "passes/train/TrainedParameters.h"

#include "passes/LayerFunction.h"

using namespace mlir;
using namespace primus;

func::FuncOp primus::getBackward(func::FuncOp forward, SymbolTableCollection &symbols) {
  auto symbol = forward->getAttrOfType<FlatSymbolRefAttr>(kBackwardAttr);
  return symbol ? symbols.lookupNearestSymbolFrom<func::FuncOp>(forward, symbol) : func::FuncOp();
}

SmallVector<ParameterGradient> primus::getParameterGradients(func::FuncOp forward, func::FuncOp backward) {
  SmallVector<unsigned> parameters = getArgsOfKind(forward, ArgKind::Parameter);
  SmallVector<ParameterGradient> gradients;
  for (unsigned result = 0, end = backward.getNumResults(); result < end; ++result)
    if (std::optional<unsigned> of = getResultOf(backward, result); of && llvm::is_contained(parameters, *of))
      gradients.push_back({result, *of});
  return gradients;
}

/// The variable behind the operand that is a layer's parameter `index`, checked.
static FailureOr<graph::VariableOp> getParameter(LayerCall layer, unsigned index, SymbolTableCollection &symbols) {
  graph::VariableOp variable = findVariable(layer.call.getOperand(index), symbols);
  if (!variable || variable.getRole() != graph::Role::Parameter) {
    layer.call.emitOpError() << "takes its operand " << index << " ('" << getArgName(layer.forward, index)
                             << "') as a parameter, but it is not the value of a variable with that role";
    return failure();
  }
  auto type = cast<RankedTensorType>(layer.call.getOperand(index).getType());
  if (variable.getTensorType().getShape() != type.getShape()) {
    layer.call.emitOpError() << "takes its operand " << index << " in another shape than variable '"
                             << variable.getSymName() << "'";
    return failure();
  }
  return variable;
}

FailureOr<SmallVector<OwnedParameters>> primus::collectParameters(const ForwardProgram &program,
                                                                  SymbolTableCollection &symbols) {
  SmallVector<OwnedParameters> owners;
  llvm::DenseSet<Operation *> seen;
  for (LayerCall layer : program.layers) {
    func::FuncOp backward = getBackward(layer.forward, symbols);
    if (!backward)
      continue;
    OwnedParameters owned{layer, {}, {}};
    llvm::DenseSet<Operation *> ofThisCall;
    for (ParameterGradient gradient : getParameterGradients(layer.forward, backward)) {
      FailureOr<graph::VariableOp> variable = getParameter(layer, gradient.parameter, symbols);
      if (failed(variable))
        return failure();
      if (!ofThisCall.insert(*variable).second) {
        layer.call.emitOpError() << "takes variable '" << variable->getSymName()
                                 << "' twice: pass it once and use it twice in the layer";
        return failure();
      }
      if (!seen.insert(*variable).second)
        continue;
      owned.parameters.push_back(
          {getArgName(layer.forward, gradient.parameter), variable->getTensorType(), variable->getDecay()});
      owned.variables.push_back(*variable);
    }
    if (!owned.variables.empty())
      owners.push_back(std::move(owned));
  }
  return owners;
}

std::string primus::getFirstMomentName(graph::VariableOp parameter) { return (parameter.getSymName() + ".m").str(); }
std::string primus::getSecondMomentName(graph::VariableOp parameter) { return (parameter.getSymName() + ".v").str(); }
std::string primus::getGradientName(graph::VariableOp parameter) { return (parameter.getSymName() + ".grad").str(); }

void primus::addStateVariables(ArrayRef<OwnedParameters> owners, const Plan &plan) {
  for (const OwnedParameters &owned : owners) {
    for (graph::VariableOp parameter : owned.variables) {
      OpBuilder builder(parameter.getContext());
      builder.setInsertionPointAfter(parameter);
      auto zeros = graph::InitAttr::get(builder.getContext(), builder.getStringAttr("zeros"), DictionaryAttr());
      auto add = [&](const std::string &name, RankedTensorType type, graph::Role role) {
        auto roleAttr = graph::RoleAttr::get(builder.getContext(), role);
        graph::VariableOp::create(builder, NameLoc::get(builder.getStringAttr(name)), builder.getStringAttr(name),
                                  TypeAttr::get(type), roleAttr, zeros, builder.getI64IntegerAttr(0), UnitAttr(),
                                  parameter.getDimsAttr());
      };
      RankedTensorType type = parameter.getTensorType();
      if (plan.goal == Goal::Training) {
        add(getFirstMomentName(parameter), withElementType(type, plan.getFirstMomentType(builder)), graph::Role::Optimizer);
        add(getSecondMomentName(parameter), withElementType(type, plan.getSecondMomentType(builder)),
            graph::Role::Optimizer);
      }
      add(getGradientName(parameter), withElementType(type, builder.getF32Type()), graph::Role::Gradient);
    }
  }
}
