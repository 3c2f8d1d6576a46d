//===- LayerFunction.h - The calling convention of layers --------*- C++ -*-===//
//
// Each distinct layer of a model is a set of functions (its parts), which programs call once per layer. What an
// argument or result of a part is, and what it belongs to, is written in attributes, so that no pass counts positions:
//
//   part                graph.arg of its arguments                      results
//   forward             activation, parameter, constant                 its own; then the residuals for backward
//   backward            cotangent, residual, activation, parameter,     gradients of activations, then the accumulators
//                       constant, accumulator                           (graph.inplace)
//   forward_backward    activation, parameter, constant, accumulator    forward's own, then as in backward
//   unshard             parameter (of the master type), scalar          parameters as forward takes them; factors, maxima of quantised ones
//   accumulate          gradient, accumulator                           accumulators (graph.inplace); only where backward
//                                                                       gives gradients instead (plan: zero >= 2)
//   reduce              gradient, scalar                                gradients (graph.inplace), sum of squares
//   update              parameter, moment, gradient, scalar             parameters and moments (graph.inplace)
//   measure             parameter                                       largest values of the weights that are quantised
//   maxima              scalar                                          the same, common to all ranks
//   rescale             scalar                                          history and scales of the next step (graph.inplace)
//
//   graph.of = i on a cotangent or residual      result i of the forward function
//   graph.of = i on any other argument           argument i of the forward function (an accumulator: its parameter)
//   graph.of = i on a gradient or accumulator among the results   argument i of the forward function
//   graph.backward = @f on a forward function    the function that follows it in the backward pass
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"

namespace primus {

enum class ArgKind { Activation, Parameter, Constant, Cotangent, Residual, Accumulator, Gradient, Moment, Scalar };

/// On an argument or result: its name within the layer or program.
inline constexpr llvm::StringLiteral kNameAttr = "graph.name";
/// On an argument of a layer function: its ArgKind.
inline constexpr llvm::StringLiteral kArgAttr = "graph.arg";
/// On an argument or result of a layer function: index of what it belongs to (see above).
inline constexpr llvm::StringLiteral kOfAttr = "graph.of";
/// On a layer's forward function: the function that computes its gradients.
inline constexpr llvm::StringLiteral kBackwardAttr = "graph.backward";

llvm::StringRef stringifyArgKind(ArgKind kind);

/// The layer that a function is a part of, and which part; empty for a program.
llvm::StringRef getLayer(mlir::func::FuncOp function);
llvm::StringRef getPart(mlir::func::FuncOp function);
inline bool isProgram(mlir::func::FuncOp function) { return !function->hasAttr(graph::kLayerAttr); }
/// The value of `graph.layer` for a part of a layer.
mlir::DictionaryAttr getLayerAttr(mlir::MLIRContext *context, llvm::StringRef layer, llvm::StringRef part);

/// Kind of an argument, or a located error where the attribute is missing or unknown.
mlir::FailureOr<ArgKind> getArgKind(mlir::func::FuncOp function, unsigned index);
/// Indices of a function's arguments of one kind, in order.
llvm::SmallVector<unsigned> getArgsOfKind(mlir::func::FuncOp function, ArgKind kind);
/// Attributes of an argument: {graph.name, graph.arg} and graph.of if given.
mlir::DictionaryAttr getArgAttrs(mlir::MLIRContext *context, llvm::StringRef name, ArgKind kind,
                                 std::optional<unsigned> of = std::nullopt);

/// `graph.of` of an argument (result), if it has one.
std::optional<unsigned> getArgOf(mlir::func::FuncOp function, unsigned index);
std::optional<unsigned> getResultOf(mlir::func::FuncOp function, unsigned index);
/// `graph.name` of an argument (result) or else a name made of its index.
std::string getArgName(mlir::func::FuncOp function, unsigned index);
std::string getResultName(mlir::func::FuncOp function, unsigned index);

/// The name that a value has in dumps (its NameLoc), or an empty string.
llvm::StringRef getValueName(mlir::Value value);
/// A location that names what is built after `value`: its name followed by `suffix`, at the same place in the source.
mlir::Location getDerivedLoc(mlir::Value value, llvm::StringRef suffix);

/// True for a tensor of floats: the types that have gradients.
bool hasFloatElements(mlir::Type type);
/// `type` with another element type.
mlir::RankedTensorType withElementType(mlir::Type type, mlir::Type element);
/// `value` in another element type; the value itself where it has it already.
mlir::Value convertElements(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value, mlir::Type element);
/// Of a tensor's elements.
int64_t getBytes(mlir::Type type);

/// The calls of a function in the whole module, in order; none of null.
llvm::SmallVector<graph::CallOp> findCalls(mlir::func::FuncOp function);
/// A call of `callee` in the place of `call`, which has the results of `call` and may have more behind them.
graph::CallOp replaceCall(graph::CallOp call, mlir::func::FuncOp callee, mlir::ValueRange operands);

/// Removes the ops of a straight-line function that nothing uses.
void eraseDeadOps(mlir::func::FuncOp function);

} // namespace primus
