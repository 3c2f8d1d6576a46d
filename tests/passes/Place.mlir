// RUN: primus-opt %s --split-input-file --graph-place --verify-diagnostics | FileCheck %s

// One rank per axis: nothing changes.
module attributes {graph.mesh = #graph.mesh<"dp" = 1>} {
  // CHECK: func.func @f(%[[X:.*]]: tensor<4xf32, #layout_dp>) -> tensor<4xf32, #layout_dp> {
  // CHECK-NEXT: return %[[X]]
  func.func @f(%x: tensor<4xf32, #graph.layout<mesh, [["dp"]]>>) -> tensor<4xf32, #graph.layout<mesh, [["dp"]]>> {
    return %x : tensor<4xf32, #graph.layout<mesh, [["dp"]]>>
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"dp" = 2>} {
  // expected-error @below {{is split over axis "dp" of 2 ranks, but has its global shape}}
  func.func @f(%x: tensor<4xf32, #graph.layout<mesh, [["dp"]]>>) {
    return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"dp" = 2>} {
  func.func private @f(%x: tensor<4xf32, #graph.layout<mesh, [[]]>>) {
    // expected-error @below {{is partial over axis "dp" of 2 ranks}}
    %0 = graph.call @g(%x) instance "g" : (tensor<4xf32, #graph.layout<mesh, [[]]>>) -> tensor<4xf32, #graph.layout<mesh, [[]], partial = {dp : sum}>>
    return
  }
  func.func private @g(tensor<4xf32, #graph.layout<mesh, [[]]>>) -> tensor<4xf32, #graph.layout<mesh, [[]], partial = {dp : sum}>>
}

// -----

module attributes {graph.mesh = #graph.mesh<"dp" = 1>} {
  // expected-error @below {{names axis "tp", which the mesh #graph.mesh<"dp" = 1> lacks}}
  func.func @f(%x: tensor<4xf32, #graph.layout<mesh, [["tp"]]>>) {
    return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"dp" = 1>} {
  // expected-error @below {{value of type 'tensor<4xf32>' has no layout}}
  func.func @f(%x: tensor<4xf32>) {
    return
  }
}
