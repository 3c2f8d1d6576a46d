//===- HipPasses.td - From tile programs to code for AMD GPUs -------------===//

#ifndef PRIMUS_CODEGEN_HIP_PASSES
#define PRIMUS_CODEGEN_HIP_PASSES

include "mlir/Pass/PassBase.td"

def LowerKernelsToAmdgpu : Pass<"lower-kernels-to-amdgpu", "::mlir::ModuleOp"> {
  let summary = "turn tile programs into functions that a workgroup runs per program instance";
  let description = [{
    Each `kernel.func` becomes an `llvm.func` with the calling convention of GPU kernels, on the dialects arith, math,
    vector, scf, llvm and rocdl. A tile is spread over the lanes of a workgroup as codegen/hip/LaneLayout.h says. The
    grid is launched as one line of workgroups, of as many waves as `waves` says.

    ```mlir
    kernel.func @copy(%x: memref<128xf32>, %y: memref<128xf32>) grid [1] {
      %c0 = arith.constant 0 : index
      %t = kernel.load %x[%c0] dims [0] : memref<128xf32> -> tensor<128xf32>
      kernel.store %t, %y[%c0] dims [0] : tensor<128xf32>, memref<128xf32>
      kernel.return
    }
    ```

    loads and stores a `vector<2xf32>` in each lane.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
                           "::mlir::ROCDL::ROCDLDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def PrintAmdgpuAssembly : Pass<"print-amdgpu-assembly", "::mlir::ModuleOp"> {
  let summary = "print the assembly of tile programs, and leave an empty module";
  let description = [{
    Runs `lower-kernels-to-amdgpu` and LLVM's code generator for the module's `primus.target` on the module's tile
    programs. The text goes to standard output.

    ```mlir
    module attributes {primus.target = "gfx942"} {
      kernel.func @zero(%x: memref<64xf32>) grid [1] {
        %c0 = arith.constant 0 : index
        %t = arith.constant dense<0.0> : tensor<64xf32>
        kernel.store %t, %x[%c0] dims [0] : tensor<64xf32>, memref<64xf32>
        kernel.return
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::math::MathDialect", "::mlir::ROCDL::ROCDLDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

#endif // PRIMUS_CODEGEN_HIP_PASSES
