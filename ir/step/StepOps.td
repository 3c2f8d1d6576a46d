//===- StepOps.td - When and where ----------------------------------------===//

#ifndef PRIMUS_IR_STEP_OPS
#define PRIMUS_IR_STEP_OPS

include "ir/step/StepBase.td"
include "ir/step/StepCollectives.td"
include "ir/step/StepStages.td"

class Step_FunctionLike<string mnemonic>
    : Step_Op<mnemonic, [IsolatedFromAbove, FunctionOpInterface, HasParent<"::mlir::ModuleOp">]> {
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let skipDefaultBuilders = 1;
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name, "::mlir::TypeRange":$arguments, "int64_t":$bytes)>];
  let extraClassDeclaration = [{
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
  }];
}

def Step_FunctionOp : Step_FunctionLike<"function"> {
  let summary = "the launches of one layer function";
  let description = [{
    Arguments are the layer's inputs, then its outputs. `scratch` is the size in bytes of the region that holds its
    temporaries.

    ```mlir
    kernel.func @copy(%x: memref<4x8xf32>, %y: memref<4x8xf32>) grid [4] {
      kernel.return
    }
    step.function @f(%x: memref<4x8xf32>, %y: memref<4x8xf32>) scratch 128 {
      %t = step.buffer offset 0 : memref<4x8xf32>
      step.launch @copy(%x, %t) : memref<4x8xf32>, memref<4x8xf32>
      step.launch @copy(%t, %y) : memref<4x8xf32>, memref<4x8xf32>
      step.return
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type, I64Attr:$scratch,
                       OptionalAttr<DictArrayAttr>:$arg_attrs, OptionalAttr<DictArrayAttr>:$res_attrs);
}

def Step_ProgramOp : Step_FunctionLike<"program"> {
  let summary = "one step, as the runtime executes it";
  let description = [{
    Arguments are the step's inputs, then its outputs, each with a `step.name`; they and all variables lie in the arena
    too, at the byte offsets `step.offset`. An argument that is a rank's part of a larger tensor has its `step.layout`.

    ```mlir
    step.program @train_step(%x: memref<4x8xf32> {step.name = "x", step.offset = 0 : i64}) arena 4096 {
      step.return
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type, I64Attr:$arena,
                       OptionalAttr<DictArrayAttr>:$arg_attrs, OptionalAttr<DictArrayAttr>:$res_attrs);
}

def Step_ReturnOp : Step_Op<"return", [Pure, Terminator]> {
  let summary = "end of a function, program or loop body";
  let description = [{
    ```mlir
    step.function @zero(%x: memref<4xf32>) scratch 0 {
      step.fill %x : memref<4xf32>
      step.return
    }
    ```
  }];
  let assemblyFormat = "attr-dict";
}

def Step_BufferOp : Step_Op<"buffer", [Pure]> {
  let summary = "a buffer at a byte offset of the arena (in a program) or of the scratch region (in a function)";
  let description = [{
    Before the memory plan the offset is -1. `name` is for people; `variable` says that this is the named variable's
    storage.

    ```mlir
    %t = step.buffer offset 256 "layers.3.x" : memref<4x8xf32>
    ```
  }];
  let arguments = (ins I64Attr:$offset, OptionalAttr<StrAttr>:$name, OptionalAttr<FlatSymbolRefAttr>:$variable);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "`offset` $offset ($name^)? (`variable` $variable^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Step_ViewOp : Step_Op<"view", [Pure]> {
  let summary = "the same bytes under another shape, from a byte offset on";
  let description = [{
    ```mlir
    %v = step.view %b at 64 : memref<4x8xf32> -> memref<2x8xf32>
    ```
  }];
  let arguments = (ins AnyMemRef:$source, I64Attr:$offset);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$source `at` $offset attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def Step_MicrobatchOp : Step_Op<"microbatch", [Pure, HasParent<"LoopOp">]> {
  let summary = "the loop's present slice of a buffer, without its leading dimension";
  let description = [{
    ```mlir
    step.loop 4 {
      %m = step.microbatch %tokens : memref<4x2x8xi32> -> memref<2x8xi32>
      step.return
    }
    ```
  }];
  let arguments = (ins AnyMemRef:$source);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def Step_LaunchOp : Step_Op<"launch", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "run all instances of a kernel";
  let description = [{
    Operands have the types of the kernel's arguments.

    ```mlir
    kernel.func @copy(%x: memref<4x8xf32>, %y: memref<4x8xf32>) grid [4] {
      kernel.return
    }
    step.function @f(%x: memref<4x8xf32>, %y: memref<4x8xf32>) scratch 0 {
      step.launch @copy(%x, %y) : memref<4x8xf32>, memref<4x8xf32>
      step.return
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyMemRef>:$operands);
  let assemblyFormat = "$kernel `(` $operands `)` attr-dict `:` type($operands)";
}

def Step_FillOp : Step_Op<"fill"> {
  let summary = "set every byte of a buffer to zero";
  let description = [{
    ```mlir
    step.fill %x : memref<4x8xf32>
    ```
  }];
  let arguments = (ins AnyMemRef:$target);
  let assemblyFormat = "$target attr-dict `:` type($target)";
}

def Step_CopyOp : Step_Op<"copy", [SameTypeOperands]> {
  let summary = "copy one buffer to another";
  let description = [{
    ```mlir
    step.copy %x, %y : memref<4x8xf32>
    ```
  }];
  let arguments = (ins AnyMemRef:$source, AnyMemRef:$target);
  let assemblyFormat = "$source `,` $target attr-dict `:` type($target)";
}

def Step_CallOp : Step_Op<"call", [AttrSizedOperandSegments, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "run a step function on an instance of its layer";
  let description = [{
    Operands are the function's arguments, then its scratch region where it needs one (from the memory plan on).

    ```mlir
    step.function @f(%x: memref<4x8xf32>) scratch 128 {
      step.return
    }
    step.program @p(%x: memref<4x8xf32> {step.name = "x", step.offset = 0 : i64}) arena 256 {
      %s = step.buffer offset 128 : memref<128xi8>
      step.call @f(%x) scratch(%s : memref<128xi8>) instance "layers.3" : memref<4x8xf32>
      step.return
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<AnyMemRef>:$arguments, Optional<AnyMemRef>:$scratch,
                       StrAttr:$instance);
  let assemblyFormat = [{$callee `(` $arguments `)` (`scratch` `(` $scratch^ `:` type($scratch) `)`)?
                         `instance` $instance attr-dict `:` type($arguments)}];
}

def Step_LoopOp : Step_Op<"loop", [SingleBlockImplicitTerminator<"ReturnOp">]> {
  let summary = "run the body once per microbatch";
  let description = [{
    ```mlir
    step.loop 4 {
      step.return
    }
    ```
  }];
  let arguments = (ins I64Attr:$count);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$count $body attr-dict";
  let hasVerifier = 1;
}

#endif // PRIMUS_IR_STEP_OPS
