// RUN: primus-opt %s --graph-form-fusions | FileCheck %s
// The fused functions compute what the functions computed.
// RUN: primus-opt %s --graph-interpret=function=block -o /dev/null > %t.before
// RUN: primus-opt %s --graph-form-fusions --graph-interpret=function=block -o /dev/null > %t.after
// RUN: %python %S/Inputs/compare-results.py %t.before %t.after 1e-12

// A norm is one kernel, with its statistics; a product takes the bias and the activation with it, the next one the residual.
// CHECK-LABEL: func.func @block
// CHECK: %[[NORM:.*]]:2 = graph.fusion "rows"
// CHECK: graph.rsqrt
// CHECK-NOT: graph.rsqrt
// CHECK: graph.reshape %[[NORM]]#1
// CHECK: %[[HIDDEN:.*]] = graph.fusion "matmul"
// CHECK: graph.matmul "bmk,bnk->bmn"
// CHECK: graph.sigmoid
// CHECK: graph.reshape %[[HIDDEN]]
// CHECK: graph.fusion "matmul"
// CHECK: graph.matmul "bmk,bnk->bmn"
// CHECK: graph.add
// CHECK-NOT: graph.fusion
// CHECK: return
func.func @block(%x: tensor<2x64x48xf32>, %n: tensor<48xf32>, %w: tensor<96x48xf32>, %b: tensor<96xf32>, %v: tensor<48x96xf32>)
    -> (tensor<2x64x48xf32>, tensor<2x64xf32>) attributes {graph.layer = {layer = "block", part = "forward"}} {
  %y, %r = graph.rms_norm %x, %n eps 1.0e-05 : (tensor<2x64x48xf32>, tensor<48xf32>) -> (tensor<2x64x48xf32>, tensor<2x64xf32>)
  %0 = graph.matmul "bsh,fh->bsf" %y, %w : (tensor<2x64x48xf32>, tensor<96x48xf32>) -> tensor<2x64x96xf32>
  %1 = graph.broadcast %b dims [2] : tensor<96xf32> -> tensor<2x64x96xf32>
  %2 = graph.add %0, %1 : tensor<2x64x96xf32>
  %3 = graph.activation silu %2 : tensor<2x64x96xf32>
  %4 = graph.matmul "bsf,hf->bsh" %3, %v : (tensor<2x64x96xf32>, tensor<48x96xf32>) -> tensor<2x64x48xf32>
  %5 = graph.add %x, %4 : tensor<2x64x48xf32>
  return %5, %r : tensor<2x64x48xf32>, tensor<2x64xf32>
}

// The gradient of a norm: one kernel by rows, one by columns, which computes the normalised input again instead of reading it.
// CHECK-LABEL: func.func @norm_grad
// CHECK-SAME: %[[DY:[a-z0-9]*]]: tensor<512x64xbf16>, %[[X:[a-z0-9]*]]: tensor<512x64xbf16>
// CHECK-DAG: graph.fusion "rows" {{.*}} -> tensor<512x64xbf16>
// CHECK-DAG: graph.fusion "columns" {{.*}} -> tensor<64xf32>
// CHECK: return
func.func @norm_grad(%dy: tensor<512x64xbf16>, %x: tensor<512x64xbf16>, %r: tensor<512xf32>, %w: tensor<64xbf16>)
    -> (tensor<512x64xbf16>, tensor<64xf32>) attributes {graph.layer = {layer = "norm", part = "backward"}} {
  %dx, %dw = graph.rms_norm_grad %dy, %x, %r, %w : (tensor<512x64xbf16>, tensor<512x64xbf16>, tensor<512xf32>, tensor<64xbf16>) -> (tensor<512x64xbf16>, tensor<64xf32>)
  return %dx, %dw : tensor<512x64xbf16>, tensor<64xf32>
}

// Scaling a gradient and adding up its squares is one kernel.
// CHECK-LABEL: func.func @sum_of_squares
// CHECK: graph.fusion "total"
// CHECK-NOT: graph.fusion
// CHECK: return
func.func @sum_of_squares(%g: tensor<128x64xf32>, %s: tensor<f32>, %a: tensor<f32>) -> (tensor<128x64xf32>, tensor<f32>)
    attributes {graph.layer = {layer = "block", part = "reduce"}} {
  %0 = graph.broadcast %s dims [] : tensor<f32> -> tensor<128x64xf32>
  %1 = graph.mul %g, %0 : tensor<128x64xf32>
  %2 = graph.mul %1, %1 : tensor<128x64xf32>
  %3 = graph.reduce sum %2 dims [0, 1] : tensor<128x64xf32> -> tensor<f32>
  %4 = graph.add %a, %3 : tensor<f32>
  return %1, %4 : tensor<128x64xf32>, tensor<f32>
}

// Composites with a kernel stay whole, and read their operands from memory: the conversion before is a kernel, too.
// CHECK-LABEL: func.func @rotated
// CHECK: graph.fusion "rows"
// CHECK: graph.convert
// CHECK: graph.fusion "rope"
// CHECK-NEXT: graph.rope half
func.func @rotated(%x: tensor<1x8x2x16xbf16>, %cos: tensor<8x8xf32>, %sin: tensor<8x8xf32>) -> tensor<1x8x2x16xf32>
    attributes {graph.layer = {layer = "block", part = "forward"}} {
  %0 = graph.convert %x : tensor<1x8x2x16xbf16> -> tensor<1x8x2x16xf32>
  %1 = graph.rope half %0, %cos, %sin : tensor<1x8x2x16xf32>, tensor<8x8xf32>
  return %1 : tensor<1x8x2x16xf32>
}

// Programs stay as they are.
// CHECK-LABEL: func.func @program
// CHECK-NEXT: graph.constant
// CHECK-NEXT: return
func.func @program() -> tensor<f32> {
  %0 = graph.constant dense<1.0> : tensor<f32>
  return %0 : tensor<f32>
}
