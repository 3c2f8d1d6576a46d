//===- GraphPasses.td - Passes within the graph dialect -------------------===//

#ifndef PRIMUS_GRAPH_PASSES
#define PRIMUS_GRAPH_PASSES

include "mlir/Pass/PassBase.td"

def Decompose : Pass<"graph-decompose", "::mlir::ModuleOp"> {
  let summary = "replace composites by their definitions";
  let dependentDialects = ["::primus::graph::GraphDialect"];
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
