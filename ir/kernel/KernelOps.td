//===- KernelOps.td - How one fused kernel computes -----------------------===//

#ifndef PRIMUS_IR_KERNEL_OPS
#define PRIMUS_IR_KERNEL_OPS

include "mlir/IR/OpBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::primus::kernel";
  let summary = "How one fused kernel computes: tile programs";
  let description = [{
    A tile program is a grid of independent program instances over tiles, as in Triton. Tiles are builtin tensors of
    small static shape (rank 1 or 2) or scalars; arguments in memory are builtin memrefs of static shape.
    Arithmetic on tiles is `arith` and `math`, loops are `scf.for`. Both targets lower the same program.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def Kernel_Tile : StaticShapeTensorOf<[AnyFloat, AnySignlessInteger, Index]>;

class Kernel_Op<string mnemonic, list<Trait> traits = []> : Op<Kernel_Dialect, mnemonic, traits>;

def Kernel_ReduceKind : I32EnumAttr<"ReduceKind", "how elements are combined", [
    I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Max", 1, "max">]> {
  let cppNamespace = "::primus::kernel";
  let genSpecializedAttr = 0;
}
def Kernel_ReduceKindAttr : EnumAttr<Kernel_Dialect, Kernel_ReduceKind, "reduce_kind">;

def Kernel_FuncOp : Kernel_Op<"func", [IsolatedFromAbove, FunctionOpInterface, HasParent<"::mlir::ModuleOp">]> {
  let summary = "a tile program";
  let description = [{
    `grid` is the number of program instances per dimension (one to three). Arguments are memrefs, inputs before
    outputs. Instances must not communicate. An instance with a higher linear index (first dimension slowest) runs after
    or beside one with a lower index; neighbours share caches.

    On a GPU an instance is a workgroup of `waves` = [r, c] waves, powers of two: r of them lie along the rows of a
    tile and c along its columns, all along a tile of rank 1. Without it there is one. The CPU takes no notice.

    ```mlir
    kernel.func @copy(%x: memref<4x64xf32>, %y: memref<4x64xf32>) grid [4] {
      %c0 = arith.constant 0 : index
      %i = kernel.program_id 0
      %t = kernel.load %x[%i, %c0] dims [1] : memref<4x64xf32> -> tensor<64xf32>
      kernel.store %t, %y[%i, %c0] dims [1] : tensor<64xf32>, memref<4x64xf32>
      kernel.return
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type, DenseI64ArrayAttr:$grid,
                       OptionalAttr<DenseI64ArrayAttr>:$waves, OptionalAttr<DictArrayAttr>:$arg_attrs,
                       OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name, "::mlir::TypeRange":$arguments,
                                 "::llvm::ArrayRef<int64_t>":$grid)>];
  let skipDefaultBuilders = 1;
  let extraClassDeclaration = [{
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
  }];
}

def Kernel_ReturnOp : Kernel_Op<"return", [Pure, Terminator, HasParent<"FuncOp">]> {
  let summary = "end of a tile program";
  let description = [{
    ```mlir
    kernel.func @nothing() grid [1] {
      kernel.return
    }
    ```
  }];
  let assemblyFormat = "attr-dict";
}

def Kernel_ProgramIdOp : Kernel_Op<"program_id", [Pure]> {
  let summary = "this instance's index in one dimension of the grid";
  let description = [{
    ```mlir
    %i = kernel.program_id 0
    ```
  }];
  let arguments = (ins I64Attr:$dim);
  let results = (outs Index:$result);
  let assemblyFormat = "$dim attr-dict";
  let hasVerifier = 1;
}

def Kernel_LoadOp : Kernel_Op<"load", [MemoryEffects<[MemRead]>]> {
  let summary = "a tile from memory; what lies outside the buffer reads as `pad`";
  let description = [{
    `indices` is the position of the tile's first element, one per memref dimension. `dims[i]` is the memref dimension
    along which tile dimension i runs, so [1, 0] loads a transposed tile. Elements outside the memref's shape in a tile
    dimension read as `pad` (default 0). With no dims the result is a scalar; its indices must be in bounds. `inbounds`
    promises that no element of the tile lies outside, so that no mask is needed.

    ```mlir
    %t = kernel.load %a[%i, %k] dims [0, 1] : memref<100x70xf32> -> tensor<8x32xf32>
    %s = kernel.load %ids[%i] dims [] : memref<100xi32> -> i32
    ```
  }];
  let arguments = (ins AnyMemRef:$memref, Variadic<Index>:$indices, DenseI64ArrayAttr:$dims, OptionalAttr<F64Attr>:$pad,
                       UnitAttr:$inbounds);
  let results = (outs AnyType:$result);
  let assemblyFormat = [{$memref `[` $indices `]` `dims` $dims (`pad` $pad^)? attr-dict `:`
                         type($memref) `->` type($result)}];
  let hasVerifier = 1;
}

def Kernel_StoreOp : Kernel_Op<"store", [MemoryEffects<[MemWrite]>]> {
  let summary = "write a tile (or scalar) to memory; what lies outside the buffer is dropped";
  let description = [{
    Indices, dims and `inbounds` as in `kernel.load`.

    ```mlir
    kernel.store %t, %c[%i, %j] dims [0, 1] : tensor<8x32xf32>, memref<100x70xf32>
    ```
  }];
  let arguments = (ins AnyType:$value, AnyMemRef:$memref, Variadic<Index>:$indices, DenseI64ArrayAttr:$dims,
                       UnitAttr:$inbounds);
  let assemblyFormat = "$value `,` $memref `[` $indices `]` `dims` $dims attr-dict `:` type($value) `,` type($memref)";
  let hasVerifier = 1;
}

def Kernel_DotOp : Kernel_Op<"dot", [Pure, AllTypesMatch<["acc", "result"]>, AttrSizedOperandSegments]> {
  let summary = "acc + lhs rhs, accumulated in f32";
  let description = [{
    lhs is [m, k], rhs [k, n], acc f32 [m, n]. A target lowers it whole: to a register-blocked micro-kernel that reads
    its operands from memory where they come from a `kernel.load`, or to MFMA instructions. With `group` g > 1 the right
    operand is packed: a tile [k / g, n * g] in which g consecutive k of a column are neighbours, and k is padded with
    zeros in the packed operand. Operands of 8-bit floats may have factors of type f8E8M0FNU, one for each 32 values of k
    of a row of lhs, [m, k / 32], and of a column of rhs, [k / 32, n]; or of type f32, one for each 128 values of k of a row
    of lhs, [m, k / 128], and of a column or all columns of rhs, [k / 128, n] or [k / 128, 1]. k is a multiple of 128 then.

    ```mlir
    %d = kernel.dot %a, %b, %c : tensor<8x256xf32>, tensor<256x32xf32> -> tensor<8x32xf32>
    %e = kernel.dot %q, %w, %acc by %fq, %fw : tensor<64x256xf8E4M3FN>, tensor<256x32xf8E4M3FN> by tensor<64x8xf8E8M0FNU>, tensor<8x32xf8E8M0FNU> -> tensor<64x32xf32>
    ```
  }];
  let arguments = (ins Kernel_Tile:$lhs, Kernel_Tile:$rhs, Kernel_Tile:$acc, Optional<Kernel_Tile>:$lhs_factor,
                       Optional<Kernel_Tile>:$rhs_factor, DefaultValuedAttr<I64Attr, "1">:$group);
  let results = (outs Kernel_Tile:$result);
  let assemblyFormat = [{$lhs `,` $rhs `,` $acc (`by` $lhs_factor^ `,` $rhs_factor)? attr-dict `:` type($lhs) `,` type($rhs)
                         (`by` type($lhs_factor)^ `,` type($rhs_factor))? `->` type($result)}];
  let hasVerifier = 1;
}

def Kernel_ReduceOp : Kernel_Op<"reduce", [Pure]> {
  let summary = "combine a tile's elements along one dimension, which becomes 1 (a rank-1 tile becomes a scalar)";
  let description = [{
    The order of combination depends on the tile's shape only. A maximum of floats is NaN where an element is, unless
    `nonan` allows such elements to be passed over, which takes fewer instructions on a GPU.

    ```mlir
    %m = kernel.reduce max %t dim 1 {nonan} : tensor<8x32xf32> -> tensor<8x1xf32>
    %s = kernel.reduce sum %v dim 0 : tensor<64xf32> -> f32
    ```
  }];
  let arguments = (ins Kernel_ReduceKindAttr:$kind, Kernel_Tile:$operand, I64Attr:$dim, UnitAttr:$nonan);
  let results = (outs AnyType:$result);
  let assemblyFormat = "custom<PlainEnum>($kind) $operand `dim` $dim attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Kernel_BroadcastOp : Kernel_Op<"broadcast", [Pure]> {
  let summary = "repeat a scalar, or a tile along its dimensions of size one";
  let description = [{
    ```mlir
    %b = kernel.broadcast %m : tensor<8x1xf32> -> tensor<8x32xf32>
    %c = kernel.broadcast %s : f32 -> tensor<64xf32>
    ```
  }];
  let arguments = (ins AnyType:$operand);
  let results = (outs Kernel_Tile:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Kernel_IotaOp : Kernel_Op<"iota", [Pure]> {
  let summary = "base plus each element's index along one dimension of the tile, as i32";
  let description = [{
    ```mlir
    %j = kernel.iota %base dim 1 : tensor<8x32xi32>
    ```
  }];
  let arguments = (ins Index:$base, I64Attr:$dim);
  let results = (outs Kernel_Tile:$result);
  let assemblyFormat = "$base `dim` $dim attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Kernel_TransposeOp : Kernel_Op<"transpose", [Pure]> {
  let summary = "exchange the two dimensions of a tile";
  let description = [{
    ```mlir
    %u = kernel.transpose %t : tensor<8x32xf32> -> tensor<32x8xf32>
    ```
  }];
  let arguments = (ins Kernel_Tile:$operand);
  let results = (outs Kernel_Tile:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

#endif // PRIMUS_IR_KERNEL_OPS
