//===- GraphStructure.td - State, calls, schedules and fusions ------------===//

#ifndef PRIMUS_IR_GRAPH_STRUCTURE
#define PRIMUS_IR_GRAPH_STRUCTURE

include "ir/graph/GraphBase.td"

def Graph_VariableOp : Graph_Op<"variable", [Symbol, HasParent<"::mlir::ModuleOp">]> {
  let summary = "state that outlives a step";
  let description = [{
    A named tensor that the runtime allocates once. `stream` numbers the random stream of its initial value.
    `decay` says that weight decay applies (matrices, not biases and norms).
    A parameter's moments and gradient accumulator are named after it: `<name>.m`, `<name>.v`, `<name>.grad`.
    `dims` says what each dimension is (`heads`, `vocabulary`, ...; empty: nothing that is ever split), from which the
    plan makes a layout. (C1) it has one entry per dimension.

    ```mlir
    graph.variable @layers.0.attention.q.weight : tensor<8x8xf32> role parameter init #graph.init<"normal", {std = 2.000000e-02 : f64}> {dims = ["heads", ""], stream = 3, decay}
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Graph_Tensor>:$type, Graph_RoleAttr:$role,
                       Graph_InitAttr:$init, DefaultValuedAttr<I64Attr, "0">:$stream, UnitAttr:$decay,
                       OptionalAttr<StrArrayAttr>:$dims);
  let assemblyFormat = "$sym_name `:` $type `role` custom<PlainEnum>($role) `init` qualified($init) attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() { return ::llvm::cast<::mlir::RankedTensorType>(getType()); }
  }];
}

def Graph_LoadOp : Graph_Op<"load", [DeclareOpInterfaceMethods<SymbolUserOpInterface>, MemoryEffects<[MemRead]>]> {
  let summary = "the present value of a variable";
  let description = [{
    Only at call level, never inside a layer's function.

    ```mlir
    graph.variable @layers.0.norm.weight : tensor<8xf32> role parameter init #graph.init<"ones">
    func.func @read() -> tensor<8xf32> {
      %w = graph.load @layers.0.norm.weight : tensor<8xf32>
      return %w : tensor<8xf32>
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$variable);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$variable attr-dict `:` type($result)";
}

def Graph_StoreOp : Graph_Op<"store", [DeclareOpInterfaceMethods<SymbolUserOpInterface>, MemoryEffects<[MemWrite]>]> {
  let summary = "replace the value of a variable";
  let description = [{
    ```mlir
    graph.variable @layers.0.norm.weight : tensor<8xf32> role parameter init #graph.init<"ones">
    func.func @write(%w: tensor<8xf32>) {
      graph.store %w, @layers.0.norm.weight : tensor<8xf32>
      return
    }
    ```
  }];
  let arguments = (ins Graph_Tensor:$value, FlatSymbolRefAttr:$variable);
  let assemblyFormat = "$value `,` $variable attr-dict `:` type($value)";
}

def Graph_CallOp : Graph_Op<"call", [CallOpInterface, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "run a layer's function for one instance of the layer";
  let description = [{
    The callee is a `func.func` of pure graph ops. `instance` is the layer's name, the prefix of its variables.
    A callee's result with the argument attribute `graph.inplace = i : i64` may be written over operand i.

    Canonicalisation and CSE treat a call as one with unknown effects.

    ```mlir
    func.func private @block.forward(tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
    func.func @program(%x: tensor<2x8xf32>, %w: tensor<8x8xf32>) -> tensor<2x8xf32> {
      %y = graph.call @block.forward(%x, %w) instance "layers.3" : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<Graph_Tensor>:$operands, StrAttr:$instance);
  let results = (outs Variadic<Graph_Tensor>:$results);
  let assemblyFormat = [{$callee `(` $operands `)` `instance` $instance attr-dict `:`
                         functional-type($operands, $results)}];
  let extraClassDeclaration = [{
    ::mlir::CallInterfaceCallable getCallableForCallee() { return getCalleeAttr(); }
    void setCalleeFromCallable(::mlir::CallInterfaceCallable callee) {
      setCalleeAttr(::llvm::cast<::mlir::FlatSymbolRefAttr>(::llvm::cast<::mlir::SymbolRefAttr>(callee)));
    }
    ::mlir::Operation::operand_range getArgOperands() { return getOperands(); }
    ::mlir::MutableOperandRange getArgOperandsMutable() { return getOperandsMutable(); }
    ::mlir::ArrayAttr getArgAttrsAttr() { return nullptr; }
    ::mlir::ArrayAttr getResAttrsAttr() { return nullptr; }
    void setArgAttrsAttr(::mlir::ArrayAttr) {}
    void setResAttrsAttr(::mlir::ArrayAttr) {}
    ::mlir::Attribute removeArgAttrsAttr() { return nullptr; }
    ::mlir::Attribute removeResAttrsAttr() { return nullptr; }
  }];
}

def Graph_ScheduleOp : Graph_Op<"schedule", [SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "run the body once per microbatch, in order";
  let description = [{
    Each input's leading dimension is the number of microbatches; the body sees one slice of it, without that dimension.
    What the body yields is summed over the microbatches. State is read and written through variables.
    Exists from `train` on.

    ```mlir
    %loss = graph.schedule microbatches 4 (%t = %tokens) : (tensor<4x2x8xi32>) -> tensor<f32> {
      %l = graph.constant dense<1.0> : tensor<f32>
      graph.yield %l : tensor<f32>
    }
    ```
  }];
  let arguments = (ins I64Attr:$microbatches, Variadic<Graph_Tensor>:$inputs);
  let results = (outs Variadic<Graph_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// What the body sees of an input: its type without the leading dimension.
    static ::mlir::RankedTensorType getMicrobatchType(::mlir::RankedTensorType type);
  }];
}

def Graph_FusionOp : Graph_Op<"fusion", [IsolatedFromAbove, SingleBlockImplicitTerminator<"YieldOp">, Pure]> {
  let summary = "ops that become one kernel";
  let description = [{
    Created by the fusion pass, replaced by a launch in `step`. `family` names the kernel generator of passes/kernels.

    ```mlir
    %y = graph.fusion "elementwise" (%a = %x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
      %e = graph.exp %a : tensor<4x8xf32>
      graph.yield %e : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins StrAttr:$family, Variadic<Graph_Tensor>:$inputs);
  let results = (outs Variadic<Graph_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def Graph_YieldOp : Graph_Op<"yield", [Pure, Terminator, ReturnLike, ParentOneOf<["ScheduleOp", "FusionOp"]>]> {
  let summary = "results of a schedule's or fusion's body";
  let description = [{
    ```mlir
    graph.schedule microbatches 2 (%t = %tokens) : (tensor<2x8xi32>) -> () {
      graph.yield
    }
    ```
  }];
  let arguments = (ins Variadic<Graph_Tensor>:$values);
  let builders = [OpBuilder<(ins), [{ /* Yields nothing. */ }]>];
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Graph_PackOp : Graph_Composite<"pack"> {
  let summary = "a matmul operand in the order in which the micro-kernel reads it";
  let description = [{
    Created in `fused` for the CPU. The operand is a matrix stack [batch, rows, columns], where `rows` is the contracted
    dimension; the result is [batch, ceil(columns / width), ceil(rows / group), width, group] with zeros where it
    overruns: panels of `width` columns, in which `group` consecutive rows are neighbours (2 for bf16 dot products, 1
    for f32). `transposed`: the operand is stored [batch, columns, rows].

    ```mlir
    %p = graph.pack %w width 32 group 1 {transposed} : tensor<1x48x64xf32> -> tensor<1x2x64x32x1xf32>
    ```
  }];
  let arguments = (ins Graph_StoredTensor:$operand, I64Attr:$width, I64Attr:$group, UnitAttr:$transposed);
  let results = (outs Graph_StoredTensor:$result);
  let assemblyFormat = "$operand `width` $width `group` $group attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

#endif // PRIMUS_IR_GRAPH_STRUCTURE
