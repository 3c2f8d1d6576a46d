// Tile programs to functions of one wave: a tile becomes a vector of the registers that each lane holds of it.
//
// RUN: primus-opt %s --lower-kernels-to-amdgpu | FileCheck %s

// The grid is one line of workgroups, its last dimension the fastest.
// CHECK-LABEL: llvm.func @grid(
// CHECK-SAME:    !llvm.ptr<1>) attributes {rocdl.flat_work_group_size = "64,64", rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>}
// CHECK:         %[[INSTANCE:.*]] = rocdl.workgroup.id.x : i32
// CHECK:         %[[ROW:.*]] = arith.divui %[[INSTANCE]], %c5_i32
// CHECK:         arith.index_cast %[[ROW]] : i32 to index
// CHECK:         %[[COLUMN:.*]] = arith.remui %[[INSTANCE]], %c5_i32
// CHECK:         arith.index_cast %[[COLUMN]] : i32 to index
kernel.func @grid(%y: memref<3x5xf32>) grid [3, 5] {
  %i = kernel.program_id 0
  %j = kernel.program_id 1
  %s = arith.constant 1.0 : f32
  // Of all lanes, which hold the same scalar, the first one stores.
  // CHECK:         arith.cmpi eq
  // CHECK:         rocdl.raw.ptr.buffer.store
  kernel.store %s, %y[%i, %j] dims [] : f32, memref<3x5xf32>
  kernel.return
}

// Four neighbours per lane and access; the last instance reaches beyond the end, so positions are compared.
// CHECK-LABEL: llvm.func @edges(
// CHECK:         %[[INSIDE:.*]] = arith.cmpi ult, {{.*}}, %c700_i32
// CHECK:         arith.select %[[INSIDE]], {{.*}}, %c-1_i32
// CHECK:         rocdl.raw.ptr.buffer.load {{.*}} : vector<4xi32>
// CHECK:         math.exp2 {{.*}} : vector<4xf32>
// CHECK:         rocdl.raw.ptr.buffer.store {{.*}} : vector<4xi32>
kernel.func @edges(%x: memref<700xf32>, %y: memref<700xf32>) grid [3] {
  %c256 = arith.constant 256 : index
  %p = kernel.program_id 0
  %i = arith.muli %p, %c256 : index
  %t = kernel.load %x[%i] dims [0] : memref<700xf32> -> tensor<256xf32>
  %e = math.exp2 %t : tensor<256xf32>
  kernel.store %e, %y[%i] dims [0] : tensor<256xf32>, memref<700xf32>
  kernel.return
}

// A row's statistics meet the row in the layout of MFMA results: 16 registers, one broadcast over 32 lanes.
// CHECK-LABEL: llvm.func @columns(
// CHECK-COUNT-16: rocdl.raw.ptr.buffer.load
// CHECK-COUNT-2:  rocdl.update.dpp
// CHECK:          rocdl.ds_swizzle
// CHECK:          rocdl.update.dpp
// CHECK:          rocdl.ds_swizzle
// CHECK-NOT:      rocdl.ds_bpermute
// CHECK:          vector.shuffle {{.*}} : vector<16xf32>, vector<16xf32>
// CHECK:          arith.subf {{.*}} : vector<16xf32>
kernel.func @columns(%x: memref<32x32xf32>, %y: memref<32x32xf32>) grid [1] {
  %c0 = arith.constant 0 : index
  %t = kernel.load %x[%c0, %c0] dims [0, 1] : memref<32x32xf32> -> tensor<32x32xf32>
  %m = kernel.reduce max %t dim 1 : tensor<32x32xf32> -> tensor<32x1xf32>
  %b = kernel.broadcast %m : tensor<32x1xf32> -> tensor<32x32xf32>
  %s = arith.subf %t, %b : tensor<32x32xf32>
  kernel.store %s, %y[%c0, %c0] dims [0, 1] : tensor<32x32xf32>, memref<32x32xf32>
  kernel.return
}
