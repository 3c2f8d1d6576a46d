// Tile programs to functions of a workgroup: a tile becomes vectors of the registers that each lane holds of it.
//
// RUN: primus-opt %s --lower-kernels-to-amdgpu | FileCheck %s

// The grid is one line of workgroups, its last dimension the fastest.
// CHECK-LABEL: llvm.func @grid(
// CHECK-SAME:    !llvm.ptr<1>) attributes {rocdl.flat_work_group_size = "64,64", rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>}
// CHECK:         %[[INSTANCE:.*]] = rocdl.workgroup.id.x : i32
// CHECK:         %[[ROW:.*]] = arith.divui %[[INSTANCE]], %c5_i32
// CHECK:         %[[COLUMN:.*]] = arith.remui %[[INSTANCE]], %c5_i32
// CHECK:         arith.muli %[[ROW]], %c20_i32
// CHECK:         arith.muli %[[COLUMN]], %c4_i32
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
// CHECK:         %[[LEFT:.*]] = arith.subi %c700_i32
// CHECK:         %[[INSIDE:.*]] = arith.cmpi slt, {{.*}}, %[[LEFT]]
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

// A row's statistics meet the row where it is: the 32 lanes of a row exchange what they have.
// CHECK-LABEL: llvm.func @columns(
// CHECK-COUNT-4:  rocdl.raw.ptr.buffer.load {{.*}} : vector<4xi32>
// CHECK-COUNT-2:  rocdl.update.dpp
// CHECK:          rocdl.ds_swizzle
// CHECK-NOT:      rocdl.ds_bpermute
// CHECK:          arith.subf {{.*}} : vector<4xf32>
kernel.func @columns(%x: memref<32x32xf32>, %y: memref<32x32xf32>) grid [1] {
  %c0 = arith.constant 0 : index
  %t = kernel.load %x[%c0, %c0] dims [0, 1] : memref<32x32xf32> -> tensor<32x32xf32>
  %m = kernel.reduce max %t dim 1 : tensor<32x32xf32> -> tensor<32x1xf32>
  %b = kernel.broadcast %m : tensor<32x1xf32> -> tensor<32x32xf32>
  %s = arith.subf %t, %b : tensor<32x32xf32>
  kernel.store %s, %y[%c0, %c0] dims [0, 1] : tensor<32x32xf32>, memref<32x32xf32>
  kernel.return
}

// Four waves share a row: what each has goes through LDS, behind one barrier.
// CHECK-LABEL: llvm.func @waves(
// CHECK-SAME:    rocdl.flat_work_group_size = "256,256"
// CHECK:         rocdl.readfirstlane
// CHECK-COUNT-4: rocdl.raw.ptr.buffer.load {{.*}} : vector<4xi32>
// CHECK-COUNT-6: rocdl.update.dpp
// CHECK:         %[[LAST:.*]] = arith.constant 63
// CHECK:         rocdl.readlane {{.*}}, %[[LAST]]
// CHECK:         scf.if
// CHECK:           llvm.store {{.*}} !llvm.ptr<3>
// CHECK:         llvm.fence syncscope("workgroup") release {llvm.mmra
// CHECK:         rocdl.s.barrier
// CHECK-COUNT-4: llvm.load {{.*}} !llvm.ptr<3>
// CHECK-NOT:     rocdl.s.barrier
// CHECK:         llvm.return
kernel.func @waves(%x: memref<4096xf32>, %y: memref<1xf32>) grid [1] waves [1, 4] {
  %c0 = arith.constant 0 : index
  %t = kernel.load %x[%c0] dims [0] : memref<4096xf32> -> tensor<4096xf32>
  %s = kernel.reduce sum %t dim 0 : tensor<4096xf32> -> f32
  kernel.store %s, %y[%c0] dims [] : f32, memref<1xf32>
  kernel.return
}

// A tile is turned in LDS; two waves, and 16 bytes a lane on both sides.
// CHECK-LABEL: llvm.func @turn(
// CHECK:         rocdl.raw.ptr.buffer.load {{.*}} : vector<4xi32>
// CHECK:         llvm.store {{.*}} !llvm.ptr<3>
// CHECK:         rocdl.s.barrier
// CHECK:         llvm.load {{.*}} !llvm.ptr<3>
// CHECK:         rocdl.raw.ptr.buffer.store {{.*}} : vector<4xi32>
kernel.func @turn(%x: memref<64x64xf32>, %y: memref<64x64xf32>) grid [1] waves [2, 1] {
  %c0 = arith.constant 0 : index
  %t = kernel.load %x[%c0, %c0] dims [0, 1] : memref<64x64xf32> -> tensor<64x64xf32>
  %u = kernel.transpose %t : tensor<64x64xf32> -> tensor<64x64xf32>
  kernel.store %u, %y[%c0, %c0] dims [0, 1] : tensor<64x64xf32>, memref<64x64xf32>
  kernel.return
}

// A buffer of more than 4 GiB: the uniform part of the address, in 64 bits, moves the resource's base.
// CHECK-LABEL: llvm.func @large(
// CHECK:         arith.extsi {{.*}} : i32 to i64
// CHECK:         arith.muli {{.*}}, %c131072_i64
// CHECK:         llvm.getelementptr %arg0
// CHECK:         rocdl.make.buffer.rsrc
// CHECK:         rocdl.raw.ptr.buffer.load
kernel.func @large(%x: memref<65536x65536xbf16>) grid [65536] {
  %c0 = arith.constant 0 : index
  %p = kernel.program_id 0
  %t = kernel.load %x[%p, %c0] dims [1] : memref<65536x65536xbf16> -> tensor<512xbf16>
  kernel.store %t, %x[%p, %c0] dims [1] : tensor<512xbf16>, memref<65536x65536xbf16>
  kernel.return
}
