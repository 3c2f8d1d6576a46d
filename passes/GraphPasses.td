//===- GraphPasses.td - Passes within the graph dialect -------------------===//

#ifndef PRIMUS_GRAPH_PASSES
#define PRIMUS_GRAPH_PASSES

include "mlir/Pass/PassBase.td"

def Decompose : Pass<"graph-decompose", "::mlir::ModuleOp"> {
  let summary = "replace composites by their definitions";
  let description = [{
    Replaces every op with the `Decomposable` interface by its definition, also in schedules and fusions, and the
    composites of the definition in turn. Only primitives and structure are left. No phase needs it: it shows what a composite
    means, and the interpreter runs the same code.

    Before:
    ```mlir
    %y = graph.activation quick_gelu %x : tensor<8xbf16>
    ```
    After:
    ```mlir
    %0 = graph.convert %x : tensor<8xbf16> -> tensor<8xf32>
    %1 = graph.constant dense<1.702000e+00> : tensor<8xf32>
    %2 = graph.mul %0, %1 : tensor<8xf32>
    %3 = graph.sigmoid %2 : tensor<8xf32>
    %4 = graph.mul %0, %3 : tensor<8xf32>
    %y = graph.convert %4 : tensor<8xf32> -> tensor<8xbf16>
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def Interpret : Pass<"graph-interpret", "::mlir::ModuleOp"> {
  let summary = "run a function in the interpreter and print its results";
  let description = [{
    Gives the variables their first values, runs `function`, and prints one comment line per result. The module stays as
    it is. Inputs are drawn from `seed`: floats are normally distributed, integers uniform in [0, `integer-bound`).

    For
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %0 = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
      %1 = graph.add %0, %0 : tensor<2xf32>
      return %1 : tensor<2xf32>
    }
    ```
    it prints
    ```
    // main result 0 : tensor<2xf32> = [2, 4]
    ```
  }];
  let options = [
    Option<"function", "function", "std::string", "\"main\"", "the function to run">,
    Option<"mode", "mode", "std::string", "\"exact\"",
           "exact (all floats are f64) or faithful (each type's own rounding)">,
    Option<"seed", "seed", "uint64_t", "1234", "seed of variables and inputs">,
    Option<"integerBound", "integer-bound", "int64_t", "16", "bound of random integer inputs">
  ];
}

def QuantizeMatmuls : Pass<"graph-quantize-matmuls", "::mlir::ModuleOp"> {
  let summary = "quantise the operands of products that have a recipe";
  let description = [{
    Replaces each `graph.matmul` with the attribute `fp8` by a `graph.scaled_matmul` of operands that its recipe
    quantises. Scales are computed by visible ops. An activation's block never reaches over several data ranks'
    sequences; one that other ranks share is measured in parts, which each of them has whole. Where a layer's backward
    function only quantises what forward hands over, forward quantises it and hands over the 8-bit values.

    Before:
    ```mlir
    func.func private @block.forward(%x: tensor<2x4x8xbf16> {graph.arg = "activation"}, %w: tensor<6x8xbf16> {graph.arg = "parameter"}) -> tensor<2x4x6xbf16> attributes {graph.layer = {layer = "block", part = "forward"}} {
      %y = graph.matmul "bsi,oi->bso" %x, %w {fp8 = #graph.fp8<recipe = mxfp8>} : (tensor<2x4x8xbf16>, tensor<6x8xbf16>) -> tensor<2x4x6xbf16>
      return %y : tensor<2x4x6xbf16>
    }
    ```
    In place of the product:
    ```mlir
    %x.amax = graph.amax %x : tensor<2x4x8xbf16> -> tensor<2x4x1xf32>
    %c = graph.constant dense<3.906250e-03> : tensor<2x4x1xf32>
    %m = graph.mul %x.amax, %c : tensor<2x4x1xf32>
    %x.factor = graph.convert %m : tensor<2x4x1xf32> -> tensor<2x4x1xf8E8M0FNU>
    %x.fp8 = graph.quantize %x, %x.factor : tensor<2x4x8xbf16>, tensor<2x4x1xf8E8M0FNU> -> tensor<2x4x8xf8E4M3FN>
    %w.amax = graph.amax %w : tensor<6x8xbf16> -> tensor<6x1xf32>
    %d = graph.constant dense<3.906250e-03> : tensor<6x1xf32>
    %n = graph.mul %w.amax, %d : tensor<6x1xf32>
    %w.factor = graph.convert %n : tensor<6x1xf32> -> tensor<6x1xf8E8M0FNU>
    %w.fp8 = graph.quantize %w, %w.factor : tensor<6x8xbf16>, tensor<6x1xf8E8M0FNU> -> tensor<6x8xf8E4M3FN>
    %y = graph.scaled_matmul "bsi,oi->bso" %x.fp8 by %x.factor, %w.fp8 by %w.factor : (tensor<2x4x8xf8E4M3FN>, tensor<2x4x1xf8E8M0FNU>, tensor<6x8xf8E4M3FN>, tensor<6x1xf8E8M0FNU>) -> tensor<2x4x6xbf16>
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def VerifyPhase : Pass<"verify-phase", "::mlir::ModuleOp"> {
  let summary = "check what a phase promises";
  let description = [{
    Last pass of each IR phase. Reports what keeps a module from being in that phase; changes nothing.

    With `phase=model`, this is refused, as a layer's function holds no schedule:
    ```mlir
    func.func private @block.forward() attributes {graph.layer = {layer = "block", part = "forward"}} {
      graph.schedule microbatches 2 () : () -> () {
        graph.yield
      }
      return
    }
    ```
  }];
  let options = [Option<"phase", "phase", "std::string", "\"model\"", "an IR phase: model, train, fp8, sharded, placed, fused or step">];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def Autodiff : Pass<"graph-autodiff", "::mlir::ModuleOp"> {
  let summary = "derive each layer's backward function and its residuals";
  let description = [{
    First pass of phase `train`. For each distinct layer that `@forward` calls, walks its function backwards through the interface `Differentiable`
    and builds the function of its gradients; ops without a derivative are decomposed first. Gradients of parameters are added to
    accumulators in f32. The forward function gets its residuals as further results: the smallest set of values from which
    backward can be computed with elementwise ops and data movement alone (a minimum cut). What forward takes as arguments is passed
    again. With `recompute = "full"` in `graph.plan`, backward computes the whole forward again instead; with
    `"selective"`, attention. The layer of the loss gets one function for both directions.

    Before:
    ```mlir
    func.func private @block.forward(%x: tensor<4x8xf32> {graph.name = "x", graph.arg = "activation"},
                                     %w: tensor<6x8xf32> {graph.name = "w", graph.arg = "parameter"})
        -> (tensor<4x6xf32> {graph.name = "y"}) attributes {graph.layer = {layer = "block", part = "forward"}} {
      %h = graph.matmul "sh,fh->sf" %x, %w : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
      %y = graph.exp %h : tensor<4x6xf32>
      return %y : tensor<4x6xf32>
    }
    ```
    After, besides the forward function, whose result is the residual:
    ```mlir
    func.func private @block.backward(%dy: tensor<4x6xf32> {graph.arg = "cotangent", graph.name = "y.grad", graph.of = 0 : i64},
                                      %y: tensor<4x6xf32> {graph.arg = "residual", graph.name = "y", graph.of = 0 : i64},
                                      %x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x", graph.of = 0 : i64},
                                      %w: tensor<6x8xf32> {graph.arg = "parameter", graph.name = "w", graph.of = 1 : i64},
                                      %acc: tensor<6x8xf32> {graph.arg = "accumulator", graph.name = "w.grad", graph.of = 1 : i64})
        -> (tensor<4x8xf32> {graph.name = "x.grad", graph.of = 0 : i64},
            tensor<6x8xf32> {graph.inplace = 4 : i64, graph.name = "w.grad", graph.of = 1 : i64})
        attributes {graph.layer = {layer = "block", part = "backward"}} {
      %dh = graph.mul %dy, %y : tensor<4x6xf32>
      %dx = graph.matmul "sf,fh->sh" %dh, %w : (tensor<4x6xf32>, tensor<6x8xf32>) -> tensor<4x8xf32>
      %dw = graph.matmul "sf,sh->fh" %dh, %x : (tensor<4x6xf32>, tensor<4x8xf32>) -> tensor<6x8xf32>
      %sum = graph.add %acc, %dw : tensor<6x8xf32>
      return %dx, %sum : tensor<4x8xf32>, tensor<6x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def BuildTrainStep : Pass<"graph-build-train-step", "::mlir::ModuleOp"> {
  let summary = "schedule forward, backward, reduction and update of all layers";
  let description = [{
    Last pass of phase `train`; follows `graph-autodiff`. Adds the program `@train_step`: compute copies of the parameters once, gradients set to zero, a
    `graph.schedule` of all microbatches (each runs all layers forward, the loss, and all layers backward), then the
    division by the number of valid tokens, the norm of all gradients, clipping, and AdamW. Adds the
    variables `<parameter>.m`, `.v` and `.grad`, and per distinct layer the parts `reduce` and `update`. A tied parameter has
    one accumulator; the first layer that uses it reduces and updates it. With `zero = 2` in `graph.plan`, backward functions
    give gradients, which a part `accumulate` adds at call level, so that they can be reduced before; with `zero = 3`,
    parameters are loaded for each use instead of once per step.

    Before:
    ```mlir
    graph.variable @head.w : tensor<9x9xf32> role parameter init #graph.init<"zeros">
    func.func private @head.forward(tensor<4xi32>, tensor<9x9xf32>) -> (tensor<f32>, tensor<f32>)
    func.func @forward(%tokens: tensor<4xi32> {graph.name = "tokens"}) -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
      %w = graph.load @head.w : tensor<9x9xf32>
      %loss, %valid = graph.call @head.forward(%tokens, %w) instance "head" : (tensor<4xi32>, tensor<9x9xf32>) -> (tensor<f32>, tensor<f32>)
      return %loss, %valid : tensor<f32>, tensor<f32>
    }
    ```
    After, beside it, the part of the new program up to the end of the schedule:
    ```mlir
    graph.variable @head.w : tensor<9x9xf32> role parameter init #graph.init<"zeros">
    graph.variable @head.w.grad : tensor<9x9xf32> role gradient init #graph.init<"zeros">
    func.func private @head.forward_backward(tensor<4xi32>, tensor<9x9xf32>, tensor<9x9xf32>) -> (tensor<f32>, tensor<f32>, tensor<9x9xf32>)
    func.func @train_step(%tokens: tensor<2x4xi32> {graph.name = "tokens"}) -> (tensor<f32>, tensor<f32>) {
      %w = graph.load @head.w : tensor<9x9xf32>
      %zero = graph.constant dense<0.0> : tensor<9x9xf32>
      graph.store %zero, @head.w.grad : tensor<9x9xf32>
      %loss, %valid = graph.schedule microbatches 2 (%t = %tokens) : (tensor<2x4xi32>) -> (tensor<f32>, tensor<f32>) {
        %acc = graph.load @head.w.grad : tensor<9x9xf32>
        %l, %v, %sum = graph.call @head.forward_backward(%t, %w, %acc) instance "head" : (tensor<4xi32>, tensor<9x9xf32>, tensor<9x9xf32>) -> (tensor<f32>, tensor<f32>, tensor<9x9xf32>)
        graph.store %sum, @head.w.grad : tensor<9x9xf32>
        graph.yield %l, %v : tensor<f32>, tensor<f32>
      }
      return %loss, %valid : tensor<f32>, tensor<f32>
    }
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def Shard : Pass<"graph-shard", "::mlir::ModuleOp"> {
  let summary = "give every value a layout over the mesh";
  let description = [{
    Phase `sharded`. The plan says which mesh axes split which logical dimensions (`graph.dims` on functions, `dims` on
    variables, `graph.pins`; see passes/placement/LogicalDims.h). From there layouts follow forward, op by op, by the sharding
    rules: parameters keep their layout, then pins of results count, then unsplit is weaker than split. Operands that
    disagree get a `graph.reshard`, whose attribute `graph.reason` says what for. Sums that a split leaves pending stay
    so through linear ops. A gradient takes its primal's layout. One walk, no fixed point: each distinct function is
    visited at its first call. Two equally strong claims without a pin are an error that names both.
    With `zero`, parameters and optimizer state are also split over the axes that share state, and gathered for layers.

    On a mesh of one rank, every tensor gets the layout in which each rank holds all of it.

    Before:
    ```mlir
    #plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
    module attributes {graph.mesh = #graph.mesh<"tp" = 2>, graph.plan = #plan} {
      graph.variable @w : tensor<8x6xf32> role parameter init #graph.init<"ones"> {dims = ["", "ffn"]}
      func.func private @f.forward(%x: tensor<4x6xf32> {graph.arg = "activation", graph.dims = ["", "ffn"], graph.name = "x"},
                                   %w: tensor<8x6xf32> {graph.arg = "parameter", graph.dims = ["", "ffn"], graph.name = "w"})
          -> (tensor<4x8xf32> {graph.dims = ["", ""]}) attributes {graph.layer = {layer = "f", part = "forward"}} {
        %y = graph.matmul "sf,hf->sh" %x, %w : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
        return %y : tensor<4x8xf32>
      }
    }
    ```
    After:
    ```mlir
    func.func private @f.forward(%x: tensor<4x6xf32, #graph.layout<mesh, [[], ["tp"]]>>, %w: tensor<8x6xf32, #graph.layout<mesh, [[], ["tp"]]>>)
        -> tensor<4x8xf32, #graph.layout<mesh, [[], []]>> {
      %y = graph.matmul "sf,hf->sh" %x, %w : (tensor<4x6xf32, #graph.layout<mesh, [[], ["tp"]]>>, tensor<8x6xf32, #graph.layout<mesh, [[], ["tp"]]>>) -> tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>>
      %z = graph.reshard %y {graph.reason = "result of f.forward"} : tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>> -> tensor<4x8xf32, #graph.layout<mesh, [[], []]>>
      return %z : tensor<4x8xf32, #graph.layout<mesh, [[], []]>>
    }
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def Place : Pass<"graph-place", "::mlir::ModuleOp"> {
  let summary = "turn changes of layout into collectives and global shapes into local ones";
  let description = [{
    Phase `placed`. Each `graph.reshard` becomes the collectives of fewest bytes (a pending sum that is then split: reduce_scatter; from
    one dimension to another: all_to_all; blocks of whole values move nothing), each with a remark and the reshard's
    `graph.reason`. Each op says what one rank does for it (`Shardable::localize`); where a rank is in the mesh, it gets as an argument,
    from constants `@axis_index.<axes>`. The IR is the same on all ranks. Sets `graph.placed`.

    Before:
    ```mlir
    module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
      func.func private @f.forward(%x: tensor<4x6xf32, #graph.layout<mesh, [[], ["tp"]]>> {graph.arg = "activation"}) -> tensor<4x6xf32, #graph.layout<mesh, [[], []]>>
          attributes {graph.layer = {layer = "f", part = "forward"}} {
        %y = graph.exp %x : tensor<4x6xf32, #graph.layout<mesh, [[], ["tp"]]>>
        %z = graph.reshard %y : tensor<4x6xf32, #graph.layout<mesh, [[], ["tp"]]>> -> tensor<4x6xf32, #graph.layout<mesh, [[], []]>>
        return %z : tensor<4x6xf32, #graph.layout<mesh, [[], []]>>
      }
    }
    ```
    After:
    ```mlir
    module attributes {graph.mesh = #graph.mesh<"tp" = 2>, graph.placed} {
      func.func private @f.forward(%x: tensor<4x3xf32, #graph.layout<mesh, [[], ["tp"]]>> {graph.arg = "activation"}) -> tensor<4x6xf32, #graph.layout<mesh, [[], []]>>
          attributes {graph.layer = {layer = "f", part = "forward"}} {
        %y = graph.exp %x : tensor<4x3xf32, #graph.layout<mesh, [[], ["tp"]]>>
        %z = graph.all_gather %y over ["tp"] dim 1 : tensor<4x3xf32, #graph.layout<mesh, [[], ["tp"]]>> -> tensor<4x6xf32, #graph.layout<mesh, [[], []]>>
        return %z : tensor<4x6xf32, #graph.layout<mesh, [[], []]>>
      }
    }
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def RingAttention : Pass<"graph-ring-attention", "::mlir::ModuleOp"> {
  let summary = "attend to keys that go around instead of gathering them";
  let description = [{
    Last of phase `placed`, where the plan says `ring`. An attention (and its gradient) whose keys, values and positions are gathered from
    a group of ranks becomes one step per rank of the group: attention to one block of keys, while `graph.permute` moves the block on.
    Steps are merged by their log-sum-exp. In the gradient, the sums for a block's keys travel with it, in f32.

    Before:
    ```mlir
    #plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 8 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, ring = true, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
    module attributes {graph.mesh = #graph.mesh<"cp" = 2>, graph.placed, graph.plan = #plan} {
      func.func private @f.forward(%q: tensor<1x4x2x8xf32>, %k: tensor<1x4x2x8xf32>, %i: tensor<4xi32>) -> tensor<1x4x2x8xf32> {
        %ks = graph.all_gather %k over ["cp"] dim 1 : tensor<1x4x2x8xf32> -> tensor<1x8x2x8xf32>
        %j = graph.all_gather %i over ["cp"] dim 0 : tensor<4xi32> -> tensor<8xi32>
        %o, %lse = graph.attention %q, %ks, %ks positions %i, %j scale 0.5 {causal} : tensor<1x4x2x8xf32>, tensor<1x8x2x8xf32>, tensor<4xi32>, tensor<8xi32> -> tensor<1x2x4xf32>
        return %o : tensor<1x4x2x8xf32>
      }
    }
    ```
    After, with two steps, of which the second is:
    ```mlir
    %next = graph.permute %k over ["cp"] shift 1 : tensor<1x4x2x8xf32>
    %nextPositions = graph.permute %i over ["cp"] shift 1 : tensor<4xi32>
    %o, %lse = graph.attention %q, %next, %next positions %i, %nextPositions scale 0.5 {causal} : tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<4xi32>, tensor<4xi32> -> tensor<1x2x4xf32>
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def SplitStages : Pass<"graph-split-stages", "::mlir::ModuleOp"> {
  let summary = "make a program for each rank of a pipeline";
  let description = [{
    Last of phase `placed`, where the module has `graph.pipeline`: the first instance of each stage, and the schedule as a table (a row
    per rank of the mesh axis `pp`; passes/schedules). A program with a `graph.schedule` of microbatches becomes one program per row, in which
    the microbatches are unrolled: each cell is the calls of its stage for one microbatch, or a message. A backward function that the table
    divides (I and W) is divided by the backward slice of the gradients that it sends. Loss and gradient norm are summed over the
    stages; a parameter that several stages use has its gradient reduced, and its value updated, by the first of them. Other programs (evaluation)
    pass each stage once; every rank gets their results.

    Before:
    ```mlir
    module attributes {graph.mesh = #graph.mesh<"pp" = 2>, graph.placed, graph.pipeline = {stages = ["a", "b"], table = "0F0,0B0\n1F0,1B0\n"}} {
      func.func private @a.forward(%x: tensor<2xf32> {graph.arg = "activation", graph.name = "x"}) -> tensor<2xf32> attributes {graph.layer = {layer = "a", part = "forward"}} {
        %y = graph.exp %x : tensor<2xf32>
        return %y : tensor<2xf32>
      }
      func.func private @b.forward(%y: tensor<2xf32> {graph.arg = "activation", graph.name = "y"}) -> tensor<f32> attributes {graph.layer = {layer = "b", part = "forward"}} {
        %l = graph.reduce sum %y dims [0] : tensor<2xf32> -> tensor<f32>
        return %l : tensor<f32>
      }
      func.func @train_step(%xs: tensor<1x2xf32>) -> tensor<f32> {
        %loss = graph.schedule microbatches 1 (%x = %xs) : (tensor<1x2xf32>) -> tensor<f32> {
          %y = graph.call @a.forward(%x) instance "a" : (tensor<2xf32>) -> tensor<2xf32>
          %l = graph.call @b.forward(%y) instance "b" : (tensor<2xf32>) -> tensor<f32>
          graph.yield %l : tensor<f32>
        }
        return %loss : tensor<f32>
      }
    }
    ```
    After, the program of the first rank:
    ```mlir
    func.func private @a.forward(tensor<2xf32>) -> tensor<2xf32>
    func.func @train_step.0(%xs: tensor<1x2xf32>) -> tensor<f32> attributes {graph.stage = 0 : i64} {
      %x = graph.microbatch 0 of %xs : tensor<1x2xf32> -> tensor<2xf32>
      %y = graph.call @a.forward(%x) instance "a" : (tensor<2xf32>) -> tensor<2xf32>
      graph.send %y to 1 : tensor<2xf32>
      %zero = graph.constant dense<0.0> : tensor<f32>
      %loss = graph.sum_stages %zero : tensor<f32>
      return %loss : tensor<f32>
    }
    ```
  }];
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

#endif // PRIMUS_GRAPH_PASSES
