// RUN: primus-opt %s | primus-opt | FileCheck %s

// Attributes that types repeat have short names.
// CHECK-DAG: #layout_dp = #graph.layout<mesh, {{\[\["dp"\]\]}}>
// CHECK-DAG: #layout_dp-cp_x_sum-tp_max-ep = #graph.layout<mesh, {{\[\["dp", "cp"\], \[\]\]}}, partial = {tp : sum, ep : max}>
// CHECK-DAG: #mesh = #graph.mesh<"dp" = 4, "tp" = 2>
// CHECK: module attributes {graph.mesh = #mesh}
module attributes {graph.mesh = #graph.mesh<"dp" = 4, "tp" = 2>} {
  // CHECK: graph.variable @layers.0.q.weight : tensor<8x8xf32> role parameter init #graph.init<"normal", {std = 2.000000e-02 : f64}> {decay, stream = 3 : i64}
  graph.variable @layers.0.q.weight : tensor<8x8xf32> role parameter init #graph.init<"normal", {std = 2.000000e-02 : f64}> {stream = 3, decay}
  // CHECK: graph.variable @layers.0.q.weight.m : tensor<8x8xf32> role optimizer init #graph.init<"zeros">
  graph.variable @layers.0.q.weight.m : tensor<8x8xf32> role optimizer init #graph.init<"zeros">
  // CHECK: graph.variable @layers.0.q.weight.grad : tensor<8x8xf32> role gradient
  graph.variable @layers.0.q.weight.grad : tensor<8x8xf32> role gradient init #graph.init<"zeros">
  // CHECK: graph.variable @rope.cos : tensor<4x2xf32> role constant
  graph.variable @rope.cos : tensor<4x2xf32> role constant init #graph.init<"rope_cos", {inv_freq = array<f64: 1.0, 0.5>, scale = 1.0 : f64}>

  // CHECK: func.func private @layout(tensor<8192x4096xbf16, #layout_dp-cp_x_sum-tp_max-ep>)
  func.func private @layout(tensor<8192x4096xbf16, #graph.layout<mesh, [["dp", "cp"], []], partial = {tp : sum, ep : max}>>)
  func.func private @block.forward(tensor<2x8xf32>, tensor<8x8xf32>) -> (tensor<2x8xf32> {graph.inplace = 0 : i64})

  // CHECK-LABEL: func.func @program
  func.func @program(%x: tensor<2x8xf32>, %tokens: tensor<4x2x8xi32>) -> tensor<f32> {
    // CHECK: graph.load @layers.0.q.weight : tensor<8x8xf32>
    %w = graph.load @layers.0.q.weight : tensor<8x8xf32>
    // CHECK: graph.call @block.forward(%{{.*}}, %{{.*}}) instance "layers.0" : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
    %y = graph.call @block.forward(%x, %w) instance "layers.0" : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
    // CHECK: graph.store %{{.*}}, @layers.0.q.weight : tensor<8x8xf32>
    graph.store %w, @layers.0.q.weight : tensor<8x8xf32>
    // CHECK: %[[LOSS:.*]] = graph.schedule microbatches 4 (%[[T:.*]] = %{{.*}}) : (tensor<4x2x8xi32>) -> tensor<f32> {
    %loss = graph.schedule microbatches 4 (%t = %tokens) : (tensor<4x2x8xi32>) -> tensor<f32> {
      // CHECK: graph.convert %[[T]] : tensor<2x8xi32> -> tensor<2x8xf32>
      %f = graph.convert %t : tensor<2x8xi32> -> tensor<2x8xf32>
      %s = graph.reduce sum %f dims [0, 1] : tensor<2x8xf32> -> tensor<f32>
      // CHECK: graph.yield %{{.*}} : tensor<f32>
      graph.yield %s : tensor<f32>
    }
    // CHECK: graph.schedule microbatches 2 () : () -> () {
    // CHECK-NEXT: }
    graph.schedule microbatches 2 () : () -> () {
    }
    return %loss : tensor<f32>
  }

  // CHECK-LABEL: func.func @fused
  func.func @fused(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    // CHECK: graph.fusion "elementwise" (%[[A:.*]] = %{{.*}}, %[[B:.*]] = %{{.*}}) : (tensor<4x8xf32>, tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) attributes {tag = "kept"} {
    %y:2 = graph.fusion "elementwise" (%a = %x, %b = %x) : (tensor<4x8xf32>, tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) attributes {tag = "kept"} {
      // CHECK: graph.exp %[[A]]
      %e = graph.exp %a : tensor<4x8xf32>
      // CHECK: graph.yield %{{.*}}, %[[B]] : tensor<4x8xf32>, tensor<4x8xf32>
      graph.yield %e, %b : tensor<4x8xf32>, tensor<4x8xf32>
    }
    return %y#0 : tensor<4x8xf32>
  }

  // A schedule's slices keep the layout of the other dimensions.
  // CHECK-LABEL: func.func @layout_of_slices
  func.func @layout_of_slices(%x: tensor<4x2xi32, #graph.layout<mesh, [[], ["dp"]]>>) {
    graph.schedule microbatches 4 (%t = %x) : (tensor<4x2xi32, #graph.layout<mesh, [[], ["dp"]]>>) -> () {
      // CHECK: graph.add %{{.*}}, %{{.*}} : tensor<2xi32, #layout_dp>
      %s = graph.add %t, %t : tensor<2xi32, #graph.layout<mesh, [["dp"]]>>
    }
    return
  }
}
