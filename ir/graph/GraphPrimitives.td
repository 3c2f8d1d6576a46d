//===- GraphPrimitives.td - Ops without a simpler definition --------------===//
//
// The interpreter executes these directly; everything else is defined by them.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_IR_GRAPH_PRIMITIVES
#define PRIMUS_IR_GRAPH_PRIMITIVES

include "ir/graph/GraphBase.td"

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

class Graph_UnaryOp<string mnemonic, string math, string linear = "">
    : Graph_PureOp<mnemonic, [Elementwise, AllTypesMatch<["operand", "result"]>,
                              DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "elementwise " # math;
  let description = "Computes `" # math # "` for each element.\n\n```mlir\n%y = graph." # mnemonic #
                    " %x : tensor<4x8xf32>\n```";
  let arguments = (ins Graph_FloatTensor:$operand);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
  let extraClassDefinition = "ShardingRule $cppClass::getShardingRule() { return elementwiseRule(*this" # linear #
                             "); }\nCost $cppClass::getCost() { return elementwiseCost(*this); }";
}

def Graph_NegOp     : Graph_UnaryOp<"neg", "-x", ", {0}">;
def Graph_ExpOp     : Graph_UnaryOp<"exp", "e^x">;
def Graph_LogOp     : Graph_UnaryOp<"log", "ln x">;
def Graph_SqrtOp    : Graph_UnaryOp<"sqrt", "sqrt x">;
def Graph_RsqrtOp   : Graph_UnaryOp<"rsqrt", "1 / sqrt x">;
def Graph_TanhOp    : Graph_UnaryOp<"tanh", "tanh x">;
def Graph_ErfOp     : Graph_UnaryOp<"erf", "erf x">;
def Graph_SigmoidOp : Graph_UnaryOp<"sigmoid", "1 / (1 + e^-x)">;

/// `linear` holds the arguments of elementwiseRule that say in which operands the op is linear.
class Graph_BinaryOp<string mnemonic, string math, string linear = "", list<Trait> traits = []>
    : Graph_PureOp<mnemonic, !listconcat([Elementwise, AllTypesMatch<["lhs", "rhs", "result"]>,
                              DeclareOpInterfaceMethods<Differentiable>], traits)> {
  let summary = "elementwise " # math;
  let description = "Computes `" # math # "` for each pair of elements of equal shapes.\n\n```mlir\n%c = graph." #
                    mnemonic # " %a, %b : tensor<4x8xf32>\n```";
  let arguments = (ins Graph_NumberTensor:$lhs, Graph_NumberTensor:$rhs);
  let results = (outs Graph_NumberTensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
  let extraClassDefinition = "ShardingRule $cppClass::getShardingRule() { return elementwiseRule(*this" # linear #
                             "); }\nCost $cppClass::getCost() { return elementwiseCost(*this); }";
}

def Graph_AddOp     : Graph_BinaryOp<"add", "a + b", ", {0, 1}, /*jointlyLinear=*/true", [Commutative]>;
def Graph_SubOp     : Graph_BinaryOp<"sub", "a - b", ", {0, 1}, /*jointlyLinear=*/true">;
def Graph_MulOp     : Graph_BinaryOp<"mul", "a * b", "", [Commutative]>;
def Graph_DivOp     : Graph_BinaryOp<"div", "a / b">;
def Graph_MaximumOp : Graph_BinaryOp<"maximum", "max(a, b)", "", [Commutative]>;
def Graph_MinimumOp : Graph_BinaryOp<"minimum", "min(a, b)", "", [Commutative]>;

def Graph_CompareOp : Graph_PureOp<"compare", [Elementwise, SameTypeOperands]> {
  let summary = "elementwise ordered comparison, to i1";
  let description = [{
    ```mlir
    %m = graph.compare le %i, %j : tensor<4x8xi32> -> tensor<4x8xi1>
    ```
  }];
  let arguments = (ins Graph_PredicateAttr:$predicate, Graph_NumberTensor:$lhs, Graph_NumberTensor:$rhs);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "custom<PlainEnum>($predicate) $lhs `,` $rhs attr-dict `:` type($lhs) `->` type($result)";
  let hasVerifier = 1;
}

def Graph_SelectOp : Graph_PureOp<"select", [Elementwise, AllTypesMatch<["onTrue", "onFalse", "result"]>,
                                             DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "elementwise choice by an i1 tensor";
  let description = [{
    ```mlir
    %y = graph.select %mask, %a, %b : tensor<4x8xi1>, tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Graph_IntTensor:$mask, Graph_Tensor:$onTrue, Graph_Tensor:$onFalse);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$mask `,` $onTrue `,` $onFalse attr-dict `:` type($mask) `,` type($result)";
  let hasVerifier = 1;
}

def Graph_ConvertOp : Graph_PureOp<"convert", [Elementwise, DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "elementwise change of the number format, to nearest even";
  let description = [{
    The only op that changes precision, with those that are defined by it. Integers convert to floats; i1 gives 0 or 1.
    Formats of 8 bits saturate: what lies beyond their largest value, infinities included, becomes it, and only what is
    not a number stays so. f8E8M0FNU, whose values are the powers of two from 2^-127 on, gets the largest that is not
    larger than the operand, or 2^-127. A conversion of the f32 result of a
    matmul, reduction or scatter that nobody else reads becomes that op's own rounding when canonicalised: these
    accumulate in f32 and round once, at the end, so the result is the same. (C1) floats do not convert to integers.

    ```mlir
    %y = graph.convert %x : tensor<4x8xf32> -> tensor<4x8xbf16>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

//===----------------------------------------------------------------------===//
// Creation
//===----------------------------------------------------------------------===//

def Graph_ConstantOp : Graph_PureOp<"constant", [ConstantLike, AllTypesMatch<["value", "result"]>,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>], ["localize"]> {
  let summary = "a constant tensor";
  let description = [{
    ```mlir
    %c = graph.constant dense<1.0> : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
  let builders = [
    OpBuilder<(ins "::mlir::RankedTensorType":$type, "double":$splat), [{
      ::mlir::Attribute element;
      if (auto floatType = ::llvm::dyn_cast<::mlir::FloatType>(type.getElementType()))
        element = $_builder.getFloatAttr(floatType, splat);
      else
        element = $_builder.getIntegerAttr(type.getElementType(), static_cast<int64_t>(splat));
      build($_builder, $_state, type, ::mlir::DenseElementsAttr::get(type, element));
    }]>
  ];
}

def Graph_IotaOp : Graph_PureOp<"iota", [], ["localize"]> {
  let summary = "each element's index along one dimension";
  let description = [{
    ```mlir
    %i = graph.iota dim 1 : tensor<4x8xi32>
    ```
  }];
  let arguments = (ins I64Attr:$dim);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "`dim` $dim attr-dict `:` type($result)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Shape
//===----------------------------------------------------------------------===//

def Graph_BroadcastOp : Graph_PureOp<"broadcast", [DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "repeat a tensor along new dimensions, or along dimensions of size one";
  let description = [{
    `dims[i]` is the result's dimension that operand dimension `i` becomes; the list ascends.
    (C1) one entry per operand dimension; (C2) sizes are equal, or the operand's is 1.

    ```mlir
    %y = graph.broadcast %b dims [2] : tensor<8xf32> -> tensor<2x4x8xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, DenseI64ArrayAttr:$dims);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$operand `dims` $dims attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_ReshapeOp : Graph_PureOp<"reshape", [DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "the same elements, in row-major order, under another shape";
  let description = [{
    Moves no data. (C1) equal numbers of elements and element types.

    ```mlir
    %y = graph.reshape %x : tensor<2x4x8xf32> -> tensor<8x8xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_TransposeOp : Graph_PureOp<"transpose", [DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "permute dimensions: result dimension i is operand dimension perm[i]";
  let description = [{
    (C1) `perm` is a permutation; (C2) sizes follow it.

    ```mlir
    %y = graph.transpose %x perm [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, DenseI64ArrayAttr:$perm);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$operand `perm` $perm attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_SliceOp : Graph_PureOp<"slice", [DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "a contiguous box of a tensor; its size is the result's shape";
  let description = [{
    (C1) the box lies within the operand. A box of leading-dimension rows moves no data.

    ```mlir
    %y = graph.slice %x at [0, 4] : tensor<4x8xf32> -> tensor<4x2xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, DenseI64ArrayAttr:$offsets);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$operand `at` $offsets attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_PadOp : Graph_PureOp<"pad", [DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "zeros around a tensor; the inverse of a slice";
  let description = [{
    The operand is placed at `low` in a result of zeros. (C1) it fits.

    ```mlir
    %y = graph.pad %x at [0, 4] : tensor<4x2xf32> -> tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, DenseI64ArrayAttr:$low);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$operand `at` $low attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_ConcatOp : Graph_PureOp<"concat", [DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "tensors one after the other along a dimension";
  let description = [{
    (C1) there is an input; (C2) the inputs differ in dimension `dim` only; (C3) their sizes in it add up.

    ```mlir
    %y = graph.concat %a, %b dim 1 : (tensor<4x2xf32>, tensor<4x6xf32>) -> tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Variadic<Graph_Tensor>:$inputs, I64Attr:$dim);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$inputs `dim` $dim attr-dict `:` functional-type($inputs, $result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

//===----------------------------------------------------------------------===//
// Contraction and data-dependent access
//===----------------------------------------------------------------------===//

def Graph_ReduceOp : Graph_PureOp<"reduce", [DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "combine elements along dimensions, which disappear";
  let description = [{
    Sums of floats accumulate in f32 (f64 for f64 operands) and are rounded once, to the result's element type.
    (C1) dims ascend and lie in the operand; (C2) the result has the other dimensions.

    ```mlir
    %y = graph.reduce sum %x dims [1] : tensor<4x8xf32> -> tensor<4xf32>
    ```
  }];
  let arguments = (ins Graph_ReduceKindAttr:$kind, Graph_NumberTensor:$operand, DenseI64ArrayAttr:$dims);
  let results = (outs Graph_NumberTensor:$result);
  let assemblyFormat = "custom<PlainEnum>($kind) $operand `dims` $dims attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Graph_MatmulOp : Graph_PureOp<"matmul", [DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "product of two tensors summed over shared indices, in einsum notation";
  let description = [{
    Letters in both operands and the result are batch dimensions, letters in both operands only
    are contracted. (C1) the spec matches the ranks; (C2) equal letters have equal sizes; (C3) each
    operand's letters are distinct, and the result's come from the operands; (C4) a letter that is
    missing in the result occurs in both operands. Accumulates in f32 (f64 for f64 operands); the result's element type
    states the rounding at the end. `fp8` asks for a product of quantised operands, which phase `fp8` makes of it.
    (C5) 8-bit floats are multiplied by ones of the same encoding: kernels apply the factors of a `graph.scaled_matmul` to such a product.

    ```mlir
    %y = graph.matmul "bsh,fh->bsf" %x, %w : (tensor<2x4x8xbf16>, tensor<6x8xbf16>) -> tensor<2x4x6xbf16>
    %z = graph.matmul "bsh,fh->bsf" %x, %w {fp8 = #graph.fp8<recipe = tensorwise>} : (tensor<2x4x8xbf16>, tensor<6x8xbf16>) -> tensor<2x4x6xbf16>
    ```
  }];
  let arguments = (ins StrAttr:$spec, Graph_StoredTensor:$lhs, Graph_StoredTensor:$rhs, OptionalAttr<Graph_Fp8Attr>:$fp8);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = "$spec $lhs `,` $rhs attr-dict `:` functional-type(operands, $result)";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Type":$type, "::llvm::StringRef":$spec, "::mlir::Value":$lhs, "::mlir::Value":$rhs),
                            [{ build($_builder, $_state, type, spec, lhs, rhs, Fp8Attr()); }]>];
  let extraClassDeclaration = [{
    ::llvm::StringRef getLhsSpec() { return getSpec().split(',').first; }
    ::llvm::StringRef getRhsSpec() { return getSpec().split(',').second.split("->").first; }
    ::llvm::StringRef getResultSpec() { return getSpec().split("->").second; }
  }];
}

def Graph_GatherOp : Graph_PureOp<"gather", [DeclareOpInterfaceMethods<Differentiable>], ["localize"]> {
  let summary = "rows of a table, by index";
  let description = [{
    `result[i..., :] = table[indices[i...], :]`. An index outside the table gives a row of zeros.
    Its vjp is `graph.scatter`, which leaves out row `untrained`, if there is one: that of a padding token, for which the
    derivative counts as zero. (C1) the result has the indices' shape and then a row's.

    ```mlir
    %y = graph.gather %table, %i : (tensor<97x8xf32>, tensor<2x4xi32>) -> tensor<2x4x8xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$table, Graph_IntTensor:$indices, OptionalAttr<I64Attr>:$untrained);
  let results = (outs Graph_Tensor:$result);
  let builders = [OpBuilder<(ins "::mlir::Type":$type, "::mlir::Value":$table, "::mlir::Value":$indices),
                            [{ build($_builder, $_state, type, table, indices, ::mlir::IntegerAttr()); }]>];
  let assemblyFormat = "$table `,` $indices (`untrained` $untrained^)? attr-dict `:` functional-type(operands, $result)";
  let hasVerifier = 1;
}

def Graph_ScatterOp : Graph_PureOp<"scatter", [DeclareOpInterfaceMethods<Differentiable>], ["localize"]> {
  let summary = "sum rows into a table of zeros, by index";
  let description = [{
    `result[indices[i...], :] += updates[i..., :]`, in the order of i. Sums of floats accumulate in f32 (f64 for f64
    updates) and are rounded once, to the result's element type. An index outside the table adds nothing. (C1) updates
    have the indices' shape and then a row's.

    ```mlir
    %dt = graph.scatter %i, %dy : (tensor<2x4xi32>, tensor<2x4x8xf32>) -> tensor<97x8xf32>
    ```
  }];
  let arguments = (ins Graph_IntTensor:$indices, Graph_Tensor:$updates);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$indices `,` $updates attr-dict `:` functional-type(operands, $result)";
  let hasVerifier = 1;
}

#endif // PRIMUS_IR_GRAPH_PRIMITIVES
