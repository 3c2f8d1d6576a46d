// RUN: primus-opt %s --graph-expand-cross-entropy="limit=4096 max-chunks=8" | FileCheck %s
// The sums over chunks are the definition's.
// RUN: primus-opt %s --graph-interpret=function=both --mlir-disable-threading -o /dev/null > %t.whole
// RUN: primus-opt %s --graph-expand-cross-entropy="limit=4096" --graph-interpret=function=both -o /dev/null > %t.chunked
// RUN: %python %S/Inputs/compare-results.py %t.whole %t.chunked 1e-12
// RUN: primus-opt %s --graph-interpret=function=part --mlir-disable-threading -o /dev/null > %t.part
// RUN: primus-opt %s --graph-expand-cross-entropy="limit=4096" --graph-interpret=function=part -o /dev/null > %t.parts
// RUN: %python %S/Inputs/compare-results.py %t.part %t.parts 1e-12

// Each chunk's loss and gradient are neighbours; the gradients of the weight are summed, the others joined.
// CHECK-LABEL: func.func @both
// CHECK-SAME: %[[X:.*]]: tensor<70x16xf32>
// CHECK: graph.reduce sum
// CHECK: %[[ONE:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK: graph.slice %[[X]] at [0, 0] : tensor<70x16xf32> -> tensor<32x16xf32>
// CHECK: graph.cross_entropy %
// CHECK: graph.cross_entropy_grad %[[ONE]]
// CHECK: graph.cross_entropy %
// CHECK: graph.cross_entropy_grad %[[ONE]]
// CHECK: graph.add %{{.*}} : tensor<33x16xf32>
// CHECK: graph.slice %[[X]] at [64, 0] : tensor<70x16xf32> -> tensor<6x16xf32>
// CHECK: graph.cross_entropy %
// CHECK: graph.cross_entropy_grad %[[ONE]]
// CHECK: graph.concat {{.*}} -> tensor<70x16xf32>
func.func @both(%x: tensor<70x16xf32>, %w: tensor<33x16xf32>, %labels: tensor<70xi32>)
    -> (tensor<f32>, tensor<f32>, tensor<70x16xf32>, tensor<33x16xf32>) {
  %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 30 : (tensor<70x16xf32>, tensor<33x16xf32>, tensor<70xi32>) -> (tensor<f32>, tensor<f32>, tensor<70xf32>)
  %one = graph.constant dense<1.0> : tensor<f32>
  %dx, %dw = graph.cross_entropy_grad %one, %x, %w, %labels, %lse vocabulary 30 : (tensor<f32>, tensor<70x16xf32>, tensor<33x16xf32>, tensor<70xi32>, tensor<70xf32>) -> (tensor<70x16xf32>, tensor<33x16xf32>)
  return %loss, %valid, %dx, %dw : tensor<f32>, tensor<f32>, tensor<70x16xf32>, tensor<33x16xf32>
}

// A gradient that is divided by the number of valid tokens still joins: that number needs no logits.
// CHECK-LABEL: func.func @mean
// CHECK: %[[VALID:.*]] = graph.reduce sum
// CHECK: %[[SCALE:.*]] = graph.div %{{.*}}, %[[VALID]]
// CHECK: graph.cross_entropy %
// CHECK: graph.cross_entropy_grad %[[SCALE]]
// CHECK: graph.cross_entropy %
func.func @mean(%x: tensor<64x16xf32>, %w: tensor<33x16xf32>, %labels: tensor<64xi32>) -> tensor<64x16xf32> {
  %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 33 : (tensor<64x16xf32>, tensor<33x16xf32>, tensor<64xi32>) -> (tensor<f32>, tensor<f32>, tensor<64xf32>)
  %one = graph.constant dense<1.0> : tensor<f32>
  %scale = graph.div %one, %valid : tensor<f32>
  %dx, %dw = graph.cross_entropy_grad %scale, %x, %w, %labels, %lse vocabulary 33 : (tensor<f32>, tensor<64x16xf32>, tensor<33x16xf32>, tensor<64xi32>, tensor<64xf32>) -> (tensor<64x16xf32>, tensor<33x16xf32>)
  return %dx : tensor<64x16xf32>
}

// Small logits stay as they are.
// CHECK-LABEL: func.func @small
// CHECK-NEXT: graph.cross_entropy
// CHECK-NEXT: return
func.func @small(%x: tensor<8x16xf32>, %w: tensor<33x16xf32>, %labels: tensor<8xi32>) -> tensor<f32> {
  %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 33 : (tensor<8x16xf32>, tensor<33x16xf32>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>)
  return %loss : tensor<f32>
}

// One rank's rows of the vocabulary: the loss and the gradient are chunked each on its own, as other ranks' values are needed between them.
// CHECK-LABEL: func.func @part
// CHECK: graph.cross_entropy_part %{{.*}} : (tensor<32x16xf32>, tensor<33x16xf32>, tensor<32xi32>, tensor<i32>) -> (tensor<32xf32>, tensor<32xf32>)
// CHECK: graph.cross_entropy_part %{{.*}} : (tensor<32x16xf32>
// CHECK: graph.cross_entropy_part %{{.*}} : (tensor<6x16xf32>
// CHECK: graph.cross_entropy_grad %{{.*}} offset %{{.*}} vocabulary 50 : (tensor<f32>, tensor<32x16xf32>
// CHECK: graph.cross_entropy_grad %{{.*}} offset %{{.*}} vocabulary 50 : (tensor<f32>, tensor<32x16xf32>
// CHECK: graph.add %{{.*}} : tensor<33x16xf32>
// CHECK: graph.cross_entropy_grad %{{.*}} offset %{{.*}} vocabulary 50 : (tensor<f32>, tensor<6x16xf32>
// CHECK: graph.concat {{.*}} -> tensor<70x16xf32>
// CHECK: graph.reshape {{.*}} -> tensor<2x35x16xf32>
func.func @part(%x: tensor<2x35x16xf32>, %w: tensor<33x16xf32>, %labels: tensor<2x35xi32>, %offset: tensor<i32>)
    -> (tensor<2x35xf32>, tensor<2x35xf32>, tensor<2x35x16xf32>, tensor<33x16xf32>) {
  %lse, %target = graph.cross_entropy_part %x, %w, %labels, %offset vocabulary 50 : (tensor<2x35x16xf32>, tensor<33x16xf32>, tensor<2x35xi32>, tensor<i32>) -> (tensor<2x35xf32>, tensor<2x35xf32>)
  %all = graph.add %lse, %target : tensor<2x35xf32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %dx, %dw = graph.cross_entropy_grad %one, %x, %w, %labels, %all offset %offset vocabulary 50 : (tensor<f32>, tensor<2x35x16xf32>, tensor<33x16xf32>, tensor<2x35xi32>, tensor<2x35xf32>, tensor<i32>) -> (tensor<2x35x16xf32>, tensor<33x16xf32>)
  return %lse, %target, %dx, %dw : tensor<2x35xf32>, tensor<2x35xf32>, tensor<2x35x16xf32>, tensor<33x16xf32>
}
