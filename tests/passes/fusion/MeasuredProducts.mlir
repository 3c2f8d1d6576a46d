// Products measure what they give, and quantise it where the scale is known before.
//
// RUN: primus-opt %s --graph-form-fusions | FileCheck %s
// RUN: primus-opt %s --graph-interpret=function=delayed -o /dev/null > %t.before
// RUN: primus-opt %s --graph-form-fusions --graph-interpret=function=delayed -o /dev/null > %t.after
// RUN: %python %S/../Inputs/compare-results.py %t.before %t.after 1e-12

module attributes {primus.target = "gfx950"} {

// Delayed scaling: only what goes on is stored.
// CHECK-LABEL: func.func @delayed
// CHECK: graph.fusion "matmul" {{.*}} -> (tensor<128x192xf8E4M3FN>, tensor<f32>) {
// CHECK-NOT: graph.fusion
// CHECK: return
func.func @delayed(%x: tensor<128x64xbf16>, %w: tensor<192x64xbf16>, %s: tensor<f32>) -> (tensor<128x192xf8E4M3FN>, tensor<f32>)
    attributes {graph.layer = {layer = "delayed", part = "forward"}} {
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<128x64xbf16>, tensor<192x64xbf16>) -> tensor<128x192xbf16>
  %1 = graph.activation silu %0 : tensor<128x192xbf16>
  %2 = graph.quantize %1, %s : tensor<128x192xbf16>, tensor<f32> -> tensor<128x192xf8E4M3FN>
  %3 = graph.amax %1 : tensor<128x192xbf16> -> tensor<f32>
  return %2, %3 : tensor<128x192xf8E4M3FN>, tensor<f32>
}

// A scale that follows from the largest value of all is computed with it; what it scales is read again.
// CHECK-LABEL: func.func @tensorwise
// CHECK: graph.fusion "matmul" {{.*}} -> (tensor<1x128x192xbf16>, tensor<f32>) {
// CHECK: graph.matmul
// CHECK: graph.reduce max {{.*}} dims [1]
// CHECK: graph.reduce max {{.*}} dims [0]
// CHECK: graph.div
// CHECK: graph.yield
// CHECK: graph.fusion "rows" {{.*}} -> tensor<128x192xf8E4M3FN> {
// CHECK-NOT: graph.fusion
// CHECK: return
func.func @tensorwise(%x: tensor<128x64xbf16>, %w: tensor<192x64xbf16>) -> (tensor<128x192xf8E4M3FN>, tensor<f32>)
    attributes {graph.layer = {layer = "tensorwise", part = "forward"}} {
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<128x64xbf16>, tensor<192x64xbf16>) -> tensor<128x192xbf16>
  %1 = graph.amax %0 : tensor<128x192xbf16> -> tensor<f32>
  %2 = graph.constant dense<448.0> : tensor<f32>
  %3 = graph.div %2, %1 : tensor<f32>
  %4 = graph.quantize %0, %3 : tensor<128x192xbf16>, tensor<f32> -> tensor<128x192xf8E4M3FN>
  return %4, %3 : tensor<128x192xf8E4M3FN>, tensor<f32>
}

// Of rows and of columns.
// CHECK-LABEL: func.func @rowwise
// CHECK: graph.fusion "matmul" {{.*}} -> (tensor<1x128x192xbf16>, tensor<128{{(x1)?}}xf32>, tensor<{{(1x)?}}192xf32>) {
// CHECK: graph.matmul
// CHECK-DAG: graph.reduce max {{.*}} dims [0] : tensor<128x192xf32> -> tensor<192xf32>
// CHECK-DAG: graph.reduce max {{.*}} dims [1] : tensor<128x192xf32> -> tensor<128xf32>
// CHECK: graph.yield
// CHECK: graph.fusion "rows" {{.*}}tensor<128x192xf8E4M3FN>, tensor<128x192xf8E4M3FN>) {
// CHECK-NOT: graph.fusion
// CHECK: return
func.func @rowwise(%x: tensor<128x64xbf16>, %w: tensor<192x64xbf16>)
    -> (tensor<128x192xf8E4M3FN>, tensor<128x192xf8E4M3FN>, tensor<128x1xf32>, tensor<1x192xf32>)
    attributes {graph.layer = {layer = "rowwise", part = "forward"}} {
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<128x64xbf16>, tensor<192x64xbf16>) -> tensor<128x192xbf16>
  %1 = graph.amax %0 : tensor<128x192xbf16> -> tensor<128x1xf32>
  %2 = graph.constant dense<448.0> : tensor<128x1xf32>
  %3 = graph.div %2, %1 : tensor<128x1xf32>
  %4 = graph.quantize %0, %3 : tensor<128x192xbf16>, tensor<128x1xf32> -> tensor<128x192xf8E4M3FN>
  %5 = graph.amax %0 : tensor<128x192xbf16> -> tensor<1x192xf32>
  %6 = graph.constant dense<448.0> : tensor<1x192xf32>
  %7 = graph.div %6, %5 : tensor<1x192xf32>
  %8 = graph.quantize %0, %7 : tensor<128x192xbf16>, tensor<1x192xf32> -> tensor<128x192xf8E4M3FN>
  return %4, %8, %3, %7 : tensor<128x192xf8E4M3FN>, tensor<128x192xf8E4M3FN>, tensor<128x1xf32>, tensor<1x192xf32>
}

// Blocks that are as wide as a tile are quantised from registers; shorter ones are not, nor what is stored anyway.
// CHECK-LABEL: func.func @blockwise
// CHECK: graph.fusion "matmul" {{.*}} -> (tensor<{{.*}}xf32>, tensor<256x128xf8E4M3FN>) {
// CHECK-NOT: graph.fusion
// CHECK-LABEL: func.func @short_blocks
// CHECK: graph.fusion "matmul"
// CHECK: graph.fusion "blocks"
// CHECK-LABEL: func.func @stored
// CHECK: graph.fusion "matmul"
// CHECK: graph.fusion "blocks"
func.func @blockwise(%x: tensor<128x64xbf16>, %w: tensor<256x64xbf16>) -> (tensor<128x256xf8E4M3FN>, tensor<128x2xf32>)
    attributes {graph.layer = {layer = "blockwise", part = "forward"}} {
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<128x64xbf16>, tensor<256x64xbf16>) -> tensor<128x256xbf16>
  %1 = graph.amax %0 : tensor<128x256xbf16> -> tensor<128x2xf32>
  %2 = graph.constant dense<448.0> : tensor<128x2xf32>
  %3 = graph.div %2, %1 : tensor<128x2xf32>
  %4 = graph.quantize %0, %3 : tensor<128x256xbf16>, tensor<128x2xf32> -> tensor<128x256xf8E4M3FN>
  return %4, %3 : tensor<128x256xf8E4M3FN>, tensor<128x2xf32>
}
func.func @short_blocks(%x: tensor<128x64xbf16>, %w: tensor<256x64xbf16>) -> (tensor<128x256xf8E4M3FN>, tensor<128x8xf32>)
    attributes {graph.layer = {layer = "short_blocks", part = "forward"}} {
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<128x64xbf16>, tensor<256x64xbf16>) -> tensor<128x256xbf16>
  %1 = graph.amax %0 : tensor<128x256xbf16> -> tensor<128x8xf32>
  %2 = graph.constant dense<448.0> : tensor<128x8xf32>
  %3 = graph.div %2, %1 : tensor<128x8xf32>
  %4 = graph.quantize %0, %3 : tensor<128x256xbf16>, tensor<128x8xf32> -> tensor<128x256xf8E4M3FN>
  return %4, %3 : tensor<128x256xf8E4M3FN>, tensor<128x8xf32>
}

func.func @stored(%x: tensor<128x64xbf16>, %w: tensor<256x64xbf16>) -> (tensor<128x256xf8E4M3FN>, tensor<128x2xf32>, tensor<128x256xbf16>)
    attributes {graph.layer = {layer = "stored", part = "forward"}} {
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<128x64xbf16>, tensor<256x64xbf16>) -> tensor<128x256xbf16>
  %1 = graph.amax %0 : tensor<128x256xbf16> -> tensor<128x2xf32>
  %2 = graph.constant dense<448.0> : tensor<128x2xf32>
  %3 = graph.div %2, %1 : tensor<128x2xf32>
  %4 = graph.quantize %0, %3 : tensor<128x256xbf16>, tensor<128x2xf32> -> tensor<128x256xf8E4M3FN>
  return %4, %3, %0 : tensor<128x256xf8E4M3FN>, tensor<128x2xf32>, tensor<128x256xbf16>
}

// Sums would be rounded otherwise than those of rows.
// CHECK-LABEL: func.func @sums
// CHECK: graph.fusion "matmul" {{.*}} -> tensor<1x128x192xf32> {
// CHECK: graph.fusion "columns"
func.func @sums(%x: tensor<128x64xbf16>, %w: tensor<192x64xbf16>) -> (tensor<128x192xf32>, tensor<192xf32>)
    attributes {graph.layer = {layer = "sums", part = "forward"}} {
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<128x64xbf16>, tensor<192x64xbf16>) -> tensor<128x192xf32>
  %1 = graph.reduce sum %0 dims [0] : tensor<128x192xf32> -> tensor<192xf32>
  return %0, %1 : tensor<128x192xf32>, tensor<192xf32>
}
}
