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

def Graph_Fp8Recipe : Graph_Enum<"Fp8Recipe", "what shares a scale, and what the scale is computed from", [
  I32EnumAttrCase<"Delayed", 0, "delayed">,       // a tensor; from the largest values of earlier steps
  I32EnumAttrCase<"Tensorwise", 1, "tensorwise">, // a tensor; from its own values, as in all that follow
  I32EnumAttrCase<"Rowwise", 2, "rowwise">,       // what one element of the product sums over
  I32EnumAttrCase<"Blockwise", 3, "blockwise">,   // 128 of those, and 128 x 128 of a weight
  I32EnumAttrCase<"Mxfp8", 4, "mxfp8">]>;         // 32 of those, powers of two
def Graph_Fp8Format : Graph_Enum<"Fp8Format", "digits and range of quantised values", [
  I32EnumAttrCase<"E4M3", 0, "e4m3">,
  I32EnumAttrCase<"Hybrid", 1, "hybrid">]>; // e4m3, but e5m2 for gradients of activations
def Graph_Fp8Encoding : Graph_Enum<"Fp8Encoding", "family of 8-bit formats", [
  I32EnumAttrCase<"Ocp", 0, "ocp">,      // f8E4M3FN and f8E5M2
  I32EnumAttrCase<"Fnuz", 1, "fnuz">]>;  // f8E4M3FNUZ and f8E5M2FNUZ, without infinities and a negative zero
def Graph_Fp8Role : Graph_Enum<"Fp8Role", "which of a linear layer's three products", [
  I32EnumAttrCase<"Forward", 0, "forward">,
  I32EnumAttrCase<"Dgrad", 1, "dgrad">,   // of the output's gradient (the left operand) and the weight
  I32EnumAttrCase<"Wgrad", 2, "wgrad">]>; // of the output's gradient (the left operand) and the input
def Graph_Fp8History : Graph_Enum<"Fp8History", "which of the earlier steps' largest values count", [
  I32EnumAttrCase<"Max", 0, "max">, I32EnumAttrCase<"MostRecent", 1, "most_recent">]>;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

class Graph_DefaultEnum<EnumInfo enumInfo, string value> : EnumParameter<enumInfo> {
  let defaultValue = enumInfo.className # "::" # value;
}

def Graph_Fp8Attr : AttrDef<Graph_Dialect, "Fp8"> {
  let mnemonic = "fp8";
  let summary = "how a product's operands are quantised to 8-bit floats";
  let description = [{
    On a `graph.matmul` of a linear layer, from the model's description on. The left operand of a forward product is the
    activation, the right one the weight; autodiff gives the products of the gradients the same recipe and their role.
    Scales are chosen so that the largest value of what shares one becomes the largest of its format, divided by
    2^margin. `history` steps are remembered by `delayed`, of which `algorithm` says which count. With `wideWgrad` the product
    that gives the weight's gradient keeps the precision of its operands.

    ```mlir
    func.func private @f() attributes {a = #graph.fp8<recipe = tensorwise>, b = #graph.fp8<recipe = delayed, format = hybrid, encoding = fnuz, role = wgrad, margin = 1, history = 16, algorithm = most_recent>}
    ```
  }];
  let parameters = (ins EnumParameter<Graph_Fp8Recipe>:$recipe,
                        Graph_DefaultEnum<Graph_Fp8Format, "E4M3">:$format,
                        Graph_DefaultEnum<Graph_Fp8Encoding, "Ocp">:$encoding,
                        Graph_DefaultEnum<Graph_Fp8Role, "Forward">:$role,
                        DefaultValuedParameter<"int64_t", "0">:$margin,
                        DefaultValuedParameter<"int64_t", "1">:$history,
                        Graph_DefaultEnum<Graph_Fp8History, "Max">:$algorithm,
                        DefaultValuedParameter<"bool", "false">:$wideWgrad);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The same for another of the layer's products.
    Fp8Attr withRole(::primus::graph::Fp8Role role) const;
    /// The formats of the product's left and right operand.
    ::mlir::FloatType getLhsType() const;
    ::mlir::FloatType getRhsType() const;
  }];
}

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
