// Attention, its gradients and rotations quantise and measure what they compute.
//
// RUN: primus-opt %s --graph-form-fusions --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @attention
// CHECK:         graph.fusion "attention"
// CHECK:           graph.attention
// CHECK:           graph.reduce max
// CHECK:           graph.reduce max
// CHECK:           graph.yield {{.*}} : tensor<1x4x64xf32>, tensor<f32>, tensor<64x96xf8E4M3FN>
// CHECK-NOT:     graph.fusion
func.func @attention(%q: tensor<1x64x4x24xbf16>, %k: tensor<1x64x2x24xbf16>, %v: tensor<1x64x2x24xbf16>, %scale: tensor<f32>)
    -> (tensor<1x4x64xf32>, tensor<f32>, tensor<64x96xf8E4M3FN>) attributes {graph.layer = {layer = "attention", part = "forward"}} {
  %o, %lse = graph.attention %q, %k, %v scale 0.21 {causal} : tensor<1x64x4x24xbf16>, tensor<1x64x2x24xbf16> -> tensor<1x4x64xf32>
  %merged = graph.reshape %o : tensor<1x64x4x24xbf16> -> tensor<64x96xbf16>
  %x = graph.convert %merged : tensor<64x96xbf16> -> tensor<64x96xf32>
  %minus = graph.neg %x : tensor<64x96xf32>
  %abs = graph.maximum %x, %minus : tensor<64x96xf32>
  %rows = graph.reduce max %abs dims [1] : tensor<64x96xf32> -> tensor<64xf32>
  %amax = graph.reduce max %rows dims [0] : tensor<64xf32> -> tensor<f32>
  %factors = graph.broadcast %scale dims [] : tensor<f32> -> tensor<64x96xf32>
  %scaled = graph.mul %x, %factors : tensor<64x96xf32>
  %fp8 = graph.convert %scaled : tensor<64x96xf32> -> tensor<64x96xf8E4M3FN>
  return %lse, %amax, %fp8 : tensor<1x4x64xf32>, tensor<f32>, tensor<64x96xf8E4M3FN>
}

// -----

// Blocks of heads.
// CHECK-LABEL: func.func @blocks
// CHECK:         graph.fusion "attention"
// CHECK:           graph.reduce max {{.*}} : tensor<1024x6xf32> -> tensor<1024xf32>
// CHECK:           graph.yield {{.*}} : tensor<1024xf32>, tensor<1024x6xf8E4M3FN>
// CHECK-NOT:     graph.fusion
func.func @blocks(%q: tensor<1x64x4x24xbf16>, %k: tensor<1x64x2x24xbf16>, %v: tensor<1x64x2x24xbf16>) -> (tensor<1024xf32>, tensor<1024x6xf8E4M3FN>)
    attributes {graph.layer = {layer = "blocks", part = "forward"}} {
  %o, %lse = graph.attention %q, %k, %v scale 0.21 {causal} : tensor<1x64x4x24xbf16>, tensor<1x64x2x24xbf16> -> tensor<1x4x64xf32>
  %blocks = graph.reshape %o : tensor<1x64x4x24xbf16> -> tensor<1024x6xbf16>
  %x = graph.convert %blocks : tensor<1024x6xbf16> -> tensor<1024x6xf32>
  %minus = graph.neg %x : tensor<1024x6xf32>
  %abs = graph.maximum %x, %minus : tensor<1024x6xf32>
  %largest = graph.reduce max %abs dims [1] : tensor<1024x6xf32> -> tensor<1024xf32>
  %each = graph.broadcast %largest dims [0] : tensor<1024xf32> -> tensor<1024x6xf32>
  %scaled = graph.div %x, %each : tensor<1024x6xf32>
  %fp8 = graph.convert %scaled : tensor<1024x6xf32> -> tensor<1024x6xf8E4M3FN>
  return %largest, %fp8 : tensor<1024xf32>, tensor<1024x6xf8E4M3FN>
}

// -----

// What needs the largest value of all comes later.
// CHECK-LABEL: func.func @current
// CHECK:         graph.fusion "attention"
// CHECK:           graph.reduce max
// CHECK:           graph.div
// CHECK:         graph.fusion "rows"
// CHECK-NOT:       graph.reduce
// CHECK:           graph.yield {{.*}} : tensor<64x96xf8E4M3FN>
// CHECK-NOT:     graph.fusion
func.func @current(%q: tensor<1x64x4x24xbf16>, %k: tensor<1x64x2x24xbf16>, %v: tensor<1x64x2x24xbf16>) -> (tensor<64x96xbf16>, tensor<64x96xf8E4M3FN>)
    attributes {graph.layer = {layer = "current", part = "forward"}} {
  %o, %lse = graph.attention %q, %k, %v scale 0.21 {causal} : tensor<1x64x4x24xbf16>, tensor<1x64x2x24xbf16> -> tensor<1x4x64xf32>
  %merged = graph.reshape %o : tensor<1x64x4x24xbf16> -> tensor<64x96xbf16>
  %x = graph.convert %merged : tensor<64x96xbf16> -> tensor<64x96xf32>
  %minus = graph.neg %x : tensor<64x96xf32>
  %abs = graph.maximum %x, %minus : tensor<64x96xf32>
  %rows = graph.reduce max %abs dims [1] : tensor<64x96xf32> -> tensor<64xf32>
  %amax = graph.reduce max %rows dims [0] : tensor<64xf32> -> tensor<f32>
  %most = graph.constant dense<448.0> : tensor<f32>
  %scale = graph.div %most, %amax : tensor<f32>
  %factors = graph.broadcast %scale dims [] : tensor<f32> -> tensor<64x96xf32>
  %scaled = graph.mul %x, %factors : tensor<64x96xf32>
  %fp8 = graph.convert %scaled : tensor<64x96xf32> -> tensor<64x96xf8E4M3FN>
  return %merged, %fp8 : tensor<64x96xbf16>, tensor<64x96xf8E4M3FN>
}

// -----

// The gradients of keys, and what the sums over out * dout read.
// CHECK-LABEL: func.func @gradients
// CHECK:         graph.fusion "attention_grad"
// CHECK:           graph.yield {{.*}}tensor<64xf32>, tensor<64x96xf8E4M3FN>
// CHECK-NOT:     graph.fusion
func.func @gradients(%dout: tensor<1x64x4x24xbf16>, %q: tensor<1x64x4x24xbf16>, %k: tensor<1x64x2x24xbf16>, %v: tensor<1x64x2x24xbf16>,
                     %o: tensor<1x64x4x24xbf16>, %lse: tensor<1x4x64xf32>)
    -> (tensor<1x64x4x24xbf16>, tensor<1x64x2x24xbf16>, tensor<64xf32>, tensor<64x96xf8E4M3FN>) attributes {graph.layer = {layer = "gradients", part = "backward"}} {
  %dq, %dk, %dv = graph.attention_grad %dout, %q, %k, %v, %o, %lse scale 0.21 {causal} : tensor<1x64x4x24xbf16>, tensor<1x64x2x24xbf16>, tensor<1x4x64xf32> -> tensor<1x64x4x24xbf16>, tensor<1x64x2x24xbf16>
  %rows = graph.reshape %dv : tensor<1x64x2x24xbf16> -> tensor<64x48xbf16>
  %x = graph.convert %rows : tensor<64x48xbf16> -> tensor<64x48xf32>
  %amax = graph.reduce max %x dims [1] : tensor<64x48xf32> -> tensor<64xf32>
  %merged = graph.reshape %o : tensor<1x64x4x24xbf16> -> tensor<64x96xbf16>
  %fp8 = graph.convert %merged : tensor<64x96xbf16> -> tensor<64x96xf8E4M3FN>
  return %dq, %dk, %amax, %fp8 : tensor<1x64x4x24xbf16>, tensor<1x64x2x24xbf16>, tensor<64xf32>, tensor<64x96xf8E4M3FN>
}

// -----

// A rotation's instances are tokens: largest values of columns are another kernel's.
// CHECK-LABEL: func.func @rotation
// CHECK:         graph.fusion "rope"
// CHECK:           graph.rope
// CHECK:           graph.reduce max {{.*}} dims [1]
// CHECK:           graph.yield
// CHECK:         graph.fusion "columns"
// CHECK-NOT:     graph.fusion
func.func @rotation(%x: tensor<2x32x3x24xbf16>, %cos: tensor<32x12xf32>, %sin: tensor<32x12xf32>) -> (tensor<64xf32>, tensor<72xf32>)
    attributes {graph.layer = {layer = "rotation", part = "forward"}} {
  %y = graph.rope half %x, %cos, %sin : tensor<2x32x3x24xbf16>, tensor<32x12xf32>
  %rows = graph.reshape %y : tensor<2x32x3x24xbf16> -> tensor<64x72xbf16>
  %wide = graph.convert %rows : tensor<64x72xbf16> -> tensor<64x72xf32>
  %ofRows = graph.reduce max %wide dims [1] : tensor<64x72xf32> -> tensor<64xf32>
  %ofColumns = graph.reduce max %wide dims [0] : tensor<64x72xf32> -> tensor<72xf32>
  return %ofRows, %ofColumns : tensor<64xf32>, tensor<72xf32>
}
