// What the lowering to AMD GPUs refuses, with the op at fault.
//
// RUN: primus-opt %s --lower-kernels-to-amdgpu --split-input-file --verify-diagnostics

kernel.func @shape(%x: memref<1024x1024xf32>) grid [1] {
  %c0 = arith.constant 0 : index
  // expected-error @below {{has a tile of type 'tensor<1024x1024xf32>', more than 1024 elements a lane; loop over smaller tiles}}
  %t = kernel.load %x[%c0, %c0] dims [0, 1] : memref<1024x1024xf32> -> tensor<1024x1024xf32>
  kernel.store %t, %x[%c0, %c0] dims [0, 1] : tensor<1024x1024xf32>, memref<1024x1024xf32>
  kernel.return
}

// -----

kernel.func @function(%x: memref<64xf32>) grid [1] {
  %c0 = arith.constant 0 : index
  %t = kernel.load %x[%c0] dims [0] : memref<64xf32> -> tensor<64xf32>
  // expected-error @below {{'math.sin' op of 'f32' has no expansion for AMD GPUs}}
  %e = math.sin %t : tensor<64xf32>
  kernel.store %e, %x[%c0] dims [0] : tensor<64xf32>, memref<64xf32>
  kernel.return
}

// -----

kernel.func @constant(%x: memref<2xf32>) grid [1] {
  %c0 = arith.constant 0 : index
  // expected-error @below {{is a tile of different numbers}}
  %t = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  kernel.store %t, %x[%c0] dims [0] : tensor<2xf32>, memref<2xf32>
  kernel.return
}

// -----

// expected-error @below {{needs 263168 bytes of LDS, but a workgroup of gfx942 has at most 65536; choose smaller tiles}}
kernel.func @lds(%x: memref<256x256xf32>) grid [1] waves [4, 4] {
  %c0 = arith.constant 0 : index
  %t = kernel.load %x[%c0, %c0] dims [0, 1] : memref<256x256xf32> -> tensor<256x256xf32>
  %u = kernel.transpose %t : tensor<256x256xf32> -> tensor<256x256xf32>
  kernel.store %u, %x[%c0, %c0] dims [0, 1] : tensor<256x256xf32>, memref<256x256xf32>
  kernel.return
}

// -----

kernel.func @dot(%a: memref<32x16xbf16>, %b: memref<8x64xbf16>, %c: memref<32x32xf32>) grid [1] {
  %c0 = arith.constant 0 : index
  %l = kernel.load %a[%c0, %c0] dims [0, 1] : memref<32x16xbf16> -> tensor<32x16xbf16>
  %r = kernel.load %b[%c0, %c0] dims [0, 1] : memref<8x64xbf16> -> tensor<8x64xbf16>
  %z = arith.constant dense<0.0> : tensor<32x32xf32>
  // expected-error @below {{must have rows and columns that are powers of two from 32 on, and no packed operand}}
  %d = kernel.dot %l, %r, %z {group = 2 : i64} : tensor<32x16xbf16>, tensor<8x64xbf16> -> tensor<32x32xf32>
  kernel.store %d, %c[%c0, %c0] dims [0, 1] : tensor<32x32xf32>, memref<32x32xf32>
  kernel.return
}

// -----

// expected-error @below {{primus.target is "gfx90a"; the known GPUs are gfx942, gfx950}}
module attributes {primus.target = "gfx90a"} {
}
