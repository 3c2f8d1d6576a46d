//===- GraphDialect.td - What to compute ----------------------------------===//

#ifndef PRIMUS_IR_GRAPH_DIALECT
#define PRIMUS_IR_GRAPH_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/TensorEncoding.td"

def Graph_Dialect : Dialect {
  let name = "graph";
  let cppNamespace = "::primus::graph";
  let summary = "What to compute: whole training steps over global tensors";
  let description = [{
    Values are builtin ranked tensors of static shape. The placement of a value over the device
    mesh lives in its type's encoding, as `#graph.layout`. State that outlives a step
    (parameters, optimizer moments, gradient accumulators) is a `graph.variable`, read and
    written only at call level, by `graph.load` and `graph.store`.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let dependentDialects = ["::mlir::func::FuncDialect"];
  let extraClassDeclaration = [{
    /// Defined beside the attributes' storage, in GraphAttrs.cpp.
    void registerAttributes();
  }];
}

//===----------------------------------------------------------------------===//
// Enumerations
//===----------------------------------------------------------------------===//

class Graph_Enum<string name, string summary, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::primus::graph";
  let genSpecializedAttr = 0;
}

def Graph_ReduceKind : Graph_Enum<"ReduceKind", "how values are combined", [
  I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Max", 1, "max">]>;
def Graph_ReduceKindAttr : EnumAttr<Graph_Dialect, Graph_ReduceKind, "reduce_kind">;

def Graph_Predicate : Graph_Enum<"Predicate", "ordered comparison", [
  I32EnumAttrCase<"EQ", 0, "eq">, I32EnumAttrCase<"NE", 1, "ne">,
  I32EnumAttrCase<"LT", 2, "lt">, I32EnumAttrCase<"LE", 3, "le">,
  I32EnumAttrCase<"GT", 4, "gt">, I32EnumAttrCase<"GE", 5, "ge">]>;
def Graph_PredicateAttr : EnumAttr<Graph_Dialect, Graph_Predicate, "predicate">;

def Graph_Activation : Graph_Enum<"Activation", "pointwise non-linearity of a feed-forward block", [
  I32EnumAttrCase<"Silu", 0, "silu">,
  I32EnumAttrCase<"Gelu", 1, "gelu">,            // 0.5 x (1 + erf(x / sqrt 2))
  I32EnumAttrCase<"GeluTanh", 2, "gelu_tanh">,   // 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  I32EnumAttrCase<"QuickGelu", 3, "quick_gelu">, // x sigmoid(1.702 x)
  I32EnumAttrCase<"Relu", 4, "relu">,
  I32EnumAttrCase<"SquaredRelu", 5, "squared_relu">,
  I32EnumAttrCase<"Sigmoid", 6, "sigmoid">]>;
def Graph_ActivationAttr : EnumAttr<Graph_Dialect, Graph_Activation, "activation">;

def Graph_RopeStyle : Graph_Enum<"RopeStyle", "which elements of a head form a rotated pair", [
  I32EnumAttrCase<"Half", 0, "half">,               // (x[i], x[i + r/2]): GPT-NeoX, Llama in HF layout
  I32EnumAttrCase<"Interleaved", 1, "interleaved">  // (x[2i], x[2i + 1]): GPT-J
]>;
def Graph_RopeStyleAttr : EnumAttr<Graph_Dialect, Graph_RopeStyle, "rope_style">;

def Graph_Role : Graph_Enum<"Role", "what a variable is for; the report groups memory by it", [
  I32EnumAttrCase<"Parameter", 0, "parameter">,  // trained value, in the optimizer's precision
  I32EnumAttrCase<"Optimizer", 1, "optimizer">,  // moments
  I32EnumAttrCase<"Gradient", 2, "gradient">,    // accumulators, zero at the start of each step
  I32EnumAttrCase<"Constant", 3, "constant">     // tables that no step changes
]>;
def Graph_RoleAttr : EnumAttr<Graph_Dialect, Graph_Role, "role">;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

def Graph_MeshAttr : AttrDef<Graph_Dialect, "Mesh"> {
  let mnemonic = "mesh";
  let summary = "named axes of the device mesh and their sizes, outermost first";
  let description = [{
    The module's `graph.mesh` attribute. Axes, never device lists, name who takes part.

    ```mlir
    module attributes {graph.mesh = #graph.mesh<"dp" = 4, "tp" = 2>} {}
    ```
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$names,
                        ArrayRefParameter<"int64_t">:$sizes);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Number of ranks: the product of the axes.
    int64_t getNumRanks() const;
    /// Size of an axis, or std::nullopt if the mesh has none of that name.
    std::optional<int64_t> getSize(::llvm::StringRef axis) const;
    /// Number of ranks in a group over these axes (strings), or std::nullopt if the mesh lacks one of them.
    std::optional<int64_t> getGroupSize(::mlir::ArrayAttr axes) const;
  }];
}

def Graph_LayoutAttr : AttrDef<Graph_Dialect, "Layout", [
    DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let mnemonic = "layout";
  let summary = "where a tensor's elements are: the axes that split each dimension, and pending reductions";
  let description = [{
    An encoding of a ranked tensor type. `axes` has one ordered list of mesh axes per
    dimension (major first). `partial` names axes over which the value must still be reduced, so
    that a forgotten reduction is a verifier error and not a wrong gradient.

    ```mlir
    func.func private @f(tensor<8192x4096xbf16, #graph.layout<mesh, [["dp"], ["tp"]], partial = {cp : sum}>>)
    ```
  }];
  let parameters = (ins "::mlir::StringAttr":$mesh,
                        ArrayRefParameter<"::mlir::ArrayAttr">:$axes,
                        ArrayRefParameter<"::mlir::StringAttr">:$partialAxes,
                        ArrayRefParameter<"::primus::graph::ReduceKind">:$partialKinds);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The layout in which every rank holds the whole tensor.
    static LayoutAttr getReplicated(::mlir::MLIRContext *context, int64_t rank);
    bool isPartial() const { return !getPartialAxes().empty(); }
    /// The same with other axes for one dimension.
    LayoutAttr withDim(int64_t dim, ::llvm::ArrayRef<::mlir::Attribute> axes) const;
    /// The same with other pending reductions.
    LayoutAttr withPartial(::llvm::ArrayRef<::mlir::StringAttr> axes,
                           ::llvm::ArrayRef<::primus::graph::ReduceKind> kinds) const;
  }];
}

def Graph_InitAttr : AttrDef<Graph_Dialect, "Init"> {
  let mnemonic = "init";
  let summary = "how a variable's first value is made, by the runtime, from a global element index";
  let description = [{
    `kind` names an initialiser of runtime/init and `params` its parameters:
    `zeros`, `ones`, `constant {value}`, `normal {std, mean, cutoff}`,
    `rope_cos` / `rope_sin {inv_freq, scale, ranks}` (tables of positions x frequencies),
    `positions {ranks}` (the position of each token in the order that context parallelism over that many ranks stores
    them in; the tables' rows have that order, too), `axis_index {axes}` (the rank's index in the group over these mesh
    axes).
    Random kinds draw from Philox keyed by (seed, variable's stream, element index):
    values do not depend on the layout.

    ```mlir
    graph.variable @w : tensor<8x8xf32> role parameter init #graph.init<"normal", {std = 2.000000e-02 : f64}>
    ```
  }];
  let parameters = (ins "::mlir::StringAttr":$kind, OptionalParameter<"::mlir::DictionaryAttr">:$params);
  let assemblyFormat = "`<` $kind (`,` $params^)? `>`";
}

#endif // PRIMUS_IR_GRAPH_DIALECT
