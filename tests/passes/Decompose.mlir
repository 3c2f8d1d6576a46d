// RUN: primus-opt %s --graph-decompose | FileCheck %s
// RUN: primus-opt %s --graph-decompose --graph-decompose | FileCheck %s

// A composite computes in f32, with explicit conversions at its borders.
// CHECK-LABEL: func.func @activation
// CHECK-SAME: %[[X:.*]]: tensor<8xbf16>
// CHECK: %[[WIDE:.*]] = graph.convert %[[X]] : tensor<8xbf16> -> tensor<8xf32>
// CHECK: %[[SIGMOID:.*]] = graph.sigmoid %[[WIDE]] : tensor<8xf32>
// CHECK: %[[Y:.*]] = graph.mul %[[WIDE]], %[[SIGMOID]] : tensor<8xf32>
// CHECK: %[[NARROW:.*]] = graph.convert %[[Y]] : tensor<8xf32> -> tensor<8xbf16>
// CHECK: return %[[NARROW]]
func.func @activation(%x: tensor<8xbf16>) -> tensor<8xbf16> {
  %y = graph.activation silu %x : tensor<8xbf16>
  return %y : tensor<8xbf16>
}

// No composite is left, also within a fusion.
// CHECK-LABEL: func.func @fused
// CHECK: graph.fusion "norm"
// CHECK-NOT: graph.rms_norm
// CHECK: graph.rsqrt
// CHECK-NOT: graph.rms_norm
// CHECK: graph.yield
func.func @fused(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %y = graph.fusion "norm" (%a = %x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
    %n, %rstd = graph.rms_norm %a eps 1.0e-5 : (tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4xf32>)
    graph.yield %n : tensor<4x8xf32>
  }
  return %y : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @attention
// CHECK-NOT: graph.attention
// CHECK: graph.matmul
// CHECK: graph.reduce max
// CHECK: graph.exp
// CHECK: graph.matmul
// CHECK-NOT: graph.attention
func.func @attention(%q: tensor<2x4x6x8xbf16>, %k: tensor<2x4x3x8xbf16>, %v: tensor<2x4x3x8xbf16>) -> tensor<2x4x6x8xbf16> {
  %o, %lse = graph.attention %q, %k, %v scale 0.125 {causal} : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16> -> tensor<2x6x4xf32>
  return %o : tensor<2x4x6x8xbf16>
}
