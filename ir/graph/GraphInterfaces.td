//===- GraphInterfaces.td - The concerns of a graph op --------------------===//
//
// One interface per concern, so that no pass switches over op names.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_IR_GRAPH_INTERFACES
#define PRIMUS_IR_GRAPH_INTERFACES

include "mlir/IR/OpBase.td"

def Decomposable : OpInterface<"Decomposable"> {
  let cppNamespace = "::primus::graph";
  let description = [{
    An op that is defined by simpler ops. The decomposition *is* the definition: the op's
    kernel, gradient and sharding are tested against it. It computes in f32 with explicit
    `graph.convert` at its borders, so that its precision is visible.
  }];
  let methods = [
    InterfaceMethod<[{
      Builds the definition at the builder's insertion point and returns one value per result.
      It may use other composites; they are decomposed in turn.
    }], "::llvm::SmallVector<::mlir::Value>", "decompose", (ins "::mlir::OpBuilder &":$builder)>
  ];
}

def Differentiable : OpInterface<"Differentiable"> {
  let cppNamespace = "::primus::graph";
  let description = [{
    An op with a reverse-mode derivative. The op's operands and results may be used by the
    derivative; those that are become residuals of the layer.
  }];
  let methods = [
    InterfaceMethod<[{
      Builds the vector-Jacobian product at the builder's insertion point.
      `cotangents` has one entry per result, of the result's type, or null where the gradient is zero.
      Returns one entry per operand: its gradient, of the operand's shape and either its element type or
      f32 (where the derivative accumulates in f32: autodiff converts), or null where there is none.
      Returns an empty list, after an error on the op, where a cotangent of a result that it cannot differentiate is
      not null.
    }], "::llvm::SmallVector<::mlir::Value>", "buildVjp",
    (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$cotangents)>
  ];
}

def Shardable : OpInterface<"Shardable"> {
  let cppNamespace = "::primus::graph";
  let description = [{
    An op with a sharding rule: which factors its operands' and results' dimensions map to, and
    which factors it reduces.
  }];
  let methods = [
    InterfaceMethod<"The rule for this instance of the op.",
      "::primus::graph::ShardingRule", "getShardingRule">,
    InterfaceMethod<[{
      Builds at the builder's insertion point what one rank does for this op: on local operands, with results of the
      given types, which have local shapes beside their layouts. Returns one value per result. The op itself stays.
      By default the op on local shapes; another definition is needed where it matters which part a rank has.
    }], "::llvm::SmallVector<::mlir::Value>", "localize",
    (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$localOperands, "::mlir::TypeRange":$localResultTypes,
         "::primus::graph::Localizer &":$localizer), "",
    [{ return ::primus::graph::cloneLocally($_op, builder, localOperands, localResultTypes); }]>
  ];
}

def Costed : OpInterface<"Costed"> {
  let cppNamespace = "::primus::graph";
  let description = "An op with a cost model: floating-point operations and bytes moved.";
  let methods = [
    InterfaceMethod<"Cost of this instance of the op, on the shapes in its types.",
      "::primus::graph::Cost", "getCost">
  ];
}

def CollectiveOpInterface : OpInterface<"CollectiveOpInterface"> {
  let cppNamespace = "::primus::graph";
  let description = [{
    An op by which ranks exchange values. Its group is the ranks that agree in all mesh axes but those it names,
    numbered row-major over them, the last axis fastest.
  }];
  let methods = [
    InterfaceMethod<"Names of the mesh axes, major first.", "::mlir::ArrayAttr", "getAxes">,
    InterfaceMethod<[{
      The type that the result has for an operand of type `operand` in groups of `groupSize` ranks: shape, and layout if
      the operand has one. After an error on the op, null where the op does not fit such an operand.
    }], "::mlir::RankedTensorType", "getExpectedType",
    (ins "::mlir::RankedTensorType":$operand, "int64_t":$groupSize)>,
    InterfaceMethod<"Bytes that each rank of a group of `groupSize` sends, in a bandwidth-optimal algorithm.",
      "int64_t", "getBytesSent", (ins "int64_t":$groupSize)>
  ];
}

#endif // PRIMUS_IR_GRAPH_INTERFACES
