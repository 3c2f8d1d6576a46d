// RUN: primus-opt %s --split-input-file --graph-shard --verify-diagnostics | FileCheck %s
// RUN: not primus-opt %s --split-input-file --graph-shard --remarks-filter=placement --remark-policy=all --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// REMARK: [Missed] placement {{.*}}scale and its optimizer state are kept whole by each rank of cp: no dimension divides by their number beside that of fsdp", bytes=24

// Layouts have short names.
// CHECK-DAG: #layout = #graph.layout<mesh, []>
// CHECK-DAG: #layout_x = #graph.layout<mesh, {{\[\[\]\]}}>
// CHECK-DAG: #layout_x_x = #graph.layout<mesh, {{\[\[\], \[\]\]}}>
// CHECK-DAG: #layout_dp = #graph.layout<mesh, {{\[\["dp"\]\]}}>
// CHECK-DAG: #mesh = #graph.mesh<"dp" = 1, "tp" = 1>
// CHECK: module attributes {graph.mesh = #mesh}

// One rank. Every tensor type gets a layout: of variables, functions, values, constants and fusions' arguments. A layout that exists stays.
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

// Sequence and tensor parallelism. The projection's weight keeps its layout, so that positions are gathered over tp but not
// over cp; the sum that the second product leaves is formed where the residual is pinned, scattered over positions.
#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1, sequence_parallel = true, zero = 1 : i64}
module attributes {graph.mesh = #graph.mesh<"fsdp" = 2, "cp" = 2, "tp" = 2>, graph.plan = #plan} {
  // ZeRO splits parameters further, over the ranks that share state: as many as divide a dimension.
  // CHECK: graph.variable @up : tensor<16x6xf32, #[[UP:layout_tp-fsdp-cp_x]]>
  graph.variable @up : tensor<16x6xf32> role parameter init #graph.init<"ones"> {dims = ["ffn", ""]}
  // CHECK: graph.variable @down : tensor<6x16xf32, #layout_x_tp-fsdp-cp>
  graph.variable @down : tensor<6x16xf32> role parameter init #graph.init<"ones"> {dims = ["", "ffn"]}
  // CHECK: graph.variable @scale : tensor<6xf32, #[[SCALE:layout_fsdp]]>
  graph.variable @scale : tensor<6xf32> role parameter init #graph.init<"ones"> {dims = [""]}
  // CHECK-LABEL: func.func private @block.forward(
  // CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<2x8x6xf32, #layout_fsdp_cp-tp_x>
  // CHECK-SAME:    %[[UPW:[a-z0-9]+]]: tensor<16x6xf32, #layout_tp_x>
  // CHECK-SAME:    %[[DOWNW:[a-z0-9]+]]: tensor<6x16xf32, #layout_x_tp>
  // CHECK-SAME:    -> (tensor<2x8x6xf32, #layout_fsdp_cp-tp_x>
  func.func private @block.forward(%x: tensor<2x8x6xf32> {graph.arg = "activation", graph.dims = ["batch", "stream", ""], graph.name = "x"},
                                   %up: tensor<16x6xf32> {graph.arg = "parameter", graph.dims = ["ffn", ""], graph.name = "up"},
                                   %down: tensor<6x16xf32> {graph.arg = "parameter", graph.dims = ["", "ffn"], graph.name = "down"},
                                   %scale: tensor<6xf32> {graph.arg = "parameter", graph.dims = [""], graph.name = "scale"})
      -> (tensor<2x8x6xf32> {graph.dims = ["batch", "stream", ""]})
      attributes {graph.layer = {layer = "block", part = "forward"}, graph.pins = {residual = ["batch", "stream", ""]}} {
    // CHECK-NEXT:  %[[ALL:.*]] = graph.reshard %[[X]] {graph.reason = "read by {{.*}}(graph.matmul)"} : tensor<2x8x6xf32, #layout_fsdp_cp-tp_x> -> tensor<2x8x6xf32, #layout_fsdp_cp_x>
    // CHECK-NEXT:  %[[H:.*]] = graph.matmul "bsi,oi->bso" %[[ALL]], %[[UPW]] : {{.*}} -> tensor<2x8x16xf32, #layout_fsdp_cp_tp>
    %h = graph.matmul "bsi,oi->bso" %x, %up : (tensor<2x8x6xf32>, tensor<16x6xf32>) -> tensor<2x8x16xf32>
    // CHECK-NEXT:  %[[Y:.*]] = graph.matmul "bsi,oi->bso" %[[H]], %[[DOWNW]] : {{.*}} -> tensor<2x8x6xf32, #layout_fsdp_cp_x_sum-tp>
    %y = graph.matmul "bsi,oi->bso" %h, %down : (tensor<2x8x16xf32>, tensor<6x16xf32>) -> tensor<2x8x6xf32>
    // CHECK-NEXT:  %[[S:.*]] = graph.reshard %[[Y]] {{.*}} : tensor<2x8x6xf32, #layout_fsdp_cp_x_sum-tp> -> tensor<2x8x6xf32, #layout_fsdp_cp-tp_x>
    // CHECK-NEXT:  %[[R:.*]] = graph.add %[[X]], %[[S]] : tensor<2x8x6xf32, #layout_fsdp_cp-tp_x>
    %r = graph.add %x, %y : tensor<2x8x6xf32> loc("residual")
    // A broadcast is made in the layout that is wanted.
    // CHECK-NEXT:  %[[B:.*]] = graph.broadcast %{{.*}} dims [2] : tensor<6xf32, #layout_x> -> tensor<2x8x6xf32, #layout_fsdp_cp-tp_x>
    %b = graph.broadcast %scale dims [2] : tensor<6xf32> -> tensor<2x8x6xf32>
    // CHECK-NEXT:  graph.mul %[[R]], %[[B]]
    %z = graph.mul %r, %b : tensor<2x8x6xf32>
    return %z : tensor<2x8x6xf32>
  }
  // What a program loads is gathered for the layer, once; its results are whole.
  // CHECK-LABEL: func.func @forward(
  // CHECK-SAME:    %[[T:[a-z0-9]+]]: tensor<2x8x6xf32, #layout_fsdp_cp-tp_x>
  // CHECK-SAME:    -> tensor<2x8x6xf32, #layout_x_x_x>
  // CHECK-NEXT:    %[[L:.*]] = graph.load @up : tensor<16x6xf32, #[[UP]]>
  // CHECK-NEXT:    graph.reshard %[[L]] {graph.reason = "as layers.0 takes it"} : tensor<16x6xf32, #[[UP]]> -> tensor<16x6xf32, #layout_tp_x>
  // CHECK-COUNT-1: graph.reshard %{{.*}} {graph.reason = "as layers.0 takes it"} : tensor<6x16xf32
  // CHECK-NEXT:    %[[L:.*]] = graph.load @scale : tensor<6xf32, #[[SCALE]]>
  // CHECK-NEXT:    graph.reshard %[[L]] {graph.reason = "as layers.0 takes it"} : tensor<6xf32, #[[SCALE]]> -> tensor<6xf32, #layout_x>
  // CHECK-NOT:     as layers
  // CHECK:         graph.reshard %{{.*}} {graph.reason = "result of forward"} : tensor<2x8x6xf32, #layout_fsdp_cp-tp_x> -> tensor<2x8x6xf32, #layout_x_x_x>
  func.func @forward(%x: tensor<2x8x6xf32> {graph.dims = ["batch", "stream", ""], graph.name = "x"}) -> tensor<2x8x6xf32> {
    %up = graph.load @up : tensor<16x6xf32>
    %down = graph.load @down : tensor<6x16xf32>
    %scale = graph.load @scale : tensor<6xf32>
    %x1 = graph.call @block.forward(%x, %up, %down, %scale) instance "layers.0" : (tensor<2x8x6xf32>, tensor<16x6xf32>, tensor<6x16xf32>, tensor<6xf32>) -> tensor<2x8x6xf32>
    %x2 = graph.call @block.forward(%x1, %up, %down, %scale) instance "layers.1" : (tensor<2x8x6xf32>, tensor<16x6xf32>, tensor<6x16xf32>, tensor<6xf32>) -> tensor<2x8x6xf32>
    return %x2 : tensor<2x8x6xf32>
  }
}

// -----

// expected-error @below {{has no mesh: set the attribute 'graph.mesh'}}
module {
}

// -----

#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
// expected-error @below {{mesh axis "pp" has 4 ranks, but nothing is split over it: set its size to 1, or use one of dp, fsdp, ep, cp, tp}}
module attributes {graph.mesh = #graph.mesh<"pp" = 4, "dp" = 2>, graph.plan = #plan} {
}

// -----

#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
module attributes {graph.mesh = #graph.mesh<"tp" = 4>, graph.plan = #plan} {
  // expected-error @below {{cannot be placed: dimension 0 (heads) of 6 does not divide by 4, the ranks of tp}}
  graph.variable @w : tensor<6xf32> role parameter init #graph.init<"zeros"> {dims = ["heads"]}
}

// -----

#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
module attributes {graph.mesh = #graph.mesh<"tp" = 2>, graph.plan = #plan} {
  // expected-error @below {{cannot be placed: calls dimension 0 "feet", which is none of batch, sequence, stream, heads, ffn, vocabulary and the empty name}}
  graph.variable @w : tensor<6xf32> role parameter init #graph.init<"zeros"> {dims = ["feet"]}
}

// -----

// Two candidates of equal right, no pin: both are named.
#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 2>, graph.plan = #plan} {
  func.func private @block.forward(%x: tensor<4x6xf32> {graph.arg = "activation", graph.dims = ["sequence", ""], graph.name = "x"},
                                   %y: tensor<4x6xf32> {graph.arg = "activation", graph.dims = ["heads", ""], graph.name = "y"})
      -> tensor<4x6xf32> attributes {graph.layer = {layer = "block", part = "forward"}} {
    // expected-error @below {{can be split in two ways, and nothing says which is right: %x in layout [cp, ()] splits one of its dimensions over cp, %y in layout [tp, ()] splits one of its dimensions over tp; pin the layout of the result in 'graph.pins'}}
    %z = graph.mul %x, %y : tensor<4x6xf32>
    return %z : tensor<4x6xf32>
  }
}

// -----

#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
module attributes {graph.mesh = #graph.mesh<"tp" = 2>, graph.plan = #plan} {
  func.func private @block.forward(%x: tensor<2x4xf32> {graph.arg = "activation", graph.name = "x"}) -> tensor<2x4xf32>
      attributes {graph.layer = {layer = "block", part = "forward"}} {
    // expected-error @below {{has no sharding rule, so that it cannot be placed on a mesh of several ranks}}
    %e = graph.fusion "rows" (%a = %x) : (tensor<2x4xf32>) -> tensor<2x4xf32> {
      %b = graph.exp %a : tensor<2x4xf32>
      graph.yield %b : tensor<2x4xf32>
    }
    return %e : tensor<2x4xf32>
  }
}
