// RUN: primus-opt %s | primus-opt | FileCheck %s

// CHECK-LABEL: func.func @elementwise
func.func @elementwise(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %i: tensor<4x8xi32>) -> tensor<4x8xbf16> {
  // CHECK: graph.neg %{{.*}} : tensor<4x8xf32>
  %neg = graph.neg %x : tensor<4x8xf32>
  // CHECK: graph.exp %{{.*}} : tensor<4x8xf32>
  %exp = graph.exp %neg : tensor<4x8xf32>
  // CHECK: graph.log %{{.*}} : tensor<4x8xf32>
  %log = graph.log %exp : tensor<4x8xf32>
  // CHECK: graph.sqrt %{{.*}} : tensor<4x8xf32>
  %sqrt = graph.sqrt %log : tensor<4x8xf32>
  // CHECK: graph.rsqrt %{{.*}} : tensor<4x8xf32>
  %rsqrt = graph.rsqrt %sqrt : tensor<4x8xf32>
  // CHECK: graph.tanh %{{.*}} : tensor<4x8xf32>
  %tanh = graph.tanh %rsqrt : tensor<4x8xf32>
  // CHECK: graph.erf %{{.*}} : tensor<4x8xf32>
  %erf = graph.erf %tanh : tensor<4x8xf32>
  // CHECK: graph.sigmoid %{{.*}} : tensor<4x8xf32>
  %sigmoid = graph.sigmoid %erf : tensor<4x8xf32>
  // CHECK: graph.add %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %add = graph.add %sigmoid, %y : tensor<4x8xf32>
  // CHECK: graph.sub %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %sub = graph.sub %add, %y : tensor<4x8xf32>
  // CHECK: graph.mul %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %mul = graph.mul %sub, %y : tensor<4x8xf32>
  // CHECK: graph.div %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %div = graph.div %mul, %y : tensor<4x8xf32>
  // CHECK: graph.maximum %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %maximum = graph.maximum %div, %y : tensor<4x8xf32>
  // CHECK: graph.minimum %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %minimum = graph.minimum %maximum, %y : tensor<4x8xf32>
  // CHECK: graph.compare le %{{.*}}, %{{.*}} : tensor<4x8xi32> -> tensor<4x8xi1>
  %mask = graph.compare le %i, %i : tensor<4x8xi32> -> tensor<4x8xi1>
  // CHECK: graph.select %{{.*}}, %{{.*}}, %{{.*}} : tensor<4x8xi1>, tensor<4x8xf32>
  %select = graph.select %mask, %minimum, %y : tensor<4x8xi1>, tensor<4x8xf32>
  // CHECK: graph.convert %{{.*}} : tensor<4x8xf32> -> tensor<4x8xbf16>
  %convert = graph.convert %select : tensor<4x8xf32> -> tensor<4x8xbf16>
  return %convert : tensor<4x8xbf16>
}

// CHECK-LABEL: func.func @creation
func.func @creation() -> (tensor<4x8xf32>, tensor<f32>, tensor<4x8xi32>) {
  // CHECK: graph.constant dense<1.000000e+00> : tensor<4x8xf32>
  %c = graph.constant dense<1.0> : tensor<4x8xf32>
  // CHECK: graph.constant dense<2.000000e+00> : tensor<f32>
  %s = graph.constant dense<2.0> : tensor<f32>
  // CHECK: graph.iota dim 1 : tensor<4x8xi32>
  %i = graph.iota dim 1 : tensor<4x8xi32>
  return %c, %s, %i : tensor<4x8xf32>, tensor<f32>, tensor<4x8xi32>
}

// CHECK-LABEL: func.func @shape
func.func @shape(%b: tensor<8xf32>, %x: tensor<2x4x8xf32>) -> tensor<8x8xf32> {
  // CHECK: graph.broadcast %{{.*}} dims [2] : tensor<8xf32> -> tensor<2x4x8xf32>
  %broadcast = graph.broadcast %b dims [2] : tensor<8xf32> -> tensor<2x4x8xf32>
  // CHECK: graph.transpose %{{.*}} perm [1, 0, 2] : tensor<2x4x8xf32> -> tensor<4x2x8xf32>
  %transpose = graph.transpose %broadcast perm [1, 0, 2] : tensor<2x4x8xf32> -> tensor<4x2x8xf32>
  // CHECK: graph.reshape %{{.*}} : tensor<4x2x8xf32> -> tensor<8x8xf32>
  %reshape = graph.reshape %transpose : tensor<4x2x8xf32> -> tensor<8x8xf32>
  // CHECK: graph.slice %{{.*}} at [0, 4] : tensor<8x8xf32> -> tensor<8x2xf32>
  %slice = graph.slice %reshape at [0, 4] : tensor<8x8xf32> -> tensor<8x2xf32>
  // CHECK: graph.pad %{{.*}} at [0, 1] : tensor<8x2xf32> -> tensor<8x6xf32>
  %pad = graph.pad %slice at [0, 1] : tensor<8x2xf32> -> tensor<8x6xf32>
  // CHECK: graph.concat %{{.*}}, %{{.*}} dim 1 : (tensor<8x2xf32>, tensor<8x6xf32>) -> tensor<8x8xf32>
  %concat = graph.concat %slice, %pad dim 1 : (tensor<8x2xf32>, tensor<8x6xf32>) -> tensor<8x8xf32>
  return %concat : tensor<8x8xf32>
}

// CHECK-LABEL: func.func @contraction
func.func @contraction(%x: tensor<2x4x8xbf16>, %w: tensor<6x8xbf16>, %table: tensor<97x8xf32>, %i: tensor<2x4xi32>)
    -> (tensor<2x4xf32>, tensor<2xf32>, tensor<97x8xf32>) {
  // CHECK: graph.matmul "bsh,fh->bsf" %{{.*}}, %{{.*}} : (tensor<2x4x8xbf16>, tensor<6x8xbf16>) -> tensor<2x4x6xf32>
  %matmul = graph.matmul "bsh,fh->bsf" %x, %w : (tensor<2x4x8xbf16>, tensor<6x8xbf16>) -> tensor<2x4x6xf32>
  // CHECK: graph.reduce sum %{{.*}} dims [2] : tensor<2x4x6xf32> -> tensor<2x4xf32>
  %sum = graph.reduce sum %matmul dims [2] : tensor<2x4x6xf32> -> tensor<2x4xf32>
  // CHECK: graph.reduce max %{{.*}} dims [1, 2] : tensor<2x4x6xf32> -> tensor<2xf32>
  %max = graph.reduce max %matmul dims [1, 2] : tensor<2x4x6xf32> -> tensor<2xf32>
  // CHECK: graph.gather %{{.*}}, %{{.*}} : (tensor<97x8xf32>, tensor<2x4xi32>) -> tensor<2x4x8xf32>
  %gather = graph.gather %table, %i : (tensor<97x8xf32>, tensor<2x4xi32>) -> tensor<2x4x8xf32>
  // CHECK: graph.scatter %{{.*}}, %{{.*}} : (tensor<2x4xi32>, tensor<2x4x8xf32>) -> tensor<97x8xf32>
  %scatter = graph.scatter %i, %gather : (tensor<2x4xi32>, tensor<2x4x8xf32>) -> tensor<97x8xf32>
  return %sum, %max, %scatter : tensor<2x4xf32>, tensor<2xf32>, tensor<97x8xf32>
}
