// RUN: primus-opt %s | primus-opt | FileCheck %s

// CHECK-LABEL: func.func @rms_norm
func.func @rms_norm(%x: tensor<2x4x8xbf16>, %w: tensor<8xf32>) -> (tensor<8xf32>, tensor<2x4x8xbf16>) {
  // CHECK: graph.rms_norm %arg0, %arg1 eps 1.000000e-05 {offset = 1.000000e+00 : f64} : (tensor<2x4x8xbf16>, tensor<8xf32>) -> (tensor<2x4x8xbf16>, tensor<2x4xf32>)
  %y, %rstd = graph.rms_norm %x, %w eps 1.0e-5 {offset = 1.0} : (tensor<2x4x8xbf16>, tensor<8xf32>) -> (tensor<2x4x8xbf16>, tensor<2x4xf32>)
  // CHECK: graph.rms_norm %{{[^,]*}} eps 5.000000e-01 : (tensor<2x4x8xbf16>) -> (tensor<2x4x8xbf16>, tensor<2x4xf32>)
  %z, %rstd_1 = graph.rms_norm %y eps 0.5 : (tensor<2x4x8xbf16>) -> (tensor<2x4x8xbf16>, tensor<2x4xf32>)
  // CHECK: graph.rms_norm_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {offset = 1.000000e+00 : f64} : (tensor<2x4x8xbf16>, tensor<2x4x8xbf16>, tensor<2x4xf32>, tensor<8xf32>) -> (tensor<2x4x8xbf16>, tensor<8xf32>)
  %dx, %dw = graph.rms_norm_grad %z, %x, %rstd, %w {offset = 1.0} : (tensor<2x4x8xbf16>, tensor<2x4x8xbf16>, tensor<2x4xf32>, tensor<8xf32>) -> (tensor<2x4x8xbf16>, tensor<8xf32>)
  // CHECK: graph.rms_norm_grad %{{[^,]*}}, %{{[^,]*}}, %{{[^,]*}} : (tensor<2x4x8xbf16>, tensor<2x4x8xbf16>, tensor<2x4xf32>) -> tensor<2x4x8xbf16>
  %dx_1 = graph.rms_norm_grad %dx, %x, %rstd_1 : (tensor<2x4x8xbf16>, tensor<2x4x8xbf16>, tensor<2x4xf32>) -> tensor<2x4x8xbf16>
  return %dw, %dx_1 : tensor<8xf32>, tensor<2x4x8xbf16>
}

// CHECK-LABEL: func.func @layer_norm
func.func @layer_norm(%x: tensor<4x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: graph.layer_norm %arg0, %arg1, %arg2 eps 1.000000e-05 :
  %y0, %mean0, %rstd0 = graph.layer_norm %x, %w, %b eps 1.0e-5 : (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>)
  // CHECK: graph.layer_norm %arg0, %arg1 eps 1.000000e-05 {offset = 1.000000e+00 : f64} :
  %y1, %mean1, %rstd1 = graph.layer_norm %x, %w eps 1.0e-5 {offset = 1.0} : (tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>)
  // CHECK: graph.layer_norm %arg0, none, %arg2 eps 1.000000e-05 :
  %y2, %mean2, %rstd2 = graph.layer_norm %x, none, %b eps 1.0e-5 : (tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>)
  // CHECK: graph.layer_norm %arg0 eps 1.000000e-05 :
  %y3, %mean3, %rstd3 = graph.layer_norm %x eps 1.0e-5 : (tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>)
  // CHECK: graph.layer_norm_grad %{{.*}} {has_bias, offset = 1.000000e+00 : f64} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>)
  %dx0, %dw0, %db0 = graph.layer_norm_grad %y0, %x, %mean0, %rstd0, %w {has_bias, offset = 1.0} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>)
  // CHECK: graph.layer_norm_grad %{{.*}} {has_bias} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<4x8xf32>, tensor<8xf32>)
  %dx1, %db1 = graph.layer_norm_grad %dx0, %x, %mean0, %rstd0 {has_bias} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<4x8xf32>, tensor<8xf32>)
  // CHECK: graph.layer_norm_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{[^ ]*}} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x8xf32>
  %dx2 = graph.layer_norm_grad %dx1, %x, %mean0, %rstd0 : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x8xf32>
  return %db1 : tensor<8xf32>
}

// CHECK-LABEL: func.func @feed_forward
func.func @feed_forward(%x: tensor<2x4x8xbf16>) -> tensor<2x4x8xbf16> {
  // CHECK: graph.activation gelu_tanh %{{.*}} : tensor<2x4x8xbf16>
  %a = graph.activation gelu_tanh %x : tensor<2x4x8xbf16>
  // CHECK: graph.activation_grad quick_gelu %{{.*}}, %{{.*}} : tensor<2x4x8xbf16>
  %b = graph.activation_grad quick_gelu %a, %x : tensor<2x4x8xbf16>
  // CHECK: graph.glu silu %{{.*}}, %{{.*}} : tensor<2x4x8xbf16>
  %c = graph.glu silu %b, %x : tensor<2x4x8xbf16>
  // CHECK: graph.glu_grad silu %{{.*}}, %{{.*}}, %{{.*}} : tensor<2x4x8xbf16>
  %dgate, %dup = graph.glu_grad silu %c, %b, %x : tensor<2x4x8xbf16>
  return %dup : tensor<2x4x8xbf16>
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<2x4x6x8xbf16>, %k: tensor<2x4x3x8xbf16>, %v: tensor<2x4x3x8xbf16>,
                     %cos: tensor<4x4xf32>, %sin: tensor<4x4xf32>) -> tensor<2x4x3x8xbf16> {
  // CHECK: graph.rope half %{{.*}}, %{{.*}}, %{{.*}} : tensor<2x4x6x8xbf16>, tensor<4x4xf32>
  %r = graph.rope half %q, %cos, %sin : tensor<2x4x6x8xbf16>, tensor<4x4xf32>
  // CHECK: graph.rope interleaved inverse %{{.*}}, %{{.*}}, %{{.*}} : tensor<2x4x6x8xbf16>, tensor<4x4xf32>
  %s = graph.rope interleaved inverse %r, %cos, %sin : tensor<2x4x6x8xbf16>, tensor<4x4xf32>
  // CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale 1.250000e-01 {causal, softcap = 3.000000e+01 : f64, window = 2 : i64} : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16> -> tensor<2x6x4xf32>
  %o, %lse = graph.attention %s, %k, %v scale 0.125 {causal, softcap = 30.0, window = 2 : i64} : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16> -> tensor<2x6x4xf32>
  // CHECK: graph.attention %{{.*}} scale 1.250000e-01 : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16> -> tensor<2x4x6x8xf32>, tensor<2x6x4xf32>
  %wide, %widelse = graph.attention %s, %k, %v scale 0.125 : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16> -> tensor<2x4x6x8xf32>, tensor<2x6x4xf32>
  // CHECK: graph.attention_grad %{{.*}} scale 1.250000e-01 {causal} : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16>, tensor<2x6x4xf32> -> tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16>
  %dq, %dk, %dv = graph.attention_grad %o, %q, %k, %v, %o, %lse scale 0.125 {causal} : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16>, tensor<2x6x4xf32> -> tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16>
  return %dv : tensor<2x4x3x8xbf16>
}

// CHECK-LABEL: func.func @positions
func.func @positions(%q: tensor<2x4x6x8xbf16>, %k: tensor<2x5x3x8xbf16>, %i: tensor<4xi32>, %j: tensor<5xi32>) -> tensor<2x5x3x8xf32> {
  // CHECK: graph.attention %arg0, %arg1, %arg1 positions %arg2, %arg3 scale 1.250000e-01 {causal} : tensor<2x4x6x8xbf16>, tensor<2x5x3x8xbf16>, tensor<4xi32>, tensor<5xi32> -> tensor<2x6x4xf32>
  %o, %lse = graph.attention %q, %k, %k positions %i, %j scale 0.125 {causal} : tensor<2x4x6x8xbf16>, tensor<2x5x3x8xbf16>, tensor<4xi32>, tensor<5xi32> -> tensor<2x6x4xf32>
  // CHECK: graph.attention_grad %{{.*}}, %{{.*}} positions %arg2, %arg3 scale 1.250000e-01 {causal} : tensor<2x4x6x8xbf16>, tensor<2x5x3x8xbf16>, tensor<2x6x4xf32>, tensor<4xi32>, tensor<5xi32> -> tensor<2x4x6x8xf32>, tensor<2x5x3x8xf32>
  %dq, %dk, %dv = graph.attention_grad %o, %q, %k, %k, %o, %lse positions %i, %j scale 0.125 {causal} : tensor<2x4x6x8xbf16>, tensor<2x5x3x8xbf16>, tensor<2x6x4xf32>, tensor<4xi32>, tensor<5xi32> -> tensor<2x4x6x8xf32>, tensor<2x5x3x8xf32>
  return %dv : tensor<2x5x3x8xf32>
}

// CHECK-LABEL: func.func @loss
func.func @loss(%x: tensor<8x16xbf16>, %w: tensor<97x16xbf16>, %labels: tensor<8xi32>) -> tensor<97x16xf32> {
  // CHECK: graph.cross_entropy %{{.*}}, %{{.*}}, %{{.*}} vocabulary 96 : (tensor<8x16xbf16>, tensor<97x16xbf16>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>)
  %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 96 : (tensor<8x16xbf16>, tensor<97x16xbf16>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>)
  // CHECK: graph.cross_entropy %{{.*}} vocabulary 96 : (tensor<8x16xbf16>, tensor<97x16xbf16>, tensor<8xi32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<8xf32>)
  %losses, %valids, %lse4 = graph.cross_entropy %x, %w, %labels vocabulary 96 : (tensor<8x16xbf16>, tensor<97x16xbf16>, tensor<8xi32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<8xf32>)
  // CHECK: graph.cross_entropy_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} vocabulary 96 : (tensor<f32>, tensor<8x16xbf16>, tensor<97x16xbf16>, tensor<8xi32>, tensor<8xf32>) -> (tensor<8x16xbf16>, tensor<97x16xf32>)
  %dx, %dw = graph.cross_entropy_grad %loss, %x, %w, %labels, %lse vocabulary 96 : (tensor<f32>, tensor<8x16xbf16>, tensor<97x16xbf16>, tensor<8xi32>, tensor<8xf32>) -> (tensor<8x16xbf16>, tensor<97x16xf32>)
  return %dw : tensor<97x16xf32>
}

// CHECK-LABEL: func.func @partial_loss
func.func @partial_loss(%d: tensor<f32>, %x: tensor<2x4x16xbf16>, %w: tensor<50x16xbf16>, %labels: tensor<2x4xi32>, %first: tensor<i32>) -> tensor<50x16xf32> {
  // CHECK: graph.cross_entropy_part %arg1, %arg2, %arg3, %arg4 vocabulary 97 : (tensor<2x4x16xbf16>, tensor<50x16xbf16>, tensor<2x4xi32>, tensor<i32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)
  %lse, %target = graph.cross_entropy_part %x, %w, %labels, %first vocabulary 97 : (tensor<2x4x16xbf16>, tensor<50x16xbf16>, tensor<2x4xi32>, tensor<i32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)
  // CHECK: graph.cross_entropy_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} offset %arg4 vocabulary 97 : (tensor<f32>, tensor<2x4x16xbf16>, tensor<50x16xbf16>, tensor<2x4xi32>, tensor<2x4xf32>, tensor<i32>) -> (tensor<2x4x16xbf16>, tensor<50x16xf32>)
  %dx, %dw = graph.cross_entropy_grad %d, %x, %w, %labels, %lse offset %first vocabulary 97 : (tensor<f32>, tensor<2x4x16xbf16>, tensor<50x16xbf16>, tensor<2x4xi32>, tensor<2x4xf32>, tensor<i32>) -> (tensor<2x4x16xbf16>, tensor<50x16xf32>)
  return %dw : tensor<50x16xf32>
}

// CHECK-LABEL: func.func @optimizer
func.func @optimizer(%p: tensor<8x8xf32>, %b: tensor<8x8xbf16>, %s: tensor<f32>, %l: tensor<f32, #graph.layout<mesh, []>>) -> tensor<8x8xf32> {
  // CHECK: graph.adamw %{{.*}} {beta1 = 9.000000e-01 : f64, beta2 = 5.000000e-01 : f64, eps = 1.000000e-08 : f64, weight_decay = 1.000000e-01 : f64} : tensor<8x8xf32>{{$}}
  %p1, %m1, %v1 = graph.adamw %p, %p, %p, %p, %s, %s, %s, %s {beta1 = 0.9, beta2 = 0.5, eps = 1.0e-8, weight_decay = 0.1} : tensor<8x8xf32>
  // CHECK: graph.adamw {{.*}} : tensor<8x8xf32>, tensor<f32, #layout>
  %p2, %m2, %v2 = graph.adamw %p, %p, %p, %p, %l, %l, %l, %l {beta1 = 0.9, beta2 = 0.5, eps = 1.0e-8, weight_decay = 0.1} : tensor<8x8xf32>, tensor<f32, #graph.layout<mesh, []>>
  // CHECK: graph.adamw {{.*}} : tensor<8x8xf32> moments tensor<8x8xbf16>, tensor<8x8xf32>, tensor<f32, #layout>
  %p3, %m3, %v3 = graph.adamw %p, %b, %p, %p, %l, %l, %l, %l {beta1 = 0.9, beta2 = 0.5, eps = 1.0e-8, weight_decay = 0.1} : tensor<8x8xf32> moments tensor<8x8xbf16>, tensor<8x8xf32>, tensor<f32, #graph.layout<mesh, []>>
  return %p1 : tensor<8x8xf32>
}

// CHECK-LABEL: func.func @pack
func.func @pack(%w: tensor<1x48x63xbf16>) -> tensor<1x2x32x32x2xbf16> {
  // CHECK: graph.pack %{{.*}} width 32 group 2 {transposed} : tensor<1x48x63xbf16> -> tensor<1x2x32x32x2xbf16>
  %p = graph.pack %w width 32 group 2 {transposed} : tensor<1x48x63xbf16> -> tensor<1x2x32x32x2xbf16>
  return %p : tensor<1x2x32x32x2xbf16>
}
