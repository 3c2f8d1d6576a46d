//===- GraphQuantization.td - Tensors of scaled 8-bit floats --------------===//
//
// A quantised tensor is a tensor of 8-bit floats and one of factors: each value stands for itself times the factor of
// its block. Blocks follow from the shapes. A factor that is a scalar belongs to the whole tensor; otherwise factors
// have the tensor's rank, each of their sizes divides the tensor's, and the quotients are the sizes of a block.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_IR_GRAPH_QUANTIZATION
#define PRIMUS_IR_GRAPH_QUANTIZATION

include "ir/graph/GraphBase.td"

def Graph_AmaxOp : Graph_Composite<"amax"> {
  let summary = "largest absolute value in each block";
  let description = [{
    In f32; not a number where the block has an element that is none. (C1) The result's shape divides the operand into
    blocks.

    ```mlir
    %whole = graph.amax %x : tensor<2x4x256xbf16> -> tensor<f32>
    %rows = graph.amax %x : tensor<2x4x256xbf16> -> tensor<2x4x1xf32>
    %blocks = graph.amax %x : tensor<2x4x256xbf16> -> tensor<2x4x2xf32>
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$operand);
  let results = (outs StaticShapeTensorOf<[F32]>:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Graph_QuantizeOp : Graph_Composite<"quantize"> {
  let summary = "scaled values as 8-bit floats";
  let description = [{
    The operand times the scale of its block, in f32, converted to nearest even and saturating (see `graph.convert`). A
    scale of type f8E8M0FNU is the block's factor, by which the operand is divided; a scale of type f32 is the factor's
    reciprocal. (C1) The scales' shape divides the operand into blocks; (C2) factors of type f8E8M0FNU belong to f8E4M3FN
    and f8E5M2.

    ```mlir
    %q = graph.quantize %x, %scale : tensor<2x4x256xbf16>, tensor<2x4x1xf32> -> tensor<2x4x256xf8E4M3FN>
    %m = graph.quantize %x, %factor : tensor<2x4x256xbf16>, tensor<2x4x8xf8E8M0FNU> -> tensor<2x4x256xf8E5M2>
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$operand, Graph_FactorTensor:$scale);
  let results = (outs Graph_Fp8Tensor:$result);
  let assemblyFormat = "$operand `,` $scale attr-dict `:` type($operand) `,` type($scale) `->` type($result)";
  let hasVerifier = 1;
}

def Graph_DequantizeOp : Graph_Composite<"dequantize"> {
  let summary = "what a quantised tensor stands for";
  let description = [{
    Each value times the factor of its block, in f32, rounded to the result's type. (C1) and (C2) of `graph.quantize`.

    ```mlir
    %x = graph.dequantize %q, %factor : tensor<2x4x256xf8E4M3FN>, tensor<2x4x1xf32> -> tensor<2x4x256xf32>
    ```
  }];
  let arguments = (ins Graph_Fp8Tensor:$operand, Graph_FactorTensor:$factor);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = "$operand `,` $factor attr-dict `:` type($operand) `,` type($factor) `->` type($result)";
  let hasVerifier = 1;
}

def Graph_ScaledMatmulOp : Graph_Composite<"scaled_matmul"> {
  let summary = "product of two quantised tensors, in einsum notation";
  let description = [{
    The `graph.matmul` of what the operands stand for, accumulated in f32. A kernel may apply factors to sums of products
    that share them. (C1) The spec and the shapes are those of a `graph.matmul`; (C2) each operand and its factors are
    such as in `graph.dequantize`; (C3) both operands have one encoding, OCP or fnuz; (C4) the factors have one type.

    ```mlir
    %y = graph.scaled_matmul "bsh,fh->bsf" %q by %fq, %w by %fw : (tensor<2x4x256xf8E5M2>, tensor<2x4x2xf32>, tensor<128x256xf8E4M3FN>, tensor<1x2xf32>) -> tensor<2x4x128xbf16>
    ```
  }];
  let arguments = (ins StrAttr:$spec, Graph_Fp8Tensor:$lhs, Graph_FactorTensor:$lhs_factor, Graph_Fp8Tensor:$rhs,
                       Graph_FactorTensor:$rhs_factor);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = [{$spec $lhs `by` $lhs_factor `,` $rhs `by` $rhs_factor attr-dict `:`
                         functional-type(operands, $result)}];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::llvm::StringRef getLhsSpec() { return getSpec().split(',').first; }
    ::llvm::StringRef getRhsSpec() { return getSpec().split(',').second.split("->").first; }
    ::llvm::StringRef getResultSpec() { return getSpec().split("->").second; }
  }];
}

#endif // PRIMUS_IR_GRAPH_QUANTIZATION
