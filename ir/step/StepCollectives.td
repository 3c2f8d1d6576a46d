//===- StepCollectives.td - What moves between ranks ----------------------===//

#ifndef PRIMUS_IR_STEP_COLLECTIVES
#define PRIMUS_IR_STEP_COLLECTIVES

include "ir/step/StepBase.td"
include "ir/step/StepInterfaces.td"
include "mlir/IR/EnumAttr.td"

class Step_Enum<string name, string summary, list<I32EnumAttrCase> cases> : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::primus::step";
}

def Step_CollectiveKind : Step_Enum<"CollectiveKind", "what a collective does", [
  I32EnumAttrCase<"AllReduce", 0, "all_reduce">,
  I32EnumAttrCase<"ReduceScatter", 1, "reduce_scatter">,
  I32EnumAttrCase<"AllGather", 2, "all_gather">,
  I32EnumAttrCase<"AllToAll", 3, "all_to_all">,
  I32EnumAttrCase<"Permute", 4, "permute">,
  I32EnumAttrCase<"Block", 5, "block">]>;

def Step_Reduction : Step_Enum<"Reduction", "how values of several ranks are combined", [
  I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Max", 1, "max">]>;

def Step_CollectiveOp : Step_Op<"collective", [SameVariadicOperandSize, ExchangeOpInterface]> {
  let summary = "exchange buffers with the other ranks of a group";
  let description = [{
    The group is the ranks that agree in all other axes than `axes` (major first) of the module's `graph.mesh`. Each source is exchanged into the target at
    its place; several pairs travel together (a bucket), and have one element type. N is the size of the group, d the pair's entry in `dims`:

     - `all_reduce`: the target is the sum (or maximum) of all sources; it may be the source itself.
     - `reduce_scatter`: block r of N blocks along d of that, on rank r of the group.
     - `all_gather`: all sources, one after the other along d.
     - `all_to_all`: block r along d of each source, one after the other along the pair's entry in `concat`.
     - `permute`: the source of the rank `shift` places before, cyclically.
     - `block`: this rank's block along d of its own source; nothing is sent.

    With a `ticket`, which no other op of the module has, the op only starts; until the `step.wait` of that ticket, in the same block, nothing may touch the
    target or write the source. All ranks start the same collectives in the same order. `because` tells people why it is there, `instance` for which layer.

    ```mlir
    module attributes {graph.mesh = #graph.mesh<"fsdp" = 2, "tp" = 2>} {
      step.function @f(%x: memref<4x8xf32>, %w: memref<2x8xf32>, %y: memref<4x8xf32>, %whole: memref<4x8xf32>) scratch 0 {
        step.collective all_gather over ["fsdp"] %w to %whole dims [0] ticket 1 : memref<2x8xf32> to memref<4x8xf32>
        step.collective all_reduce sum over ["tp"] %x to %y because "x is partial" : memref<4x8xf32> to memref<4x8xf32>
        step.wait 1
        step.return
      }
    }
    ```
  }];
  let arguments = (ins Step_CollectiveKind:$kind, OptionalAttr<Step_Reduction>:$reduction, StrArrayAttr:$axes,
                       Variadic<AnyMemRef>:$sources, Variadic<AnyMemRef>:$targets,
                       OptionalAttr<DenseI64ArrayAttr>:$dims, OptionalAttr<DenseI64ArrayAttr>:$concat_dims,
                       DefaultValuedAttr<I64Attr, "0">:$shift, DefaultValuedAttr<I64Attr, "0">:$ticket,
                       OptionalAttr<StrAttr>:$instance, OptionalAttr<StrAttr>:$reason);
  let assemblyFormat = [{$kind ($reduction^)? `over` $axes $sources `to` $targets (`dims` $dims^)? (`concat` $concat_dims^)?
                         (`shift` $shift^)? (`ticket` $ticket^)? (`instance` $instance^)? (`because` $reason^)? attr-dict
                         `:` type($sources) `to` type($targets)}];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Ranks that take part: the product of the axes' sizes.
    int64_t getGroupSize();
    /// Bytes that each rank sends, as the best known algorithms of rings do it (Chan et al. 2007, doi 10.1002/cpe.1206).
    int64_t getBytesSent();
  }];
}

def Step_WaitOp : Step_Op<"wait"> {
  let summary = "until a collective, send or receive has finished";
  let description = [{
    Comes once after the op with this ticket, in its block.

    ```mlir
    module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
      step.function @f(%x: memref<4x8xf32>) scratch 0 {
        step.collective all_reduce max over ["tp"] %x to %x ticket 7 : memref<4x8xf32> to memref<4x8xf32>
        step.wait 7
        step.return
      }
    }
    ```
  }];
  let arguments = (ins I64Attr:$ticket);
  let assemblyFormat = "$ticket attr-dict";
}

#endif // PRIMUS_IR_STEP_COLLECTIVES
