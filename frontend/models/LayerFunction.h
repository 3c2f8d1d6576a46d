//===- LayerFunction.h - A layer's forward function under construction -*- C++ -*-===//
//
// Building blocks ask for parameters and constants by local name while they build the body; the function's arguments are put in the
// order of the calling convention (activations, parameters, constants) when it is finished.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "frontend/models/Fp8Layers.h"
#include "ir/graph/GraphDialect.h"

#include "mlir/IR/Builders.h"

namespace primus::models {

/// What the dimensions of a tensor are: "batch", "sequence" (token positions), "stream" (token positions of the residual
/// stream between blocks), "heads", "ffn", "vocabulary", or "" for one that is never split. Which mesh axes split them is
/// the plan's business.
using LogicalDims = llvm::ArrayRef<llvm::StringRef>;

/// Activations between layers: [batch, tokens, width].
inline constexpr llvm::StringRef kStreamDims[] = {"batch", "stream", ""};
/// Tokens and labels: [batch, tokens].
inline constexpr llvm::StringRef kTokenDims[] = {"batch", "sequence"};

/// How a parameter or constant of a layer becomes a variable.
struct VariableInfo {
  /// Name within the layer: "attention.q.weight". A name with a leading '@' is a whole variable name, shared by layers.
  std::string name;
  /// Type of the variable: of a parameter f32, whatever the function computes in.
  mlir::RankedTensorType type;
  /// Its logical dimensions, an array of strings.
  mlir::ArrayAttr dims;
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

/// One result of a layer function.
struct LayerResult {
  mlir::Value value;
  /// Its name for people; empty: none.
  llvm::StringRef name;
  /// Its logical dimensions, an array of strings; null: it is split, or partial, as its op leaves it.
  mlir::ArrayAttr dims;
};

class LayerFunction {
public:
  /// Starts `@<layer>.<part>` at the end of the module. Parameters appear in the body as `computeType`.
  LayerFunction(mlir::ModuleOp module, llvm::StringRef layer, llvm::StringRef part, mlir::FloatType computeType);

  mlir::Value activation(llvm::StringRef name, mlir::Type type, LogicalDims dims);
  /// A matrix or vector with random, constant or zero initial values.
  mlir::Value parameter(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, LogicalDims dims, graph::InitAttr init,
                        bool decay);
  mlir::Value constant(llvm::StringRef name, mlir::RankedTensorType type, LogicalDims dims, graph::InitAttr init);

  /// A matrix [out, in] with random initial values; it takes weight decay.
  mlir::Value matrix(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, LogicalDims dims,
                     const spec::WeightInit &init);

  /// Fixes how an activation, named by its location, is split; gives it back.
  mlir::Value pin(mlir::Value value, LogicalDims dims);

  graph::InitAttr normal(const spec::WeightInit &init);
  graph::InitAttr filled(double value);

  /// Ends the function and orders its arguments.
  mlir::func::FuncOp finish(llvm::ArrayRef<LayerResult> results);

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
  /// How linear layers, by their names, are quantised.
  Fp8Linears fp8;

private:
  mlir::Value addArgument(LayerArgument::Kind kind, VariableInfo info, mlir::Type type);

  mlir::func::FuncOp function;
  std::vector<LayerArgument> arguments;
  mlir::NamedAttrList pins;
};

} // namespace primus::models
