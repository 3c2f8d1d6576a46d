// RUN: primus-opt %s --graph-drop-layouts | FileCheck %s

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  // The signature keeps its layouts; nothing between does.
  // CHECK: func.func private @f(%[[X:.*]]: tensor<4x8xf32, #[[L:.*]]>) -> tensor<4x8xf32, #[[L]]>
  // CHECK: %[[P:.*]] = graph.reshape %[[X]] : tensor<4x8xf32, #[[L]]> -> tensor<4x8xf32>
  // CHECK: %[[C:.*]] = graph.constant dense<2.000000e+00> : tensor<4x8xf32>
  // CHECK: %[[M:.*]] = graph.mul %[[P]], %[[C]] : tensor<4x8xf32>
  // CHECK: %[[G:.*]] = graph.all_gather %[[M]] over ["tp"] dim 1 : tensor<4x8xf32> -> tensor<4x16xf32>
  // CHECK: %[[B:.*]] = graph.block %[[G]] over ["tp"] dim 1 : tensor<4x16xf32> -> tensor<4x8xf32>
  // CHECK: %[[Y:.*]] = graph.reshape %[[B]] : tensor<4x8xf32> -> tensor<4x8xf32, #[[L]]>
  // CHECK: return %[[Y]]
  func.func private @f(%x: tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>) -> tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>
      attributes {graph.layer = {layer = "f", part = "forward"}} {
    %c = graph.constant dense<2.0> : tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>
    %m = graph.mul %x, %c : tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>
    %g = graph.all_gather %m over ["tp"] dim 1 : tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>> -> tensor<4x16xf32, #graph.layout<mesh, [[], []]>>
    %b = graph.block %g over ["tp"] dim 1 : tensor<4x16xf32, #graph.layout<mesh, [[], []]>> -> tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>
    return %b : tensor<4x8xf32, #graph.layout<mesh, [[], ["tp"]]>>
  }

  // Without layouts nothing changes.
  // CHECK-LABEL: func.func private @plain
  // CHECK-NEXT:    return
  func.func private @plain(%x: tensor<4xf32>) -> tensor<4xf32> attributes {graph.layer = {layer = "g", part = "forward"}} {
    return %x : tensor<4xf32>
  }
}
