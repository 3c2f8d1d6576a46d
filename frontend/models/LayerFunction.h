//===- LayerFunction.h - A layer's forward function under construction -*- C++ -*-===//
//
// Building blocks ask for parameters and constants by local name while they build the body; the function's arguments are put in the
// order of the calling convention (activations, parameters, constants) when it is finished.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "ir/graph/GraphDialect.h"

#include "mlir/IR/Builders.h"

namespace primus::models {

/// How a parameter or constant of a layer becomes a variable.
struct VariableInfo {
  /// Name within the layer: "attention.q.weight". A name with a leading '@' is a whole variable name, shared by layers.
  std::string name;
  /// Type of the variable: f32, whatever the function computes in.
  mlir::RankedTensorType type;
  graph::InitAttr init;
  /// Takes weight decay.
  bool decay = false;
  /// The standard deviation of `init` falls with the layer's index (see WeightInit.by_depth).
  bool initByDepth = false;

  bool isShared() const { return name.front() == '@'; }
  /// Name of the variable for an instance of the layer.
  std::string variableName(llvm::StringRef instance) const;
};

/// One argument of a finished layer function.
struct LayerArgument {
  enum Kind { Activation, Parameter, Constant } kind;
  VariableInfo info;
};

class LayerFunction {
public:
  /// Starts `@<layer>.<part>` at the end of the module. Parameters appear in the body as `computeType`.
  LayerFunction(mlir::ModuleOp module, llvm::StringRef layer, llvm::StringRef part, mlir::FloatType computeType);

  mlir::Value activation(llvm::StringRef name, mlir::Type type);
  /// A matrix or vector with random, constant or zero initial values.
  mlir::Value parameter(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, graph::InitAttr init, bool decay);
  mlir::Value constant(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, graph::InitAttr init);

  /// A matrix [out, in] with random initial values; it takes weight decay.
  mlir::Value matrix(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, const spec::WeightInit &init);

  graph::InitAttr normal(const spec::WeightInit &init);
  graph::InitAttr filled(double value);

  /// Ends the function and orders its arguments.
  mlir::func::FuncOp finish(mlir::ValueRange results, llvm::ArrayRef<llvm::StringRef> resultNames = {});

  /// Arguments in final order; valid after finish().
  llvm::ArrayRef<LayerArgument> getArguments() const { return arguments; }
  mlir::func::FuncOp getFunction() const { return function; }

  /// A location that names the value: %attention.q in dumps.
  mlir::Location loc(const llvm::Twine &name);
  mlir::RankedTensorType tensor(llvm::ArrayRef<int64_t> shape) { return tensor(shape, computeType); }
  mlir::RankedTensorType tensor(llvm::ArrayRef<int64_t> shape, mlir::Type element) {
    return mlir::RankedTensorType::get(shape, element);
  }

  mlir::OpBuilder builder;
  const mlir::FloatType computeType;

private:
  mlir::Value addArgument(LayerArgument::Kind kind, VariableInfo info, mlir::Type type);

  mlir::func::FuncOp function;
  std::vector<LayerArgument> arguments;
};

} // namespace primus::models
