// RUN: primus-opt %s --graph-lift-collectives | FileCheck %s

module attributes {graph.mesh = #graph.mesh<"fsdp" = 2, "cp" = 2>} {
  // What ends with two gathers returns what they start from; a result that is read inside stays.
  // CHECK-LABEL: func.func private @l.unshard
  // CHECK-SAME:    -> (tensor<2x8xbf16>, tensor<8x8xf32>)
  // CHECK-NEXT:    %[[C:.*]] = graph.convert
  // CHECK-NEXT:    %[[D:.*]] = graph.convert
  // CHECK-NEXT:    %[[G:.*]] = graph.all_gather %[[D]]
  // CHECK-NEXT:    %[[E:.*]] = graph.exp %[[G]]
  // CHECK-NEXT:    return %[[C]], %[[E]]
  func.func private @l.unshard(%w: tensor<2x8xf32>, %v: tensor<4x8xf32>) -> (tensor<8x8xbf16>, tensor<8x8xf32>) attributes {graph.layer = {layer = "l", part = "unshard"}} {
    %0 = graph.convert %w : tensor<2x8xf32> -> tensor<2x8xbf16>
    %1 = graph.all_gather %0 over ["cp"] dim 0 : tensor<2x8xbf16> -> tensor<4x8xbf16>
    %2 = graph.all_gather %1 over ["fsdp"] dim 0 : tensor<4x8xbf16> -> tensor<8x8xbf16>
    %3 = graph.convert %v : tensor<4x8xf32> -> tensor<4x8xf32>
    %4 = graph.all_gather %3 over ["fsdp"] dim 0 : tensor<4x8xf32> -> tensor<8x8xf32>
    %5 = graph.exp %4 : tensor<8x8xf32>
    return %2, %5 : tensor<8x8xbf16>, tensor<8x8xf32>
  }

  // What begins with a reduction gets its result. It is no longer the caller's accumulator over which a result could be written.
  // CHECK-LABEL: func.func private @l.accumulate
  // CHECK-SAME:    (%[[G:.*]]: tensor<4x8xf32>, %[[S:.*]]: tensor<4x8xf32>) -> (tensor<4x8xf32> {graph.inplace = 1 : i64})
  // CHECK-NEXT:    graph.add %[[G]], %[[S]]
  func.func private @l.accumulate(%g: tensor<8x8xf32>, %s: tensor<4x8xf32>) -> (tensor<4x8xf32> {graph.inplace = 1 : i64}) attributes {graph.layer = {layer = "l", part = "accumulate"}} {
    %0 = graph.reduce_scatter sum %g over ["fsdp"] dim 0 : tensor<8x8xf32> -> tensor<4x8xf32>
    %1 = graph.add %0, %s : tensor<4x8xf32>
    return %1 : tensor<4x8xf32>
  }
  // CHECK-LABEL: func.func private @l.reduce
  // CHECK-SAME:    (%{{.*}}: tensor<4x8xf32>) -> tensor<4x8xf32>
  func.func private @l.reduce(%g: tensor<4x8xf32>) -> (tensor<4x8xf32> {graph.inplace = 0 : i64}) attributes {graph.layer = {layer = "l", part = "reduce"}} {
    %0 = graph.all_reduce sum %g over ["cp"] : tensor<4x8xf32> -> tensor<4x8xf32>
    %1 = graph.neg %0 : tensor<4x8xf32>
    return %1 : tensor<4x8xf32>
  }

  // The passes of the layer itself stay as they are.
  // CHECK-LABEL: func.func private @l.forward
  // CHECK:         graph.all_reduce
  func.func private @l.forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {graph.layer = {layer = "l", part = "forward"}} {
    %0 = graph.all_reduce sum %x over ["cp"] : tensor<4x8xf32> -> tensor<4x8xf32>
    return %0 : tensor<4x8xf32>
  }

  // CHECK-LABEL: func.func @p
  // CHECK:         %[[U:.*]]:2 = graph.call @l.unshard({{.*}}) instance "l.0"
  // CHECK-NEXT:    %[[A:.*]] = graph.all_gather %[[U]]#0 over ["cp"] dim 0 : tensor<2x8xbf16> -> tensor<4x8xbf16>
  // CHECK-NEXT:    %[[B:.*]] = graph.all_gather %[[A]] over ["fsdp"] dim 0 : tensor<4x8xbf16> -> tensor<8x8xbf16>
  // CHECK:         %[[R:.*]] = graph.reduce_scatter sum %{{.*}} over ["fsdp"] dim 0
  // CHECK-NEXT:    %[[S:.*]] = graph.call @l.accumulate(%[[R]], %{{.*}})
  // CHECK:         %[[T:.*]] = graph.all_reduce sum %[[S]] over ["cp"]
  // CHECK-NEXT:    graph.call @l.reduce(%[[T]])
  // CHECK:         return %[[B]],
  func.func @p(%w: tensor<2x8xf32>, %v: tensor<4x8xf32>) -> (tensor<8x8xbf16>, tensor<4x8xf32>) {
    %u:2 = graph.call @l.unshard(%w, %v) instance "l.0" : (tensor<2x8xf32>, tensor<4x8xf32>) -> (tensor<8x8xbf16>, tensor<8x8xf32>)
    %s = graph.call @l.accumulate(%u#1, %v) instance "l.0" : (tensor<8x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
    %r = graph.call @l.reduce(%s) instance "l.0" : (tensor<4x8xf32>) -> tensor<4x8xf32>
    return %u#0, %r : tensor<8x8xbf16>, tensor<4x8xf32>
  }
}
