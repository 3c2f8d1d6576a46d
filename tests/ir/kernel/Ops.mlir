// RUN: primus-opt %s | primus-opt | FileCheck %s

// CHECK: kernel.func @tiles(%[[A:.*]]: memref<100x70xf32>, %[[B:.*]]: memref<70x64xf32>, %[[IDS:.*]]: memref<100xi32> {kernel.note = "labels"}, %[[C:.*]]: memref<100x64xf32>) grid [13, 2] attributes {family = "test"} {
kernel.func @tiles(%a: memref<100x70xf32>, %b: memref<70x64xf32>, %ids: memref<100xi32> {kernel.note = "labels"},
                   %c: memref<100x64xf32>) grid [13, 2] attributes {family = "test"} {
  // CHECK: %[[I:.*]] = kernel.program_id 0
  %i = kernel.program_id 0
  // CHECK: kernel.program_id 1
  %j = kernel.program_id 1
  // CHECK: kernel.load %[[A]][%[[I]], %{{.*}}] dims [0, 1] pad -1.000000e+30 : memref<100x70xf32> -> tensor<8x16xf32>
  %x = kernel.load %a[%i, %j] dims [0, 1] pad -1.0e30 : memref<100x70xf32> -> tensor<8x16xf32>
  // CHECK: kernel.load %{{.*}} dims [1, 0] {inbounds} : memref<70x64xf32> -> tensor<32x16xf32>
  %w = kernel.load %b[%i, %j] dims [1, 0] {inbounds} : memref<70x64xf32> -> tensor<32x16xf32>
  // CHECK: kernel.load %[[IDS]][%[[I]]] dims [] : memref<100xi32> -> i32
  %s = kernel.load %ids[%i] dims [] : memref<100xi32> -> i32
  // CHECK: kernel.transpose %{{.*}} : tensor<32x16xf32> -> tensor<16x32xf32>
  %t = kernel.transpose %w : tensor<32x16xf32> -> tensor<16x32xf32>
  %zero = arith.constant dense<0.0> : tensor<8x32xf32>
  // CHECK: kernel.dot %{{.*}}, %{{.*}}, %{{.*}} : tensor<8x16xf32>, tensor<16x32xf32> -> tensor<8x32xf32>
  %d = kernel.dot %x, %t, %zero : tensor<8x16xf32>, tensor<16x32xf32> -> tensor<8x32xf32>
  // CHECK: kernel.reduce max %{{.*}} dim 1 {nonan} : tensor<8x32xf32> -> tensor<8x1xf32>
  %m = kernel.reduce max %d dim 1 {nonan} : tensor<8x32xf32> -> tensor<8x1xf32>
  // CHECK: kernel.broadcast %{{.*}} : tensor<8x1xf32> -> tensor<8x32xf32>
  %r = kernel.broadcast %m : tensor<8x1xf32> -> tensor<8x32xf32>
  // CHECK: kernel.iota %[[I]] dim 1 : tensor<8x32xi32>
  %n = kernel.iota %i dim 1 : tensor<8x32xi32>
  // CHECK: kernel.broadcast %{{.*}} : i32 -> tensor<8x32xi32>
  %k = kernel.broadcast %s : i32 -> tensor<8x32xi32>
  %mask = arith.cmpi eq, %n, %k : tensor<8x32xi32>
  %y = arith.select %mask, %d, %r : tensor<8x32xi1>, tensor<8x32xf32>
  // CHECK: kernel.store %{{.*}}, %[[C]][%{{.*}}, %{{.*}}] dims [0, 1] : tensor<8x32xf32>, memref<100x64xf32>
  kernel.store %y, %c[%i, %j] dims [0, 1] : tensor<8x32xf32>, memref<100x64xf32>
  // CHECK: kernel.return
  kernel.return
}

// CHECK: kernel.func @packed
kernel.func @packed(%a: memref<8x7xbf16>, %b: memref<4x64xbf16>, %c: memref<8x32xf32>) grid [1] {
  %zero = arith.constant 0 : index
  %x = kernel.load %a[%zero, %zero] dims [0, 1] : memref<8x7xbf16> -> tensor<8x7xbf16>
  %w = kernel.load %b[%zero, %zero] dims [0, 1] : memref<4x64xbf16> -> tensor<4x64xbf16>
  %acc = arith.constant dense<0.0> : tensor<8x32xf32>
  // CHECK: kernel.dot %{{.*}}, %{{.*}}, %{{.*}} {group = 2 : i64} : tensor<8x7xbf16>, tensor<4x64xbf16> -> tensor<8x32xf32>
  %d = kernel.dot %x, %w, %acc {group = 2} : tensor<8x7xbf16>, tensor<4x64xbf16> -> tensor<8x32xf32>
  // CHECK: kernel.reduce sum %{{.*}} dim 0 : tensor<64xf32> -> f32
  %v = arith.constant dense<1.0> : tensor<64xf32>
  %s = kernel.reduce sum %v dim 0 : tensor<64xf32> -> f32
  // CHECK: kernel.store %{{.*}}, %{{.*}}[%{{.*}}, %{{.*}}] dims [] : f32, memref<8x32xf32>
  kernel.store %s, %c[%zero, %zero] dims [] : f32, memref<8x32xf32>
  kernel.return
}

// Factors of 32 values of k each, which are powers of two, and of 128.
// CHECK-LABEL: func.func @scaled
func.func @scaled(%a: tensor<32x256xf8E4M3FN>, %b: tensor<256x64xf8E5M2>, %acc: tensor<32x64xf32>, %fa: tensor<32x8xf8E8M0FNU>, %fb: tensor<8x64xf8E8M0FNU>, %ga: tensor<32x2xf32>, %gb: tensor<2x1xf32>) -> tensor<32x64xf32> {
  // CHECK: kernel.dot %{{.*}}, %{{.*}}, %{{.*}} by %{{.*}}, %{{.*}} : tensor<32x256xf8E4M3FN>, tensor<256x64xf8E5M2> by tensor<32x8xf8E8M0FNU>, tensor<8x64xf8E8M0FNU> -> tensor<32x64xf32>
  %d = kernel.dot %a, %b, %acc by %fa, %fb : tensor<32x256xf8E4M3FN>, tensor<256x64xf8E5M2> by tensor<32x8xf8E8M0FNU>, tensor<8x64xf8E8M0FNU> -> tensor<32x64xf32>
  // CHECK: kernel.dot {{.*}} by tensor<32x2xf32>, tensor<2x1xf32> -> tensor<32x64xf32>
  %e = kernel.dot %a, %b, %d by %ga, %gb : tensor<32x256xf8E4M3FN>, tensor<256x64xf8E5M2> by tensor<32x2xf32>, tensor<2x1xf32> -> tensor<32x64xf32>
  return %e : tensor<32x64xf32>
}
