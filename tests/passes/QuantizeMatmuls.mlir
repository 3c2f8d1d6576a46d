// RUN: primus-opt %s --graph-quantize-matmuls --split-input-file | FileCheck %s

// What forward quantises for its own product is what backward gets; the gradient is quantised once for two products.
module attributes {graph.mesh = #graph.mesh<"pp" = 1, "dp" = 2, "fsdp" = 1, "ep" = 1, "cp" = 1, "tp" = 2>} {
  // CHECK-LABEL: func.func @block.forward
  // CHECK: %[[PARTS:.*]] = graph.amax %arg0 : tensor<4x8x16xbf16> -> tensor<2x2x2xf32>
  // CHECK: %[[AMAX:.*]] = graph.amax %[[PARTS]] : tensor<2x2x2xf32> -> tensor<2x1x1xf32>
  // CHECK: graph.constant dense<4.480000e+02> : tensor<2x1x1xf32>
  // CHECK: %[[Q:.*]] = graph.quantize %arg0, %{{.*}} : tensor<4x8x16xbf16>, tensor<2x1x1xf32> -> tensor<4x8x16xf8E4M3FN>
  // CHECK: graph.amax %arg1 : tensor<32x16xbf16> -> tensor<2x2xf32>
  // CHECK: graph.scaled_matmul "bsi,oi->bso" %[[Q]] by %[[F:.*]], %{{.*}} by %{{.*}} : (tensor<4x8x16xf8E4M3FN>, tensor<2x1x1xf32>, tensor<32x16xf8E4M3FN>, tensor<1x1xf32>) -> tensor<4x8x32xbf16>
  // CHECK: return %{{.*}}, %[[F]], %[[Q]] : tensor<4x8x32xbf16>, tensor<2x1x1xf32>, tensor<4x8x16xf8E4M3FN>
  func.func @block.forward(%x: tensor<4x8x16xbf16> {graph.arg = "activation"}, %w: tensor<32x16xbf16> {graph.arg = "parameter"}) -> (tensor<4x8x32xbf16>, tensor<4x8x16xbf16> {graph.name = "x"}) attributes {graph.layer = {layer = "block", part = "forward"}, graph.backward = @block.backward} {
    %y = graph.matmul "bsi,oi->bso" %x, %w {fp8 = #graph.fp8<recipe = tensorwise, format = hybrid>} : (tensor<4x8x16xbf16>, tensor<32x16xbf16>) -> tensor<4x8x32xbf16>
    return %y, %x : tensor<4x8x32xbf16>, tensor<4x8x16xbf16>
  }
  // CHECK-LABEL: func.func @block.backward
  // CHECK-SAME: %arg1: tensor<2x1x1xf32> {graph.arg = "residual", graph.name = "", graph.of = 1 : i64}
  // CHECK-SAME: %arg2: tensor<4x8x16xf8E4M3FN> {graph.arg = "residual", graph.name = "", graph.of = 2 : i64}
  // CHECK: %[[DY:.*]] = graph.quantize %arg0, %{{.*}} -> tensor<4x8x32xf8E5M2>
  // CHECK: graph.scaled_matmul "bso,oi->bsi" %[[DY]]
  // CHECK: graph.scaled_matmul "bso,bsi->oi" %[[DY]] by %{{.*}}, %arg2 by %arg1
  func.func @block.backward(%dy: tensor<4x8x32xbf16> {graph.arg = "cotangent", graph.of = 0}, %x: tensor<4x8x16xbf16> {graph.arg = "residual", graph.of = 1}, %w: tensor<32x16xbf16> {graph.arg = "parameter", graph.of = 1}) -> (tensor<4x8x16xbf16>, tensor<32x16xf32>) attributes {graph.layer = {layer = "block", part = "backward"}} {
    %dx = graph.matmul "bso,oi->bsi" %dy, %w {fp8 = #graph.fp8<recipe = tensorwise, format = hybrid, role = dgrad>} : (tensor<4x8x32xbf16>, tensor<32x16xbf16>) -> tensor<4x8x16xbf16>
    %dw = graph.matmul "bso,bsi->oi" %dy, %x {fp8 = #graph.fp8<recipe = tensorwise, format = hybrid, role = wgrad>} : (tensor<4x8x32xbf16>, tensor<4x8x16xbf16>) -> tensor<32x16xf32>
    return %dx, %dw : tensor<4x8x16xbf16>, tensor<32x16xf32>
  }
  // CHECK-LABEL: func.func @step
  func.func @step(%x: tensor<4x8x16xbf16>, %w: tensor<32x16xbf16>) -> tensor<32x16xf32> {
    // CHECK: %[[CALL:.*]]:3 = graph.call @block.forward
    %0:2 = graph.call @block.forward(%x, %w) instance "layers.0" : (tensor<4x8x16xbf16>, tensor<32x16xbf16>) -> (tensor<4x8x32xbf16>, tensor<4x8x16xbf16>)
    // CHECK: graph.call @block.backward(%[[CALL]]#0, %[[CALL]]#1, %[[CALL]]#2, %arg1)
    %1:2 = graph.call @block.backward(%0#0, %0#1, %w) instance "layers.0" : (tensor<4x8x32xbf16>, tensor<4x8x16xbf16>, tensor<32x16xbf16>) -> (tensor<4x8x16xbf16>, tensor<32x16xf32>)
    return %1#1 : tensor<32x16xf32>
  }
}

// -----

// Blocks lie along what is summed.
// CHECK-LABEL: func.func @blocks
func.func @blocks(%dy: tensor<1x64x128xbf16> {graph.arg = "cotangent"}, %x: tensor<1x64x256xbf16> {graph.arg = "residual"}) -> tensor<128x256xf32> attributes {graph.layer = {layer = "block", part = "backward"}} {
  // CHECK: %[[T:.*]] = graph.transpose %arg0 perm [2, 0, 1]
  // CHECK: graph.amax %[[T]] : tensor<128x1x64xbf16> -> tensor<128x1x2xf32>
  // CHECK: graph.convert %{{.*}} : tensor<128x1x2xf32> -> tensor<128x1x2xf8E8M0FNU>
  // CHECK: graph.scaled_matmul "obs,ibs->oi"
  %dw = graph.matmul "bso,bsi->oi" %dy, %x {fp8 = #graph.fp8<recipe = mxfp8, role = wgrad>} : (tensor<1x64x128xbf16>, tensor<1x64x256xbf16>) -> tensor<128x256xf32>
  return %dw : tensor<128x256xf32>
}

// -----

// A product without a recipe stays.
// CHECK-LABEL: func.func @pinned
func.func @pinned(%x: tensor<4x8xbf16> {graph.arg = "activation"}, %w: tensor<6x8xbf16> {graph.arg = "parameter"}) -> tensor<4x6xbf16> attributes {graph.layer = {layer = "block", part = "forward"}} {
  // CHECK-NOT: f8E
  // CHECK: graph.matmul
  %y = graph.matmul "mk,nk->mn" %x, %w : (tensor<4x8xbf16>, tensor<6x8xbf16>) -> tensor<4x6xbf16>
  return %y : tensor<4x6xbf16>
}
