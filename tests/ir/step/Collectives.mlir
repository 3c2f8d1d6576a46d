// RUN: primus-opt %s | primus-opt | FileCheck %s

module attributes {graph.mesh = #graph.mesh<"fsdp" = 2, "cp" = 3, "tp" = 2>} {
  // CHECK-LABEL: step.function @f
  step.function @f(%x: memref<4x8xf32>, %y: memref<2x8xf32>, %i: memref<4xi32>, %j: memref<4xi32>, %big: memref<8x8xf32>, %row: memref<16x2xf32>) scratch 0 {
    // CHECK: step.collective all_reduce sum over ["tp"] %[[X:.*]] to %[[X]] : memref<4x8xf32> to memref<4x8xf32>
    step.collective all_reduce sum over ["tp"] %x to %x : memref<4x8xf32> to memref<4x8xf32>
    // Two pairs travel together.
    // CHECK: step.collective all_gather over ["fsdp"] %{{.*}}, %{{.*}} to %{{.*}}, %{{.*}} dims [0, 0] ticket 1 instance "layers.3" because "a reason" : memref<2x8xf32>, memref<4x8xf32> to memref<4x8xf32>, memref<8x8xf32>
    step.collective all_gather over ["fsdp"] %y, %x to %x, %big dims [0, 0] ticket 1 instance "layers.3" because "a reason" : memref<2x8xf32>, memref<4x8xf32> to memref<4x8xf32>, memref<8x8xf32>
    // CHECK: step.wait 1
    step.wait 1
    // CHECK: step.collective reduce_scatter max over ["tp", "fsdp"] %{{.*}} to %{{.*}} dims [0]
    step.collective reduce_scatter max over ["tp", "fsdp"] %big to %y dims [0] : memref<8x8xf32> to memref<2x8xf32>
    // CHECK: step.collective all_to_all over ["tp", "fsdp"] %{{.*}} to %{{.*}} dims [1] concat [0]
    step.collective all_to_all over ["tp", "fsdp"] %x to %row dims [1] concat [0] : memref<4x8xf32> to memref<16x2xf32>
    // CHECK: step.collective permute over ["cp"] %{{.*}} to %{{.*}} shift -1
    step.collective permute over ["cp"] %i to %j shift -1 : memref<4xi32> to memref<4xi32>
    // CHECK: step.collective block over ["tp"] %{{.*}} to %{{.*}} dims [0]
    step.collective block over ["tp"] %x to %y dims [0] : memref<4x8xf32> to memref<2x8xf32>
    step.return
  }
}
