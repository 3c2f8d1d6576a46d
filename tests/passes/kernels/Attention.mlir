// Flash attention as tile programs: keys are copied into transposed panels, then each block of queries goes through the
// keys that it may see. (What the kernels compute is tested in AttentionTest.cpp.)
//
// RUN: primus-opt %s --lower-to-step | FileCheck %s

module attributes {primus.target = "cpu", primus.cpu_features = ["avx512f", "avx512vl", "avx512bw", "avx512dq"]} {
  // CHECK-LABEL: kernel.func @causal.attention(
  // CHECK-SAME:    memref<1x2x2x48x32xf32>) grid [1, 2, 2]
  // CHECK:         kernel.transpose
  // CHECK-LABEL: kernel.func @causal.attention_1(
  // CHECK-SAME:    grid [1, 4, 8]
  // CHECK:         %[[BLOCK:.*]] = kernel.program_id 2
  // CHECK:         %[[ROW:.*]] = arith.muli %[[BLOCK]], %c8
  // No keys after the block's last query.
  // CHECK:         %[[NEXT:.*]] = arith.addi %[[ROW]], %c8
  // CHECK:         %[[END:.*]] = arith.minui %c64, %[[NEXT]]
  // CHECK:         scf.for %[[KEY:.*]] = %c0 to %[[END]] step %c32
  // CHECK:           kernel.dot {{.*}} : tensor<8x48xf32>, tensor<48x32xf32> -> tensor<8x32xf32>
  // Only a block on the diagonal is masked.
  // CHECK:           %[[LAST:.*]] = arith.addi %[[KEY]], %c31
  // CHECK:           %[[WHOLE:.*]] = arith.cmpi sle, %[[LAST]], %[[ROW]]
  // CHECK:           scf.if %[[WHOLE]]
  // CHECK-NEXT:        scf.yield
  // CHECK-NEXT:      } else {
  // CHECK:             arith.select
  // CHECK:           kernel.reduce max
  // CHECK:           math.exp2
  // CHECK:           kernel.reduce sum
  // The head of 48 in a tile of 32 columns and one of 16.
  // CHECK:           kernel.dot {{.*}} -> tensor<8x32xf32>
  // CHECK:           kernel.dot {{.*}} -> tensor<8x16xf32>
  func.func private @causal(%q: tensor<1x64x4x48xf32>, %k: tensor<1x64x2x48xf32>, %v: tensor<1x64x2x48xf32>) -> (tensor<1x64x4x48xf32>, tensor<1x4x64xf32>)
      attributes {graph.layer = {layer = "causal", part = "forward"}} {
    %o, %lse = graph.fusion "attention" (%a = %q, %b = %k, %c = %v) : (tensor<1x64x4x48xf32>, tensor<1x64x2x48xf32>, tensor<1x64x2x48xf32>) -> (tensor<1x64x4x48xf32>, tensor<1x4x64xf32>) {
      %x, %y = graph.attention %a, %b, %c scale 0.125 {causal} : tensor<1x64x4x48xf32>, tensor<1x64x2x48xf32> -> tensor<1x4x64xf32>
      graph.yield %x, %y : tensor<1x64x4x48xf32>, tensor<1x4x64xf32>
    }
    return %o, %lse : tensor<1x64x4x48xf32>, tensor<1x4x64xf32>
  }

  // Without a mask, and with whole blocks, nothing is compared; an unused lse is not stored.
  // CHECK-LABEL: kernel.func @full.attention_1(
  // CHECK-NOT:     scf.if
  // CHECK-NOT:     math.log
  // CHECK-LABEL: step.function
  func.func private @full(%q: tensor<1x64x2x16xf32>, %k: tensor<1x64x2x16xf32>, %v: tensor<1x64x2x16xf32>) -> tensor<1x64x2x16xf32>
      attributes {graph.layer = {layer = "full", part = "forward"}} {
    %o = graph.fusion "attention" (%a = %q, %b = %k, %c = %v) : (tensor<1x64x2x16xf32>, tensor<1x64x2x16xf32>, tensor<1x64x2x16xf32>) -> tensor<1x64x2x16xf32> {
      %x, %y = graph.attention %a, %b, %c scale 0.25 : tensor<1x64x2x16xf32>, tensor<1x64x2x16xf32> -> tensor<1x2x64xf32>
      graph.yield %x : tensor<1x64x2x16xf32>
    }
    return %o : tensor<1x64x2x16xf32>
  }

  func.func @p(%q: tensor<1x64x4x48xf32>, %k: tensor<1x64x2x48xf32>, %v: tensor<1x64x2x48xf32>, %x: tensor<1x64x2x16xf32>)
      -> (tensor<1x64x4x48xf32>, tensor<1x4x64xf32>, tensor<1x64x2x16xf32>) {
    %o, %l = graph.call @causal(%q, %k, %v) instance "causal" : (tensor<1x64x4x48xf32>, tensor<1x64x2x48xf32>, tensor<1x64x2x48xf32>) -> (tensor<1x64x4x48xf32>, tensor<1x4x64xf32>)
    %y = graph.call @full(%x, %x, %x) instance "full" : (tensor<1x64x2x16xf32>, tensor<1x64x2x16xf32>, tensor<1x64x2x16xf32>) -> tensor<1x64x2x16xf32>
    return %o, %l, %y : tensor<1x64x4x48xf32>, tensor<1x4x64xf32>, tensor<1x64x2x16xf32>
  }
}
