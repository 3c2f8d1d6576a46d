// What a kernel computes over one of its inputs.
//
// RUN: primus-opt %s --lower-to-step | FileCheck %s

module @m attributes {graph.plan = {}, primus.target = "cpu", primus.cpu_features = ["avx512f"]} {
  // The first result is read once more, through a view that is made later: the second one is not computed over it, the third is.
  // CHECK-LABEL: step.function @f.forward
  // CHECK: step.buffer
  // CHECK: step.launch @f.forward.rows(
  // CHECK: step.buffer
  // CHECK: step.launch @f.forward.rows_1(
  // CHECK-NOT: step.buffer
  // CHECK: step.return
  func.func private @f.forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {graph.layer = {layer = "f", part = "forward"}} {
    %0 = graph.fusion "rows" (%a = %x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
      %e = graph.exp %a : tensor<4x8xf32>
      graph.yield %e : tensor<4x8xf32>
    }
    %1 = graph.fusion "rows" (%a = %0) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
      %e = graph.neg %a : tensor<4x8xf32>
      graph.yield %e : tensor<4x8xf32>
    }
    %2 = graph.reshape %0 : tensor<4x8xf32> -> tensor<32xf32>
    %3 = graph.reshape %1 : tensor<4x8xf32> -> tensor<32xf32>
    %4 = graph.fusion "rows" (%a = %2, %b = %3) : (tensor<32xf32>, tensor<32xf32>) -> tensor<32xf32> {
      %e = graph.add %a, %b : tensor<32xf32>
      graph.yield %e : tensor<32xf32>
    }
    %5 = graph.reshape %4 : tensor<32xf32> -> tensor<4x8xf32>
    %6 = graph.fusion "rows" (%a = %5, %b = %x) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32> {
      %e = graph.mul %a, %b : tensor<4x8xf32>
      graph.yield %e : tensor<4x8xf32>
    }
    return %6 : tensor<4x8xf32>
  }

  func.func @forward(%x: tensor<4x8xf32> {graph.name = "x"}) -> (tensor<4x8xf32> {graph.name = "y"}) {
    %y = graph.call @f.forward(%x) instance "f" : (tensor<4x8xf32>) -> tensor<4x8xf32>
    return %y : tensor<4x8xf32>
  }
}
