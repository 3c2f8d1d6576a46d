// No kernel crosses a collective, and none needs another one both before and after it.
//
// RUN: primus-opt %s --graph-form-fusions --verify-phase=phase=fused | FileCheck %s

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  // exp and add read one value and would be one kernel, but what is added has been reduced in between.
  // CHECK-LABEL: func.func private @between
  // CHECK: %[[E:.*]] = graph.fusion "rows"
  // CHECK-NEXT: graph.exp
  // CHECK: %[[R:.*]] = graph.all_reduce sum %[[E]] over ["tp"]
  // CHECK: graph.fusion "rows" (%{{.*}} = %[[R]], %{{.*}} = %[[E]])
  // CHECK-NEXT: graph.add
  func.func private @between(%x: tensor<64x48xf32>) -> tensor<64x48xf32> attributes {graph.layer = {layer = "f", part = "forward"}} {
    %0 = graph.exp %x : tensor<64x48xf32>
    %1 = graph.all_reduce sum %0 over ["tp"] : tensor<64x48xf32> -> tensor<64x48xf32>
    %2 = graph.add %1, %0 : tensor<64x48xf32>
    return %2 : tensor<64x48xf32>
  }

  // A product takes its epilogue only up to the collective; views stand on both sides.
  // CHECK-LABEL: func.func private @product
  // CHECK: %[[P:.*]] = graph.fusion "matmul"
  // CHECK-NOT: graph.fusion
  // CHECK: %[[V:.*]] = graph.reshape %[[P]]
  // CHECK: %[[S:.*]] = graph.reduce_scatter sum %[[V]] over ["tp"] dim 1 : tensor<2x32x48xf32> -> tensor<2x16x48xf32>
  // CHECK: graph.reshape %[[S]]
  // CHECK: graph.fusion "rows"
  // CHECK-NEXT: graph.add
  func.func private @product(%x: tensor<2x32x16xf32>, %w: tensor<48x16xf32>, %r: tensor<2x16x48xf32>) -> tensor<2x16x48xf32> attributes {graph.layer = {layer = "g", part = "forward"}} {
    %0 = graph.matmul "bsh,fh->bsf" %x, %w : (tensor<2x32x16xf32>, tensor<48x16xf32>) -> tensor<2x32x48xf32>
    %1 = graph.reduce_scatter sum %0 over ["tp"] dim 1 : tensor<2x32x48xf32> -> tensor<2x16x48xf32>
    %2 = graph.add %1, %r : tensor<2x16x48xf32>
    return %2 : tensor<2x16x48xf32>
  }

  // What is computed wherever it is used is computed for a collective, too.
  // CHECK-LABEL: func.func private @inline
  // CHECK: %[[B:.*]] = graph.fusion
  // CHECK-NEXT: graph.broadcast
  // CHECK: graph.all_gather %[[B]] over ["tp"] dim 0
  func.func private @inline(%x: tensor<48xf32>) -> tensor<4x48xf32> attributes {graph.layer = {layer = "h", part = "forward"}} {
    %0 = graph.broadcast %x dims [1] : tensor<48xf32> -> tensor<2x48xf32>
    %1 = graph.all_gather %0 over ["tp"] dim 0 : tensor<2x48xf32> -> tensor<4x48xf32>
    return %1 : tensor<4x48xf32>
  }
}
