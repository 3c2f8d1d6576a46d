// A norm quantises what it computes by blocks of its rows.
//
// RUN: primus-opt %s --graph-form-fusions --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @norm
// CHECK:         graph.fusion "rows"
// CHECK:           graph.reduce sum {{.*}} : tensor<16x512xf32> -> tensor<16xf32>
// CHECK:           graph.reduce max {{.*}} : tensor<64x128xf32> -> tensor<64xf32>
// CHECK:           graph.yield {{.*}} : tensor<64xf32>, tensor<64x128xf8E4M3FN>
// CHECK-NOT:     graph.fusion
func.func @norm(%x: tensor<16x512xf32>) -> (tensor<16x4xf32>, tensor<64x128xf8E4M3FN>) attributes {graph.layer = {layer = "norm", part = "forward"}} {
  %square = graph.mul %x, %x : tensor<16x512xf32>
  %sum = graph.reduce sum %square dims [1] : tensor<16x512xf32> -> tensor<16xf32>
  %inverse = graph.rsqrt %sum : tensor<16xf32>
  %rows = graph.broadcast %inverse dims [0] : tensor<16xf32> -> tensor<16x512xf32>
  %y = graph.mul %x, %rows : tensor<16x512xf32>
  %blocks = graph.reshape %y : tensor<16x512xf32> -> tensor<64x128xf32>
  %largest = graph.reduce max %blocks dims [1] : tensor<64x128xf32> -> tensor<64xf32>
  %factor = graph.reshape %largest : tensor<64xf32> -> tensor<16x4xf32>
  %each = graph.broadcast %largest dims [0] : tensor<64xf32> -> tensor<64x128xf32>
  %scaled = graph.div %blocks, %each : tensor<64x128xf32>
  %q = graph.convert %scaled : tensor<64x128xf32> -> tensor<64x128xf8E4M3FN>
  return %factor, %q : tensor<16x4xf32>, tensor<64x128xf8E4M3FN>
}

// -----

// A sum over blocks, whose order tiles would change, and the norm's own kernel stay apart.
// CHECK-LABEL: func.func @sums
// CHECK-COUNT-2: graph.fusion "rows"
// CHECK-NOT:     graph.fusion
func.func @sums(%x: tensor<16x512xf32>) -> (tensor<16x512xf32>, tensor<64xf32>) attributes {graph.layer = {layer = "sums", part = "forward"}} {
  %sum = graph.reduce sum %x dims [1] : tensor<16x512xf32> -> tensor<16xf32>
  %rows = graph.broadcast %sum dims [0] : tensor<16xf32> -> tensor<16x512xf32>
  %y = graph.div %x, %rows : tensor<16x512xf32>
  %blocks = graph.reshape %y : tensor<16x512xf32> -> tensor<64x128xf32>
  %ofBlocks = graph.reduce sum %blocks dims [1] : tensor<64x128xf32> -> tensor<64xf32>
  return %y, %ofBlocks : tensor<16x512xf32>, tensor<64xf32>
}
