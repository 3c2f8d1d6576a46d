// RUN: primus-opt %s --split-input-file --verify-phase=phase=placed --verify-diagnostics

// What ranks have of a largest value is the largest of all for nobody who has not asked the others.
#rows = #graph.layout<mesh, [["dp"], []]>
#largest = #graph.layout<mesh, [], partial = {dp : max}>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 2>} {
  func.func private @f(%x: tensor<4x6xf32, #rows>) -> tensor<f32, #largest> attributes {graph.layer = {layer = "f", part = "forward"}} {
    %0 = graph.amax %x : tensor<4x6xf32, #rows> -> tensor<f32, #largest>
    // expected-error @below {{cannot have the largest of what ranks have as an operand or result: it has to be found first}}
    %1 = graph.exp %0 : tensor<f32, #largest>
    return %1 : tensor<f32, #largest>
  }
}

// -----

#rows = #graph.layout<mesh, [["dp"], ["tp"]]>
#largest = #graph.layout<mesh, [], partial = {dp : max}>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 2>} {
  func.func private @f(%x: tensor<4x6xf32, #rows>) -> tensor<f32, #largest> attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{operand 0 is split over tp, over which the result is not the largest}}
    %0 = graph.amax %x : tensor<4x6xf32, #rows> -> tensor<f32, #largest>
    return %0 : tensor<f32, #largest>
  }
}

// -----

// An all_reduce finds it.
#rows = #graph.layout<mesh, [["dp"], []]>
#largest = #graph.layout<mesh, [], partial = {dp : max}>
#whole = #graph.layout<mesh, []>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 2>} {
  func.func private @f(%x: tensor<4x6xf32, #rows>) -> tensor<f32, #whole> attributes {graph.layer = {layer = "f", part = "forward"}} {
    %0 = graph.amax %x : tensor<4x6xf32, #rows> -> tensor<f32, #largest>
    %1 = graph.all_reduce max %0 over ["dp"] : tensor<f32, #largest> -> tensor<f32, #whole>
    %2 = graph.exp %1 : tensor<f32, #whole>
    return %2 : tensor<f32, #whole>
  }
}
