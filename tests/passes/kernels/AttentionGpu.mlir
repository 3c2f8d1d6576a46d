// Flash attention as tile programs for GPUs: operands are read where they lie, four waves share the rows of a block, and
// what stays the same in the loop is loaded before it. (What the kernels compute is tested in AttentionTest.cpp.)
//
// RUN: primus-opt %s --lower-to-step | FileCheck %s

// On one compute unit there is no use for small blocks.
module attributes {primus.target = "gfx942", primus.hardware = {compute_units = 1 : i64}} {
  // CHECK-LABEL: kernel.func @causal.attention(
  // CHECK-SAME:    grid [1, 4, 2] waves [4, 1]
  // CHECK-SAME:    prediction = {bound = "matrix", seconds = {{.*}}}
  // CHECK:         %[[ROW:.*]] = arith.muli %{{.*}}, %c128
  // A head of 80 in whole blocks of 32.
  // CHECK:         %[[Q:.*]] = kernel.load {{.*}} dims [1, 3] {{.*}} -> tensor<128x96xbf16>
  // CHECK:         scf.for %[[KEY:[a-z0-9]+]] =
  // CHECK:           %[[K:.*]] = kernel.load %{{.*}}[%{{.*}}, %[[KEY]], {{.*}}] dims [3, 1] {{.*}} -> tensor<96x64xbf16>
  // CHECK:           kernel.dot %[[Q]], %[[K]], {{.*}} -> tensor<128x64xf32>
  // CHECK:           %[[V:.*]] = kernel.load %{{.*}}[%{{.*}}, %[[KEY]], {{.*}}] dims [1, 3] {{.*}} -> tensor<64x96xbf16>
  // CHECK:           kernel.dot %{{.*}}, %[[V]], {{.*}} -> tensor<128x96xf32>
  // CHECK-NOT:     kernel.func
  // CHECK-LABEL: step.function
  func.func private @causal(%q: tensor<1x200x4x80xbf16>, %k: tensor<1x200x2x80xbf16>, %v: tensor<1x200x2x80xbf16>) -> tensor<1x200x4x80xbf16>
      attributes {graph.layer = {layer = "causal", part = "forward"}} {
    %o = graph.fusion "attention" (%a = %q, %b = %k, %c = %v) : (tensor<1x200x4x80xbf16>, tensor<1x200x2x80xbf16>, tensor<1x200x2x80xbf16>) -> tensor<1x200x4x80xbf16> {
      %x, %y = graph.attention %a, %b, %c scale 0.125 {causal} : tensor<1x200x4x80xbf16>, tensor<1x200x2x80xbf16> -> tensor<1x4x200xf32>
      graph.yield %x : tensor<1x200x4x80xbf16>
    }
    return %o : tensor<1x200x4x80xbf16>
  }

  func.func @p(%q: tensor<1x200x4x80xbf16>, %k: tensor<1x200x2x80xbf16>, %v: tensor<1x200x2x80xbf16>) -> tensor<1x200x4x80xbf16> {
    %o = graph.call @causal(%q, %k, %v) instance "causal" : (tensor<1x200x4x80xbf16>, tensor<1x200x2x80xbf16>, tensor<1x200x2x80xbf16>) -> tensor<1x200x4x80xbf16>
    return %o : tensor<1x200x4x80xbf16>
  }
}
