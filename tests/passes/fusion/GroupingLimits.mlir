// What is not computed in one kernel though it could be.
//
// RUN: primus-opt %s --graph-form-fusions | FileCheck %s

// A sum of thirteen tensors: a kernel has at most twelve buffers.
// CHECK-LABEL: func.func @many
// CHECK-COUNT-2: graph.fusion "rows"
// CHECK-NOT:     graph.fusion
func.func @many(%a0: tensor<64x64xf32>, %a1: tensor<64x64xf32>, %a2: tensor<64x64xf32>, %a3: tensor<64x64xf32>, %a4: tensor<64x64xf32>, %a5: tensor<64x64xf32>, %a6: tensor<64x64xf32>, %a7: tensor<64x64xf32>, %a8: tensor<64x64xf32>, %a9: tensor<64x64xf32>, %a10: tensor<64x64xf32>, %a11: tensor<64x64xf32>, %a12: tensor<64x64xf32>) -> tensor<64x64xf32>
    attributes {graph.layer = {layer = "many", part = "forward"}} {
  %1 = graph.add %a0, %a1 : tensor<64x64xf32>
  %2 = graph.add %1, %a2 : tensor<64x64xf32>
  %3 = graph.add %2, %a3 : tensor<64x64xf32>
  %4 = graph.add %3, %a4 : tensor<64x64xf32>
  %5 = graph.add %4, %a5 : tensor<64x64xf32>
  %6 = graph.add %5, %a6 : tensor<64x64xf32>
  %7 = graph.add %6, %a7 : tensor<64x64xf32>
  %8 = graph.add %7, %a8 : tensor<64x64xf32>
  %9 = graph.add %8, %a9 : tensor<64x64xf32>
  %10 = graph.add %9, %a10 : tensor<64x64xf32>
  %11 = graph.add %10, %a11 : tensor<64x64xf32>
  %12 = graph.add %11, %a12 : tensor<64x64xf32>
  return %12 : tensor<64x64xf32>
}

// Maxima of two large tensors that have but a row of numbers in common.
// CHECK-LABEL: func.func @apart
// CHECK-COUNT-2: graph.fusion "rows"
// CHECK-NOT:     graph.fusion
func.func @apart(%x: tensor<512x4096xf32>, %y: tensor<512x4096xf32>, %s: tensor<4096xf32>) -> (tensor<512xf32>, tensor<512xf32>)
    attributes {graph.layer = {layer = "apart", part = "forward"}} {
  %0 = graph.broadcast %s dims [1] : tensor<4096xf32> -> tensor<512x4096xf32>
  %1 = graph.mul %x, %0 : tensor<512x4096xf32>
  %2 = graph.mul %y, %0 : tensor<512x4096xf32>
  %3 = graph.reduce max %1 dims [1] : tensor<512x4096xf32> -> tensor<512xf32>
  %4 = graph.reduce max %2 dims [1] : tensor<512x4096xf32> -> tensor<512xf32>
  return %3, %4 : tensor<512xf32>, tensor<512xf32>
}

// The same on small ones saves a launch.
// CHECK-LABEL: func.func @together
// CHECK:         graph.fusion "rows"
// CHECK-NOT:     graph.fusion
func.func @together(%x: tensor<16x4096xf32>, %y: tensor<16x4096xf32>, %s: tensor<4096xf32>) -> (tensor<16xf32>, tensor<16xf32>)
    attributes {graph.layer = {layer = "together", part = "forward"}} {
  %0 = graph.broadcast %s dims [1] : tensor<4096xf32> -> tensor<16x4096xf32>
  %1 = graph.mul %x, %0 : tensor<16x4096xf32>
  %2 = graph.mul %y, %0 : tensor<16x4096xf32>
  %3 = graph.reduce max %1 dims [1] : tensor<16x4096xf32> -> tensor<16xf32>
  %4 = graph.reduce max %2 dims [1] : tensor<16x4096xf32> -> tensor<16xf32>
  return %3, %4 : tensor<16xf32>, tensor<16xf32>
}
