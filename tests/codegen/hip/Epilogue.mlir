// What follows a product, block by block of the sums: what a block's results are computed from is loaded before any of
// them is stored, since one may lie over what another is computed from, and nothing of it stays in registers.
//
// RUN: primus-opt %s --lower-kernels-to-amdgpu | FileCheck %s

module attributes {primus.target = "gfx942"} {
  // CHECK-LABEL: llvm.func @two_results
  // CHECK:         scf.for
  // CHECK:           rocdl.s.barrier
  // CHECK:         scf.yield
  // CHECK-NOT:     rocdl.raw.ptr.buffer.store
  // CHECK-COUNT-4: rocdl.raw.ptr.buffer.load
  // CHECK-NOT:     rocdl.raw.ptr.buffer.load
  // CHECK-COUNT-8: rocdl.raw.ptr.buffer.store
  // CHECK-NOT:     rocdl.raw.ptr.buffer.store
  // CHECK-COUNT-4: rocdl.raw.ptr.buffer.load
  // CHECK-NOT:     rocdl.raw.ptr.buffer.load
  // CHECK-COUNT-8: rocdl.raw.ptr.buffer.store
  // CHECK-NEXT:    llvm.return
  kernel.func @two_results(%a: memref<32x256xbf16>, %b: memref<256x64xbf16>, %x: memref<32x64xf32>, %y: memref<32x64xf32>,
                           %z: memref<32x64xf32>) grid [1] {
    %c0 = arith.constant 0 : index
    %l = kernel.load %a[%c0, %c0] dims [0, 1] {inbounds} : memref<32x256xbf16> -> tensor<32x256xbf16>
    %r = kernel.load %b[%c0, %c0] dims [0, 1] {inbounds} : memref<256x64xbf16> -> tensor<256x64xbf16>
    %zeros = arith.constant dense<0.0> : tensor<32x64xf32>
    %d = kernel.dot %l, %r, %zeros : tensor<32x256xbf16>, tensor<256x64xbf16> -> tensor<32x64xf32>
    %t = kernel.load %x[%c0, %c0] dims [0, 1] {inbounds} : memref<32x64xf32> -> tensor<32x64xf32>
    %p = arith.addf %d, %d : tensor<32x64xf32>
    %q = arith.mulf %d, %t : tensor<32x64xf32>
    kernel.store %p, %y[%c0, %c0] dims [0, 1] {inbounds} : tensor<32x64xf32>, memref<32x64xf32>
    kernel.store %q, %z[%c0, %c0] dims [0, 1] {inbounds} : tensor<32x64xf32>, memref<32x64xf32>
    kernel.return
  }
}
