// RUN: primus-opt %s | primus-opt | FileCheck %s

// CHECK-LABEL: func.func private @attributes
// CHECK-SAME: a = #graph.fp8<recipe = tensorwise>
// CHECK-SAME: b = #graph.fp8<recipe = delayed, format = hybrid, encoding = fnuz, role = wgrad, margin = 1, history = 16, algorithm = most_recent, wideWgrad = true>
func.func private @attributes() attributes {a = #graph.fp8<recipe = tensorwise, format = e4m3, encoding = ocp, role = forward>, b = #graph.fp8<algorithm = most_recent, recipe = delayed, format = hybrid, encoding = fnuz, role = wgrad, margin = 1, history = 16, wideWgrad = true>}

// CHECK-LABEL: func.func @blocks
func.func @blocks(%x: tensor<2x4x256xbf16>, %w: tensor<128x256xbf16>, %factors: tensor<128x8xf8E8M0FNU>) -> tensor<2x4x128xf32> {
  // CHECK: graph.amax %{{.*}} : tensor<2x4x256xbf16> -> tensor<f32>
  %whole = graph.amax %x : tensor<2x4x256xbf16> -> tensor<f32>
  // CHECK: graph.amax %{{.*}} : tensor<2x4x256xbf16> -> tensor<2x1x1xf32>
  %groups = graph.amax %x : tensor<2x4x256xbf16> -> tensor<2x1x1xf32>
  // CHECK: graph.quantize %{{.*}}, %{{.*}} : tensor<2x4x256xbf16>, tensor<2x1x1xf32> -> tensor<2x4x256xf8E5M2>
  %q = graph.quantize %x, %groups : tensor<2x4x256xbf16>, tensor<2x1x1xf32> -> tensor<2x4x256xf8E5M2>
  %v = graph.quantize %w, %whole : tensor<128x256xbf16>, tensor<f32> -> tensor<128x256xf8E4M3FN>
  // CHECK: graph.scaled_matmul "bsh,fh->bsf" %{{.*}} by %{{.*}}, %{{.*}} by %{{.*}} : (tensor<2x4x256xf8E5M2>, tensor<2x1x1xf32>, tensor<128x256xf8E4M3FN>, tensor<f32>) -> tensor<2x4x128xf32>
  %y = graph.scaled_matmul "bsh,fh->bsf" %q by %groups, %v by %whole : (tensor<2x4x256xf8E5M2>, tensor<2x1x1xf32>, tensor<128x256xf8E4M3FN>, tensor<f32>) -> tensor<2x4x128xf32>
  %m = graph.quantize %w, %factors : tensor<128x256xbf16>, tensor<128x8xf8E8M0FNU> -> tensor<128x256xf8E5M2>
  // CHECK: graph.dequantize %{{.*}}, %{{.*}} : tensor<128x256xf8E5M2>, tensor<128x8xf8E8M0FNU> -> tensor<128x256xbf16>
  %d = graph.dequantize %m, %factors : tensor<128x256xf8E5M2>, tensor<128x8xf8E8M0FNU> -> tensor<128x256xbf16>
  return %y : tensor<2x4x128xf32>
}

// CHECK-LABEL: func.func @recipe
func.func @recipe(%x: tensor<2x4x8xbf16>, %w: tensor<6x8xbf16>) -> tensor<2x4x6xbf16> {
  // CHECK: graph.matmul "bsh,fh->bsf" %{{.*}}, %{{.*}} {fp8 = #graph.fp8<recipe = rowwise>}
  %y = graph.matmul "bsh,fh->bsf" %x, %w {fp8 = #graph.fp8<recipe = rowwise>} : (tensor<2x4x8xbf16>, tensor<6x8xbf16>) -> tensor<2x4x6xbf16>
  return %y : tensor<2x4x6xbf16>
}
