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
    Gives the variables their first values, runs `function`, and prints one comment line per result. The module stays as it is.
    Inputs are drawn from `seed`: floats are normally distributed, integers uniform in [0, `integer-bound`).

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
    Option<"mode", "mode", "std::string", "\"exact\"", "exact (all floats are f64) or faithful (each type's own rounding)">,
    Option<"seed", "seed", "uint64_t", "1234", "seed of variables and inputs">,
    Option<"integerBound", "integer-bound", "int64_t", "16", "bound of random integer inputs">
  ];
}

def Autodiff : Pass<"graph-autodiff", "::mlir::ModuleOp"> {
  let summary = "derive each layer's backward function and its residuals";
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def BuildTrainStep : Pass<"graph-build-train-step", "::mlir::ModuleOp"> {
  let summary = "schedule forward, backward, reduction and update of all layers";
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def Shard : Pass<"graph-shard", "::mlir::ModuleOp"> {
  let summary = "give every value a layout over the mesh";
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def Place : Pass<"graph-place", "::mlir::ModuleOp"> {
  let summary = "turn reshards into collectives and global shapes into local ones";
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def ExpandCrossEntropy : Pass<"graph-expand-cross-entropy", "::mlir::ModuleOp"> {
  let summary = "compute the loss over chunks of tokens";
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def FormFusions : Pass<"graph-form-fusions", "::mlir::ModuleOp"> {
  let summary = "group ops into kernels";
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

def PackOperands : Pass<"graph-pack-operands", "::mlir::ModuleOp"> {
  let summary = "bring matmul operands into the micro-kernel's order";
  let dependentDialects = ["::primus::graph::GraphDialect"];
}

#endif // PRIMUS_GRAPH_PASSES
