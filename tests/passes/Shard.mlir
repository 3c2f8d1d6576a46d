// RUN: primus-opt %s --split-input-file --graph-shard --verify-diagnostics | FileCheck %s

// Layouts have short names.
// CHECK-DAG: #layout = #graph.layout<mesh, []>
// CHECK-DAG: #layout_x = #graph.layout<mesh, {{\[\[\]\]}}>
// CHECK-DAG: #layout_x_x = #graph.layout<mesh, {{\[\[\], \[\]\]}}>
// CHECK-DAG: #layout_dp = #graph.layout<mesh, {{\[\["dp"\]\]}}>
// CHECK-DAG: #mesh = #graph.mesh<"dp" = 1, "tp" = 1>
// CHECK: module attributes {graph.mesh = #mesh}

// Every tensor type gets a layout: of variables, functions, values, constants and fusions' arguments. A layout that exists stays.
module attributes {graph.mesh = #graph.mesh<"dp" = 1, "tp" = 1>} {
  // CHECK: graph.variable @w : tensor<4xf32, #layout_x>
  graph.variable @w : tensor<4xf32> role parameter init #graph.init<"zeros">
  // CHECK-LABEL: func.func @f
  // CHECK-SAME:    tensor<2x4xf32, #layout_x_x>
  // CHECK-SAME:    tensor<4xf32, #layout_dp>
  // CHECK-SAME:    -> tensor<2x4xf32, #layout_x_x>
  func.func @f(%x: tensor<2x4xf32>, %y: tensor<4xf32, #graph.layout<mesh, [["dp"]]>>) -> tensor<2x4xf32> {
    // CHECK: graph.constant dense<1.000000e+00> : tensor<2x4xf32, #layout_x_x>
    %c = graph.constant dense<1.0> : tensor<2x4xf32>
    // CHECK: graph.constant dense<{{.*}}[1.000000e+00, 2.000000e+00]{{.*}}> : tensor<2xf32, #layout_x>
    %v = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
    // CHECK: graph.fusion "rows" (%[[A:.*]] = %{{.*}}) : (tensor<2x4xf32, #layout_x_x>)
    %e = graph.fusion "rows" (%a = %x) : (tensor<2x4xf32>) -> tensor<2x4xf32> {
      // CHECK: graph.exp %[[A]] : tensor<2x4xf32, #layout_x_x>
      %b = graph.exp %a : tensor<2x4xf32>
      graph.yield %b : tensor<2x4xf32>
    }
    %s = graph.add %e, %c : tensor<2x4xf32>
    return %s : tensor<2x4xf32>
  }
  // A scalar has a layout without dimensions.
  // CHECK: func.func private @scalar(tensor<f32, #layout>)
  func.func private @scalar(tensor<f32>)
}

// -----

// expected-error @below {{cannot be split over 8 ranks: axes "dp" = 4, "tp" = 2; set the parallel sizes behind them to 1}}
module attributes {graph.mesh = #graph.mesh<"pp" = 1, "dp" = 4, "tp" = 2>} {
}

// -----

// expected-error @below {{has no mesh: set the attribute 'graph.mesh'}}
module {
}
