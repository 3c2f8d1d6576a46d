//===- FusionPasses.td - From ops to kernels ------------------------------===//

#ifndef PRIMUS_FUSION_PASSES
#define PRIMUS_FUSION_PASSES

include "mlir/Pass/PassBase.td"

def LiftCollectives : Pass<"graph-lift-collectives", "::mlir::ModuleOp"> {
  let summary = "move the collectives of parameters and gradients to the programs";
  let description = [{
    First pass of phase `fused`. A function of a layer that is neither its forward nor its backward pass (it makes the compute copies of parameters, or
    adds gradients) may begin or end with collectives. Those of an argument that nothing else in the function reads, and of a result, move to
    the callers: at call level `step-overlap` can start them while other layers compute, and exchange those of several tensors together.

    ```mlir
    module attributes {graph.mesh = #graph.mesh<"fsdp" = 2>} {
      func.func private @l.unshard(%w: tensor<4x8xf32>) -> tensor<8x8xbf16> attributes {graph.layer = {layer = "l", part = "unshard"}} {
        %0 = graph.convert %w : tensor<4x8xf32> -> tensor<4x8xbf16>
        %1 = graph.all_gather %0 over ["fsdp"] dim 0 : tensor<4x8xbf16> -> tensor<8x8xbf16>
        return %1 : tensor<8x8xbf16>
      }
      func.func @p(%w: tensor<4x8xf32>) -> tensor<8x8xbf16> {
        %y = graph.call @l.unshard(%w) instance "l.0" : (tensor<4x8xf32>) -> tensor<8x8xbf16>
        return %y : tensor<8x8xbf16>
      }
    }
    ```

    becomes

    ```mlir
    module attributes {graph.mesh = #graph.mesh<"fsdp" = 2>} {
      func.func private @l.unshard(%w: tensor<4x8xf32>) -> tensor<4x8xbf16> attributes {graph.layer = {layer = "l", part = "unshard"}} {
        %0 = graph.convert %w : tensor<4x8xf32> -> tensor<4x8xbf16>
        return %0 : tensor<4x8xbf16>
      }
      func.func @p(%w: tensor<4x8xf32>) -> tensor<8x8xbf16> {
        %0 = graph.call @l.unshard(%w) instance "l.0" : (tensor<4x8xf32>) -> tensor<4x8xbf16>
        %y = graph.all_gather %0 over ["fsdp"] dim 0 : tensor<4x8xbf16> -> tensor<8x8xbf16>
        return %y : tensor<8x8xbf16>
      }
    }
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def DropLayouts : Pass<"graph-drop-layouts", "::mlir::ModuleOp"> {
  let summary = "drop the layouts of values inside of layers' functions";
  let description = [{
    On one rank all shapes are local, and what must move between ranks is an op: layouts have served. Without them values
    can take any shape that a kernel likes. Arguments and results of functions keep theirs, by which programs pass values on.

    ```mlir
    func.func private @f(%x: tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>) -> tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>> attributes {graph.layer = {layer = "f", part = "forward"}} {
      %y = graph.exp %x : tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>
      return %y : tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>
    }
    ```

    becomes

    ```mlir
    func.func private @f(%x: tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>) -> tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>> attributes {graph.layer = {layer = "f", part = "forward"}} {
      %0 = graph.reshape %x : tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>> -> tensor<4x8xf32>
      %1 = graph.exp %0 : tensor<4x8xf32>
      %y = graph.reshape %1 : tensor<4x8xf32> -> tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>
      return %y : tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>
    }
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def ExpandCrossEntropy : Pass<"graph-expand-cross-entropy", "::mlir::ModuleOp"> {
  let summary = "compute the loss over chunks of tokens";
  let description = [{
    Splits `graph.cross_entropy`, and its gradient where that is in the same function, into chunks of
    tokens whose f32 logits fit `limit` bytes. A chunk's loss and gradient are neighbours, so that its logits are computed once
    and are gone before the next chunk's (Hsu et al. 2024, arXiv 2410.10989, chunk the same way). Where the vocabulary is split over ranks,
    they combine their `graph.cross_entropy_part` of each chunk before its gradient: a small gather per chunk instead of a second product.

    Before:
    ```mlir
    %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 97 : (tensor<64x16xf32>, tensor<97x16xf32>, tensor<64xi32>) -> (tensor<f32>, tensor<f32>, tensor<64xf32>)
    ```
    After, with `limit=12416`:
    ```mlir
    %c = graph.constant dense<0> : tensor<64xi32>
    %m = graph.compare ge %labels, %c : tensor<64xi32> -> tensor<64xi1>
    %f = graph.convert %m : tensor<64xi1> -> tensor<64xf32>
    %valid = graph.reduce sum %f dims [0] : tensor<64xf32> -> tensor<f32>
    %x0 = graph.slice %x at [0, 0] : tensor<64x16xf32> -> tensor<32x16xf32>
    %labels0 = graph.slice %labels at [0] : tensor<64xi32> -> tensor<32xi32>
    %loss0, %valid0, %lse0 = graph.cross_entropy %x0, %w, %labels0 vocabulary 97 : (tensor<32x16xf32>, tensor<97x16xf32>, tensor<32xi32>) -> (tensor<f32>, tensor<f32>, tensor<32xf32>)
    %x1 = graph.slice %x at [32, 0] : tensor<64x16xf32> -> tensor<32x16xf32>
    %labels1 = graph.slice %labels at [32] : tensor<64xi32> -> tensor<32xi32>
    %loss1, %valid1, %lse1 = graph.cross_entropy %x1, %w, %labels1 vocabulary 97 : (tensor<32x16xf32>, tensor<97x16xf32>, tensor<32xi32>) -> (tensor<f32>, tensor<f32>, tensor<32xf32>)
    %loss = graph.add %loss0, %loss1 : tensor<f32>
    ```
  }];
  let options = [
    Option<"limit", "limit", "int64_t", "33554432", "bytes of a chunk's logits">,
    Option<"maxChunks", "max-chunks", "int64_t", "16", "more chunks are never made; then a chunk may be larger">
  ];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def FormFusions : Pass<"graph-form-fusions", "::mlir::ModuleOp"> {
  let summary = "group ops into kernels";
  let description = [{
    Brings the ops of each layer's function into the forms that kernel families know: elementwise ops over [rows, columns], reductions over one of the two
    dimensions, products [batch, m, k] x [batch, k, n]; composites that no family takes whole are replaced by their definitions. Then
    groups are merged greedily, by the bytes of memory traffic that a merge saves, as long as a family accepts the result and no two kernels need each other. Values that another
    group can compute from less than it would read are computed there once more. Each group becomes a
    `graph.fusion`. Views stay outside, and so do collectives, which no kernel crosses.

    A merge that would save traffic and is refused leaves a remark (`fusion-missed`) with the reason; a value that several kernels compute leaves one
    (`fusion-recompute`), too.

    Before:
    ```mlir
    %0 = graph.matmul "bsh,fh->bsf" %x, %w : (tensor<2x64x32xf32>, tensor<48x32xf32>) -> tensor<2x64x48xf32>
    %1 = graph.add %0, %r : tensor<2x64x48xf32>
    ```
    After:
    ```mlir
    %2 = graph.reshape %x : tensor<2x64x32xf32> -> tensor<1x128x32xf32>
    %3 = graph.reshape %w : tensor<48x32xf32> -> tensor<1x48x32xf32>
    %4 = graph.reshape %r : tensor<2x64x48xf32> -> tensor<128x48xf32>
    %5 = graph.fusion "matmul" (%a = %2, %b = %3, %c = %4) : (tensor<1x128x32xf32>, tensor<1x48x32xf32>, tensor<128x48xf32>) -> tensor<128x48xf32> {
      %6 = graph.matmul "bmk,bnk->bmn" %a, %b : (tensor<1x128x32xf32>, tensor<1x48x32xf32>) -> tensor<1x128x48xf32>
      %7 = graph.reshape %6 : tensor<1x128x48xf32> -> tensor<128x48xf32>
      %8 = graph.add %7, %c : tensor<128x48xf32>
      graph.yield %8 : tensor<128x48xf32>
    }
    %9 = graph.reshape %5 : tensor<128x48xf32> -> tensor<2x64x48xf32>
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def PackOperands : Pass<"graph-pack-operands", "::mlir::ModuleOp"> {
  let summary = "bring matmul operands into the micro-kernel's order";
  let description = [{
    Gives each fusion of family `matmul` its right operand in panels (`graph.pack`, a fusion of its own) and its left operand with the contracted dimension contiguous
    (a transpose, where it is not). What several products of a function read is packed once. Products of unlike element types are formed in f32.
    The product itself becomes one over the panels:

    ```mlir
    %p = graph.fusion "pack" (%a = %w) : (tensor<1x48x32xf32>) -> tensor<1x2x32x32x1xf32> {
      %0 = graph.pack %a width 32 group 1 {transposed} : tensor<1x48x32xf32> -> tensor<1x2x32x32x1xf32>
      graph.yield %0 : tensor<1x2x32x32x1xf32>
    }
    %y = graph.fusion "matmul" (%a = %x, %b = %p) : (tensor<1x128x32xf32>, tensor<1x2x32x32x1xf32>) -> tensor<1x128x48xf32> {
      %0 = graph.reshape %a : tensor<1x128x32xf32> -> tensor<1x128x32x1xf32>
      %1 = graph.matmul "bmkg,bpkwg->bmpw" %0, %b : (tensor<1x128x32x1xf32>, tensor<1x2x32x32x1xf32>) -> tensor<1x128x2x32xf32>
      %2 = graph.reshape %1 : tensor<1x128x2x32xf32> -> tensor<1x128x64xf32>
      %3 = graph.slice %2 at [0, 0, 0] : tensor<1x128x64xf32> -> tensor<1x128x48xf32>
      graph.yield %3 : tensor<1x128x48xf32>
    }
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

#endif // PRIMUS_FUSION_PASSES
