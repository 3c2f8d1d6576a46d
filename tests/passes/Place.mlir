// RUN: primus-opt %s --split-input-file --graph-place --verify-diagnostics | FileCheck %s

// One rank per axis: nothing but the mark changes.
// CHECK: module attributes {graph.mesh = #mesh, graph.placed}
module attributes {graph.mesh = #graph.mesh<"dp" = 1>} {
  // CHECK: func.func @f(%[[X:.*]]: tensor<4xf32, #layout_dp>) -> tensor<4xf32, #layout_dp> {
  // CHECK-NEXT: return %[[X]]
  func.func @f(%x: tensor<4xf32, #graph.layout<mesh, [["dp"]]>>) -> tensor<4xf32, #graph.layout<mesh, [["dp"]]>> {
    return %x : tensor<4xf32, #graph.layout<mesh, [["dp"]]>>
  }
}

// -----

#none = #graph.layout<mesh, []>
#pending = #graph.layout<mesh, [], partial = {dp : sum, tp : sum}>
#whole = #graph.layout<mesh, [[], []]>
#rows = #graph.layout<mesh, [["dp"], []]>
#columns = #graph.layout<mesh, [[], ["tp"]]>
#both = #graph.layout<mesh, [["dp", "tp"], []]>
#sum = #graph.layout<mesh, [["dp"], []], partial = {tp : sum}>

module attributes {graph.mesh = #graph.mesh<"dp" = 2, "tp" = 4>} {
  // CHECK-DAG:   graph.variable @table : tensor<2x8xf32, #layout_tp_x> role parameter
  graph.variable @table : tensor<8x8xf32, #graph.layout<mesh, [["tp"], []]>> role parameter init #graph.init<"ones">
  // CHECK-DAG:   graph.variable @axis_index.tp : tensor<i32, #layout> role constant init #graph.init<"axis_index", {axes = ["tp"]}>

  // Each change of layout by the collective that moves least.
  // CHECK-LABEL: func.func private @changes(
  // CHECK-SAME:    %[[SUM:[a-z0-9]+]]: tensor<4x8xf32, #layout_dp_x_sum-tp>
  // CHECK-SAME:    %[[COLUMNS:[a-z0-9]+]]: tensor<8x2xf32, #layout_x_tp>
  // CHECK-SAME:    %[[S:[a-z0-9]+]]: tensor<f32, #layout>
  func.func private @changes(%sum: tensor<8x8xf32, #sum> {graph.arg = "activation"}, %columns: tensor<8x8xf32, #columns> {graph.arg = "activation"},
                             %s: tensor<f32, #none> {graph.arg = "scalar"})
      -> (tensor<8x8xf32, #rows>, tensor<8x8xf32, #both>, tensor<8x8xf32, #whole>, tensor<8x8xf32, #graph.layout<mesh, [["tp"], []]>>,
          tensor<f32, #pending>) attributes {graph.layer = {layer = "f", part = "forward"}} {
    // CHECK:       graph.all_reduce sum %[[SUM]] over ["tp"] {graph.reason = "one"} : tensor<4x8xf32, #layout_dp_x_sum-tp> -> tensor<4x8xf32, #layout_dp_x>
    %0 = graph.reshard %sum {graph.reason = "one"} : tensor<8x8xf32, #sum> -> tensor<8x8xf32, #rows>
    // CHECK:       graph.reduce_scatter sum %[[SUM]] over ["tp"] dim 0 : tensor<4x8xf32, #layout_dp_x_sum-tp> -> tensor<1x8xf32, #layout_dp-tp_x>
    %1 = graph.reshard %sum : tensor<8x8xf32, #sum> -> tensor<8x8xf32, #both>
    // CHECK:       graph.all_gather %[[COLUMNS]] over ["tp"] dim 1 : tensor<8x2xf32, #layout_x_tp> -> tensor<8x8xf32, #layout_x_x>
    %2 = graph.reshard %columns : tensor<8x8xf32, #columns> -> tensor<8x8xf32, #whole>
    // CHECK:       graph.all_to_all %[[COLUMNS]] over ["tp"] split 0 concat 1 : tensor<8x2xf32, #layout_x_tp> -> tensor<2x8xf32, #layout_tp_x>
    %3 = graph.reshard %columns : tensor<8x8xf32, #columns> -> tensor<8x8xf32, #graph.layout<mesh, [["tp"], []]>>
    // A whole value becomes a sum over eight ranks.
    // CHECK:       %[[N:.*]] = graph.constant dense<8.000000e+00> : tensor<f32, #layout>
    // CHECK:       %[[PART:.*]] = graph.div %[[S]], %[[N]]
    // CHECK:       graph.reshape %[[PART]] : tensor<f32, #layout> -> tensor<f32, #layout_sum-dp_sum-tp>
    %4 = graph.reshard %s : tensor<f32, #none> -> tensor<f32, #pending>
    return %0, %1, %2, %3, %4 : tensor<8x8xf32, #rows>, tensor<8x8xf32, #both>, tensor<8x8xf32, #whole>,
                                tensor<8x8xf32, #graph.layout<mesh, [["tp"], []]>>, tensor<f32, #pending>
  }

  // Rows of a table that is split: the rank's place is an argument, which the program loads.
  // CHECK-LABEL: func.func private @look_up(
  // CHECK-SAME:    %[[T:[a-z0-9]+]]: tensor<2x8xf32, #layout_tp_x>
  // CHECK-SAME:    %[[I:[a-z0-9]+]]: tensor<3xi32, #layout_x>
  // CHECK-SAME:    %[[PLACE:[a-z0-9]+]]: tensor<i32, #layout> {graph.arg = "constant", graph.name = "axis_index.tp"}
  // CHECK:         %[[FIRST:.*]] = graph.mul %[[PLACE]],
  // CHECK:         %[[ROWS:.*]] = graph.broadcast %[[FIRST]]
  // CHECK:         %[[OWN:.*]] = graph.sub %[[I]], %[[ROWS]]
  // CHECK:         graph.gather %[[T]], %[[OWN]]
  func.func private @look_up(%table: tensor<8x8xf32, #graph.layout<mesh, [["tp"], []]>> {graph.arg = "parameter"}, %i: tensor<3xi32, #graph.layout<mesh, [[]]>> {graph.arg = "activation"})
      -> tensor<3x8xf32, #whole> attributes {graph.layer = {layer = "g", part = "forward"}} {
    %0 = graph.gather %table, %i : (tensor<8x8xf32, #graph.layout<mesh, [["tp"], []]>>, tensor<3xi32, #graph.layout<mesh, [[]]>>) -> tensor<3x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>>
    %1 = graph.reshard %0 : tensor<3x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>> -> tensor<3x8xf32, #whole>
    return %1 : tensor<3x8xf32, #whole>
  }
  // CHECK-LABEL: func.func @main(
  // CHECK:         %[[P:.*]] = graph.load @axis_index.tp
  // CHECK:         %[[W:.*]] = graph.load @table : tensor<2x8xf32, #layout_tp_x>
  // CHECK:         graph.call @look_up(%[[W]], %{{.*}}, %[[P]])
  func.func @main(%i: tensor<3xi32, #graph.layout<mesh, [[]]>>) -> tensor<3x8xf32, #whole> {
    %w = graph.load @table : tensor<8x8xf32, #graph.layout<mesh, [["tp"], []]>>
    %0 = graph.call @look_up(%w, %i) instance "g" : (tensor<8x8xf32, #graph.layout<mesh, [["tp"], []]>>, tensor<3xi32, #graph.layout<mesh, [[]]>>) -> tensor<3x8xf32, #whole>
    return %0 : tensor<3x8xf32, #whole>
  }
}

// -----

// A sum that is missing.
module attributes {graph.mesh = #graph.mesh<"dp" = 2>} {
  func.func private @f.forward(%x: tensor<4xf32, #graph.layout<mesh, [[]], partial = {dp : sum}>> {graph.arg = "activation"}) attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{operand 0 is partial over dp, but the op is not linear in it: the sum has to be formed first}}
    %0 = graph.exp %x : tensor<4xf32, #graph.layout<mesh, [[]], partial = {dp : sum}>>
    return
  }
}

// -----

// A sum that is claimed to be formed.
module attributes {graph.mesh = #graph.mesh<"dp" = 2>} {
  func.func private @f.forward(%x: tensor<4xf32, #graph.layout<mesh, [["dp"]]>> {graph.arg = "activation"}) attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{result 0 is partial over nothing by its type, but over dp by its operands}}
    %0 = graph.reduce sum %x dims [0] : tensor<4xf32, #graph.layout<mesh, [["dp"]]>> -> tensor<f32, #graph.layout<mesh, []>>
    return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"dp" = 2, "tp" = 2>} {
  func.func private @f.forward(%x: tensor<4x4xf32, #graph.layout<mesh, [["dp"], []]>> {graph.arg = "activation"}, %y: tensor<4x4xf32, #graph.layout<mesh, [["tp"], []]>> {graph.arg = "activation"}) attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{operand 1 is split along dimension 0 over tp, but another value with that factor over dp}}
    %0 = graph.matmul "si,sj->ij" %x, %y : (tensor<4x4xf32, #graph.layout<mesh, [["dp"], []]>>, tensor<4x4xf32, #graph.layout<mesh, [["tp"], []]>>) -> tensor<4x4xf32, #graph.layout<mesh, [[], []], partial = {dp : sum}>>
    return
  }
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
