// Parsing, printing and types of resharding and collectives.
// RUN: primus-opt %s | primus-opt | FileCheck %s
// RUN: primus-opt %s --mlir-print-op-generic | primus-opt | FileCheck %s

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
// CHECK-LABEL: func.func @reshard
func.func @reshard(%x: tensor<4x8xf32, #graph.layout<mesh, [["cp"], []], partial = {tp : sum}>>) -> tensor<4x8xf32, #graph.layout<mesh, [["cp"], ["tp"]]>> {
  // CHECK: graph.reshard %arg0 : tensor<4x8xf32, #layout_cp_x_sum-tp> -> tensor<4x8xf32, #layout_cp_tp>
  %y = graph.reshard %x : tensor<4x8xf32, #graph.layout<mesh, [["cp"], []], partial = {tp : sum}>> -> tensor<4x8xf32, #graph.layout<mesh, [["cp"], ["tp"]]>>
  return %y : tensor<4x8xf32, #graph.layout<mesh, [["cp"], ["tp"]]>>
}

// CHECK-LABEL: func.func @collectives
func.func @collectives(%x: tensor<4x8xf32, #graph.layout<mesh, [["cp"], []], partial = {tp : sum}>>) {
  // CHECK: graph.all_reduce sum %arg0 over ["tp"] : tensor<4x8xf32, #layout_cp_x_sum-tp> -> tensor<4x8xf32, #layout_cp_x>
  %whole = graph.all_reduce sum %x over ["tp"] : tensor<4x8xf32, #graph.layout<mesh, [["cp"], []], partial = {tp : sum}>> -> tensor<4x8xf32, #graph.layout<mesh, [["cp"], []]>>
  // CHECK: graph.reduce_scatter sum %arg0 over ["tp"] dim 0 : tensor<4x8xf32, #layout_cp_x_sum-tp> -> tensor<1x8xf32, #layout_cp-tp_x>
  %part = graph.reduce_scatter sum %x over ["tp"] dim 0 : tensor<4x8xf32, #graph.layout<mesh, [["cp"], []], partial = {tp : sum}>> -> tensor<1x8xf32, #graph.layout<mesh, [["cp", "tp"], []]>>
  // CHECK: graph.all_gather %{{.*}} over ["cp", "tp"] dim 0 : tensor<1x8xf32, #layout_cp-tp_x> -> tensor<8x8xf32, #layout_x_x>
  %all = graph.all_gather %part over ["cp", "tp"] dim 0 : tensor<1x8xf32, #graph.layout<mesh, [["cp", "tp"], []]>> -> tensor<8x8xf32, #graph.layout<mesh, [[], []]>>
  // CHECK: graph.all_to_all %{{.*}} over ["tp"] split 1 concat 0 : tensor<1x8xf32, #layout_cp-tp_x> -> tensor<4x2xf32, #layout_cp_tp>
  %moved = graph.all_to_all %part over ["tp"] split 1 concat 0 : tensor<1x8xf32, #graph.layout<mesh, [["cp", "tp"], []]>> -> tensor<4x2xf32, #graph.layout<mesh, [["cp"], ["tp"]]>>
  // CHECK: graph.permute %{{.*}} over ["cp"] shift -1 : tensor<4x2xf32, #layout_cp_tp>
  %next = graph.permute %moved over ["cp"] shift -1 : tensor<4x2xf32, #graph.layout<mesh, [["cp"], ["tp"]]>>
  // CHECK: graph.block %{{.*}} over ["tp", "cp"] dim 1 : tensor<8x8xf32, #layout_x_x> -> tensor<8x1xf32, #layout_x_tp-cp>
  %own = graph.block %all over ["tp", "cp"] dim 1 : tensor<8x8xf32, #graph.layout<mesh, [[], []]>> -> tensor<8x1xf32, #graph.layout<mesh, [[], ["tp", "cp"]]>>
  // Without layouts only shapes are compared.
  // CHECK: graph.all_gather %{{.*}} over ["tp"] dim 0 : tensor<2xf32> -> tensor<8xf32>
  %c = graph.constant dense<1.0> : tensor<2xf32>
  %gathered = graph.all_gather %c over ["tp"] dim 0 : tensor<2xf32> -> tensor<8xf32>
  return
}
}
