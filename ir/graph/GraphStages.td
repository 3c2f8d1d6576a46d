//===- GraphStages.td - Programs of pipeline stages -----------------------===//
//
// After graph-split-stages each rank of the mesh axis `pp` has a program of its own, on which the ranks with that place
// in the axis run; these ops connect them.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_IR_GRAPH_STAGES
#define PRIMUS_IR_GRAPH_STAGES

include "ir/graph/GraphBase.td"

def Graph_MicrobatchOp : Graph_Op<"microbatch", [Pure]> {
  let summary = "one microbatch of a program's input";
  let description = [{
    As the body of a `graph.schedule` sees it: the slice `index` of the leading dimension, without that dimension. (C1)
    index is less than the leading dimension; (C2) the result's type is the operand's without it.

    ```mlir
    %t = graph.microbatch 3 of %tokens : tensor<4x2x8xi32> -> tensor<2x8xi32>
    ```
  }];
  let arguments = (ins I64Attr:$index, Graph_Tensor:$operand);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$index `of` $operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Graph_SendOp : Graph_Op<"send"> {
  let summary = "give values to another stage";
  let description = [{
    To the rank that has place `stage` in the mesh axis `pp` and agrees with this one in all other axes. The next
    `graph.receive` there that names this stage, and has not received yet, gets them. Ends at once; the values stay as
    they are until they have gone.

    ```mlir
    graph.send %x to 1 : tensor<2x8xbf16>
    ```
  }];
  let arguments = (ins Variadic<Graph_Tensor>:$values, I64Attr:$stage);
  let assemblyFormat = "$values `to` $stage attr-dict `:` type($values)";
}

def Graph_ReceiveOp : Graph_Op<"receive"> {
  let summary = "values from another stage";
  let description = [{
    What the rank with place `stage` in the mesh axis `pp` sends. Starts at once; whoever uses the values waits for them.

    ```mlir
    %x = graph.receive from 0 : tensor<2x8xbf16>
    ```
  }];
  let arguments = (ins I64Attr:$stage);
  let results = (outs Variadic<Graph_Tensor>:$values);
  let assemblyFormat = "`from` $stage attr-dict `:` type($values)";
}

def Graph_SumStagesOp : Graph_Op<"sum_stages", [AllTypesMatch<["operand", "result"]>]> {
  let summary = "the sum of the stages' values; each gets it";
  let description = [{
    The programs of all stages have this op in the same order. Sums are formed in the order of stages.

    ```mlir
    %loss = graph.sum_stages %part : tensor<f32>
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$operand);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

#endif // PRIMUS_IR_GRAPH_STAGES
