// A placed module runs on all ranks of its mesh; inputs and results are whole.
// RUN: primus-opt %s --graph-interpret=function=main | FileCheck %s

module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 2>} {
  graph.variable @place : tensor<i32> role constant init #graph.init<"axis_index", {axes = ["tp", "dp"]}>

  // CHECK: // main result 0 : tensor<4xi32> = [0, 2, 1, 3]
  // CHECK: // main result 1 : tensor<i32> = 6
  func.func @main() -> (tensor<1xi32, #graph.layout<mesh, [["dp", "tp"]]>>, tensor<i32, #graph.layout<mesh, [], partial = {dp : sum, tp : sum}>>) {
    %i = graph.load @place : tensor<i32>
    %own = graph.reshape %i : tensor<i32> -> tensor<1xi32, #graph.layout<mesh, [["dp", "tp"]]>>
    %part = graph.reshape %i : tensor<i32> -> tensor<i32, #graph.layout<mesh, [], partial = {dp : sum, tp : sum}>>
    return %own, %part : tensor<1xi32, #graph.layout<mesh, [["dp", "tp"]]>>, tensor<i32, #graph.layout<mesh, [], partial = {dp : sum, tp : sum}>>
  }
}
