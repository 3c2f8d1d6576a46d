// RUN: primus-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @round_in_matmul
func.func @round_in_matmul(%x: tensor<4x8xbf16>, %w: tensor<6x8xbf16>) -> tensor<4x6xbf16> {
  // CHECK-NEXT: %[[Y:.*]] = graph.matmul "mk,nk->mn" %{{.*}}, %{{.*}} : (tensor<4x8xbf16>, tensor<6x8xbf16>) -> tensor<4x6xbf16>
  // CHECK-NEXT: return %[[Y]]
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<4x8xbf16>, tensor<6x8xbf16>) -> tensor<4x6xf32>
  %1 = graph.convert %0 : tensor<4x6xf32> -> tensor<4x6xbf16>
  return %1 : tensor<4x6xbf16>
}

// CHECK-LABEL: func.func @round_in_reduce_and_scatter
func.func @round_in_reduce_and_scatter(%x: tensor<4x8xbf16>, %i: tensor<4xi32>) -> (tensor<4xbf16>, tensor<9x8xbf16>) {
  // CHECK-DAG: graph.reduce sum %{{.*}} dims [1] : tensor<4x8xbf16> -> tensor<4xbf16>
  // CHECK-DAG: graph.scatter %{{.*}}, %{{.*}} : (tensor<4xi32>, tensor<4x8xbf16>) -> tensor<9x8xbf16>
  // CHECK-NOT: graph.convert
  %0 = graph.reduce sum %x dims [1] : tensor<4x8xbf16> -> tensor<4xf32>
  %1 = graph.convert %0 : tensor<4xf32> -> tensor<4xbf16>
  %2 = graph.scatter %i, %x : (tensor<4xi32>, tensor<4x8xbf16>) -> tensor<9x8xf32>
  %3 = graph.convert %2 : tensor<9x8xf32> -> tensor<9x8xbf16>
  return %1, %3 : tensor<4xbf16>, tensor<9x8xbf16>
}

// Another reader needs the f32 value.
// CHECK-LABEL: func.func @two_readers
func.func @two_readers(%x: tensor<4x8xbf16>, %w: tensor<6x8xbf16>) -> (tensor<4x6xf32>, tensor<4x6xbf16>) {
  // CHECK: graph.matmul {{.*}} -> tensor<4x6xf32>
  // CHECK: graph.convert
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<4x8xbf16>, tensor<6x8xbf16>) -> tensor<4x6xf32>
  %1 = graph.convert %0 : tensor<4x6xf32> -> tensor<4x6xbf16>
  return %0, %1 : tensor<4x6xf32>, tensor<4x6xbf16>
}

// An f64 sum would be rounded twice: to f32, then to bf16.
// CHECK-LABEL: func.func @f64
func.func @f64(%x: tensor<4x8xf64>) -> tensor<4xbf16> {
  // CHECK: graph.reduce {{.*}} -> tensor<4xf32>
  // CHECK: graph.convert
  %0 = graph.reduce sum %x dims [1] : tensor<4x8xf64> -> tensor<4xf32>
  %1 = graph.convert %0 : tensor<4xf32> -> tensor<4xbf16>
  return %1 : tensor<4xbf16>
}

// CHECK-LABEL: func.func @widen_and_back
func.func @widen_and_back(%x: tensor<4xbf16>) -> tensor<4xbf16> {
  // CHECK-NEXT: return %arg0
  %0 = graph.convert %x : tensor<4xbf16> -> tensor<4xf32>
  %1 = graph.convert %0 : tensor<4xf32> -> tensor<4xbf16>
  return %1 : tensor<4xbf16>
}

// CHECK-LABEL: func.func @narrow_and_back
func.func @narrow_and_back(%x: tensor<4xf32>, %h: tensor<4xf16>) -> (tensor<4xf32>, tensor<4xf16>) {
  // CHECK-COUNT-4: graph.convert
  %0 = graph.convert %x : tensor<4xf32> -> tensor<4xbf16>
  %1 = graph.convert %0 : tensor<4xbf16> -> tensor<4xf32>
  %2 = graph.convert %h : tensor<4xf16> -> tensor<4xbf16>
  %3 = graph.convert %2 : tensor<4xbf16> -> tensor<4xf16>
  return %1, %3 : tensor<4xf32>, tensor<4xf16>
}

// CHECK-LABEL: func.func @identities
func.func @identities(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK-NEXT: return %arg0
  %0 = graph.convert %x : tensor<4x8xf32> -> tensor<4x8xf32>
  %1 = graph.reshape %0 : tensor<4x8xf32> -> tensor<4x8xf32>
  %2 = graph.transpose %1 perm [0, 1] : tensor<4x8xf32> -> tensor<4x8xf32>
  %3 = graph.broadcast %2 dims [0, 1] : tensor<4x8xf32> -> tensor<4x8xf32>
  %4 = graph.slice %3 at [0, 0] : tensor<4x8xf32> -> tensor<4x8xf32>
  %5 = graph.pad %4 at [0, 0] : tensor<4x8xf32> -> tensor<4x8xf32>
  %6 = graph.concat %5 dim 0 : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return %6 : tensor<4x8xf32>
}

// A transpose of equal sizes moves elements.
// CHECK-LABEL: func.func @square
func.func @square(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // CHECK: graph.transpose
  %0 = graph.transpose %x perm [1, 0] : tensor<4x4xf32> -> tensor<4x4xf32>
  return %0 : tensor<4x4xf32>
}

// CHECK-LABEL: func.func @reshape_of_reshape
func.func @reshape_of_reshape(%x: tensor<4x8xf32>) -> (tensor<2x16xf32>, tensor<4x8xf32>) {
  // CHECK-NEXT: %[[Y:.*]] = graph.reshape %arg0 : tensor<4x8xf32> -> tensor<2x16xf32>
  // CHECK-NEXT: return %[[Y]], %arg0
  %0 = graph.reshape %x : tensor<4x8xf32> -> tensor<32xf32>
  %1 = graph.reshape %0 : tensor<32xf32> -> tensor<2x16xf32>
  %2 = graph.reshape %1 : tensor<2x16xf32> -> tensor<4x8xf32>
  return %1, %2 : tensor<2x16xf32>, tensor<4x8xf32>
}

// A change of layout is no identity.
// CHECK-LABEL: func.func @layouts
func.func @layouts(%x: tensor<4x8xf32, #graph.layout<mesh, [["dp"], []]>>) -> tensor<4x8xf32, #graph.layout<mesh, [[], ["dp"]]>> {
  // CHECK: graph.reshape
  %0 = graph.reshape %x : tensor<4x8xf32, #graph.layout<mesh, [["dp"], []]>> -> tensor<4x8xf32, #graph.layout<mesh, [[], ["dp"]]>>
  return %0 : tensor<4x8xf32, #graph.layout<mesh, [[], ["dp"]]>>
}

graph.variable @w : tensor<4xf32> role parameter init #graph.init<"zeros">
func.func private @layer(tensor<4xf32>) -> tensor<4xf32>

// A load across a store or a call is another value; calls and stores stay.
// CHECK-LABEL: func.func @state
func.func @state(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK-NEXT: %[[A:.*]] = graph.load @w
  // CHECK-NEXT: graph.store
  // CHECK-NEXT: %[[B:.*]] = graph.load @w
  // CHECK-NEXT: graph.call @layer
  // CHECK-NEXT: return %[[A]], %[[B]]
  %unused = graph.load @w : tensor<4xf32>
  %a = graph.load @w : tensor<4xf32>
  graph.store %x, @w : tensor<4xf32>
  %b = graph.load @w : tensor<4xf32>
  %c = graph.call @layer(%x) instance "l" : (tensor<4xf32>) -> tensor<4xf32>
  return %a, %b : tensor<4xf32>, tensor<4xf32>
}
