// RUN: primus-opt %s --graph-expand-cross-entropy="limit=4096 max-chunks=8" | FileCheck %s
// The sums over chunks are the definition's.
// RUN: primus-opt %s --graph-interpret=function=both --mlir-disable-threading -o /dev/null > %t.whole
// RUN: primus-opt %s --graph-expand-cross-entropy="limit=4096" --graph-interpret=function=both -o /dev/null > %t.chunked
// RUN: %python %S/Inputs/compare-results.py %t.whole %t.chunked 1e-12
// RUN: primus-opt %s --graph-interpret=function=group --mlir-disable-threading -o /dev/null > %t.group
// RUN: primus-opt %s --graph-expand-cross-entropy="limit=4096" --graph-interpret=function=group -o /dev/null > %t.groupchunked
// RUN: %python %S/Inputs/compare-results.py %t.group %t.groupchunked 1e-12
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

// One rank's group of sequences, whose mean is taken apart.
// CHECK-LABEL: func.func @group
// CHECK: graph.cross_entropy %{{.*}} : (tensor<32x16xf32>, tensor<33x16xf32>, tensor<32xi32>) -> (tensor<1xf32>, tensor<1xf32>, tensor<32xf32>)
// CHECK: graph.cross_entropy_grad %{{.*}} : (tensor<1xf32>, tensor<32x16xf32>
// CHECK: graph.cross_entropy %{{.*}} : (tensor<6x16xf32>
func.func @group(%x: tensor<2x35x16xf32>, %w: tensor<33x16xf32>, %labels: tensor<2x35xi32>) -> (tensor<1xf32>, tensor<1xf32>, tensor<2x35x16xf32>, tensor<33x16xf32>) {
  %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 33 : (tensor<2x35x16xf32>, tensor<33x16xf32>, tensor<2x35xi32>) -> (tensor<1xf32>, tensor<1xf32>, tensor<2x35xf32>)
  %one = graph.constant dense<1.0> : tensor<1xf32>
  %scale = graph.div %one, %valid : tensor<1xf32>
  %dx, %dw = graph.cross_entropy_grad %scale, %x, %w, %labels, %lse vocabulary 33 : (tensor<1xf32>, tensor<2x35x16xf32>, tensor<33x16xf32>, tensor<2x35xi32>, tensor<2x35xf32>) -> (tensor<2x35x16xf32>, tensor<33x16xf32>)
  return %loss, %valid, %dx, %dw : tensor<1xf32>, tensor<1xf32>, tensor<2x35x16xf32>, tensor<33x16xf32>
}

// Small logits stay as they are.
// CHECK-LABEL: func.func @small
// CHECK-NEXT: graph.cross_entropy
// CHECK-NEXT: return
func.func @small(%x: tensor<8x16xf32>, %w: tensor<33x16xf32>, %labels: tensor<8xi32>) -> tensor<f32> {
  %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 33 : (tensor<8x16xf32>, tensor<33x16xf32>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>)
  return %loss : tensor<f32>
}

// One rank's rows of the vocabulary, and a gradient that does not read their joint lse: each is chunked on its own.
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

// Where ranks combine their parts, they do it for each chunk, so that its logits serve the gradient too.
// CHECK-LABEL: func.func @shared
// CHECK: graph.cross_entropy_part %[[XC:[^,]*]], {{.*}} : (tensor<32x16xf32>
// CHECK: %[[PARTS:.*]] = graph.all_gather %{{.*}} over ["tp"] dim 0 {graph.reason = "part"} : tensor<1x32xf32> -> tensor<2x32xf32>
// CHECK: graph.reduce max %[[PARTS]] dims [0]
// CHECK: %[[LSE:.*]] = graph.add
// CHECK: graph.cross_entropy_grad %{{[^,]*}}, %[[XC]], %{{[^,]*}}, %{{[^,]*}}, %[[LSE]] offset
// CHECK: graph.cross_entropy_part {{.*}} : (tensor<32x16xf32>
// CHECK: graph.all_gather
// CHECK: graph.cross_entropy_grad {{.*}} : (tensor<f32>, tensor<32x16xf32>
// CHECK: graph.cross_entropy_part {{.*}} : (tensor<6x16xf32>
// CHECK: graph.all_gather {{.*}} -> tensor<2x6xf32>
// CHECK: graph.cross_entropy_grad {{.*}} : (tensor<f32>, tensor<6x16xf32>
// CHECK-NOT: graph.cross_entropy_grad
func.func @shared(%x: tensor<2x35x16xf32>, %w: tensor<33x16xf32>, %labels: tensor<2x35xi32>, %index: tensor<i32>)
    -> (tensor<2x35xf32>, tensor<2x35xf32>, tensor<2x35x16xf32>, tensor<33x16xf32>) {
  %rows = graph.constant dense<33> : tensor<i32>
  %offset = graph.mul %index, %rows : tensor<i32>
  %lse, %target = graph.cross_entropy_part %x, %w, %labels, %offset vocabulary 50 : (tensor<2x35x16xf32>, tensor<33x16xf32>, tensor<2x35xi32>, tensor<i32>) -> (tensor<2x35xf32>, tensor<2x35xf32>)
  %own = graph.reshape %lse : tensor<2x35xf32> -> tensor<1x2x35xf32>
  %parts = graph.all_gather %own over ["tp"] dim 0 {graph.reason = "part"} : tensor<1x2x35xf32> -> tensor<2x2x35xf32>
  %largest = graph.reduce max %parts dims [0] : tensor<2x2x35xf32> -> tensor<2x35xf32>
  %spread = graph.broadcast %largest dims [1, 2] : tensor<2x35xf32> -> tensor<2x2x35xf32>
  %less = graph.sub %parts, %spread : tensor<2x2x35xf32>
  %terms = graph.exp %less : tensor<2x2x35xf32>
  %total = graph.reduce sum %terms dims [0] : tensor<2x2x35xf32> -> tensor<2x35xf32>
  %rest = graph.log %total : tensor<2x35xf32>
  %all = graph.add %largest, %rest : tensor<2x35xf32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %rows2 = graph.constant dense<33> : tensor<i32>
  %offset2 = graph.mul %index, %rows2 : tensor<i32>
  %dx, %dw = graph.cross_entropy_grad %one, %x, %w, %labels, %all offset %offset2 vocabulary 50 : (tensor<f32>, tensor<2x35x16xf32>, tensor<33x16xf32>, tensor<2x35xi32>, tensor<2x35xf32>, tensor<i32>) -> (tensor<2x35x16xf32>, tensor<33x16xf32>)
  return %all, %target, %dx, %dw : tensor<2x35xf32>, tensor<2x35xf32>, tensor<2x35x16xf32>, tensor<33x16xf32>
}
