//===- GraphCollectives.td - Changes of layout ----------------------------===//
//
// `graph.reshard` is what phase `sharded` asks for, the collectives are how phase `placed` does it. They are values'
// definitions like any other op: a collective names mesh axes, and its group is the ranks that agree in all others.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_IR_GRAPH_COLLECTIVES
#define PRIMUS_IR_GRAPH_COLLECTIVES

include "ir/graph/GraphBase.td"

def Graph_ReshardOp : Graph_Op<"reshard", [Pure, DeclareOpInterfaceMethods<Costed>]> {
  let summary = "the same value in another layout";
  let description = [{
    Only in phase `sharded`; `graph-place` makes collectives of it. (C1) shape and element type stay.

    ```mlir
    %y = graph.reshard %x : tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>> -> tensor<4x8xf32, #graph.layout<mesh, [["tp"], []]>>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

/// Created by `graph-place`. Types are those of one rank: local shapes, beside which the layout is kept.
/// Verified alike, by what `getExpectedType` says of the result.
class Graph_Collective<string mnemonic, list<Trait> traits = []>
    : Graph_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<Costed>,
        DeclareOpInterfaceMethods<CollectiveOpInterface>], traits)> {
  let results = (outs Graph_Tensor:$result);
  let hasVerifier = 1;
}

def Graph_AllReduceOp : Graph_Collective<"all_reduce"> {
  let summary = "combine the ranks' values; every rank gets the result";
  let description = [{
    Floats are combined in rank order in f32 (f64 for f64) and rounded once. (C1) the axes are distinct axes of the mesh;
    (C2) where the operand has a layout, it is partial over each of them in this reduction; (C3) the result is the
    operand without those partial axes.

    ```mlir
    %y = graph.all_reduce sum %x over ["tp"] : tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>> -> tensor<4x8xf32, #graph.layout<mesh, [[], []]>>
    ```
  }];
  let arguments = (ins Graph_ReduceKindAttr:$kind, Graph_Tensor:$operand, StrArrayAttr:$axes);
  let assemblyFormat = [{custom<PlainEnum>($kind) $operand `over` $axes attr-dict `:` type($operand) `->`
                         type($result)}];
}

def Graph_ReduceScatterOp : Graph_Collective<"reduce_scatter"> {
  let summary = "combine the ranks' values; every rank gets its block of the result";
  let description = [{
    As `graph.all_reduce` and then `graph.block`. (C1) to (C3) of all_reduce; (C4) `dim` is a dimension, and divides
    into as many blocks as there are ranks in the group; the axes are appended to those that split it.

    ```mlir
    %y = graph.reduce_scatter sum %x over ["tp"] dim 0 : tensor<4x8xf32, #graph.layout<mesh, [["cp"], []], partial = {tp : sum}>> -> tensor<2x8xf32, #graph.layout<mesh, [["cp", "tp"], []]>>
    ```
  }];
  let arguments = (ins Graph_ReduceKindAttr:$kind, Graph_Tensor:$operand, StrArrayAttr:$axes, I64Attr:$dim);
  let assemblyFormat = [{custom<PlainEnum>($kind) $operand `over` $axes `dim` $dim attr-dict `:` type($operand) `->`
                         type($result)}];
}

def Graph_AllGatherOp : Graph_Collective<"all_gather"> {
  let summary = "every rank gets the blocks of all ranks, in order";
  let description = [{
    (C1) the axes are distinct axes of the mesh; (C2) where the operand has a layout, they are the last of those that
    split dimension `dim`; (C3) the result's dimension `dim` is as many times as long as there are ranks in the group,
    and no longer split over the axes.

    ```mlir
    %y = graph.all_gather %x over ["tp"] dim 1 : tensor<4x4xf32, #graph.layout<mesh, [[], ["tp"]]>> -> tensor<4x8xf32, #graph.layout<mesh, [[], []]>>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, StrArrayAttr:$axes, I64Attr:$dim);
  let assemblyFormat = "$operand `over` $axes `dim` $dim attr-dict `:` type($operand) `->` type($result)";
}

def Graph_AllToAllOp : Graph_Collective<"all_to_all"> {
  let summary = "move the axes that split one dimension to another";
  let description = [{
    Rank i of the group sends block j of dimension `split` to rank j, which joins what it gets along `concat`, in rank
    order. As `graph.all_gather` along `concat` and then `graph.block` of `split`. (C1) the axes are distinct axes of
    the mesh; (C2) where the operand has a layout, they are the last of those that split dimension `concat`; (C3) they
    are appended to those of `split`, which divides evenly; (C4) the two dimensions differ.

    ```mlir
    %y = graph.all_to_all %x over ["tp"] split 1 concat 0 : tensor<2x8xf32, #graph.layout<mesh, [["tp"], []]>> -> tensor<4x4xf32, #graph.layout<mesh, [[], ["tp"]]>>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, StrArrayAttr:$axes, I64Attr:$split_dim, I64Attr:$concat_dim);
  let assemblyFormat = [{$operand `over` $axes `split` $split_dim `concat` $concat_dim attr-dict `:` type($operand)
                         `->` type($result)}];
}

def Graph_PermuteOp : Graph_Collective<"permute", [AllTypesMatch<["operand", "result"]>]> {
  let summary = "each rank gets the value of the rank `shift` places before it in the group";
  let description = [{
    The group is a ring: rank r receives from rank `r - shift` modulo its size. (C1) the axes are distinct axes of the
    mesh.

    ```mlir
    %y = graph.permute %x over ["cp"] shift 1 : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, StrArrayAttr:$axes, I64Attr:$shift);
  let assemblyFormat = "$operand `over` $axes `shift` $shift attr-dict `:` type($result)";
}

def Graph_BlockOp : Graph_Collective<"block"> {
  let summary = "the rank's own block of a value that every rank has";
  let description = [{
    Moves nothing between ranks. (C1) the axes are distinct axes of the mesh; (C2) `dim` is a dimension, and divides
    into as many blocks as there are ranks in the group; the axes are appended to those that split it.

    ```mlir
    %y = graph.block %x over ["tp"] dim 0 : tensor<4x8xf32, #graph.layout<mesh, [[], []]>> -> tensor<2x8xf32, #graph.layout<mesh, [["tp"], []]>>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, StrArrayAttr:$axes, I64Attr:$dim);
  let assemblyFormat = "$operand `over` $axes `dim` $dim attr-dict `:` type($operand) `->` type($result)";
}

#endif // PRIMUS_IR_GRAPH_COLLECTIVES
