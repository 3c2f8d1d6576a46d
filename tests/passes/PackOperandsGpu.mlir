// On a GPU operands stay where they lie; only two of different types become f32, which matrix instructions multiply.
//
// RUN: primus-opt %s --graph-form-fusions --graph-pack-operands | FileCheck %s

module attributes {primus.target = "gfx942"} {
  // CHECK-LABEL: func.func @alike
  // CHECK-NOT:     graph.pack
  // CHECK:         graph.fusion "matmul"
  // CHECK:           graph.matmul "bkm,bkn->bmn" {{.*}}bf16>, {{.*}}bf16>
  func.func @alike(%x: tensor<64x48xbf16>, %w: tensor<64x32xbf16>) -> tensor<48x32xf32> attributes {graph.layer = {}} {
    %y = graph.matmul "km,kn->mn" %x, %w : (tensor<64x48xbf16>, tensor<64x32xbf16>) -> tensor<48x32xf32>
    return %y : tensor<48x32xf32>
  }

  // CHECK-LABEL: func.func @mixed
  // CHECK:         %[[WIDE:.*]] = graph.fusion "rows"
  // CHECK:           graph.convert {{.*}}bf16> -> {{.*}}f32>
  // CHECK:         graph.fusion "matmul" ({{.*}} = %[[WIDE]]
  // CHECK:           graph.matmul "bmk,bnk->bmn" {{.*}}f32>, {{.*}}f32>
  func.func @mixed(%x: tensor<48x64xf32>, %w: tensor<32x64xbf16>) -> tensor<48x32xf32> attributes {graph.layer = {}} {
    %y = graph.matmul "mk,nk->mn" %x, %w : (tensor<48x64xf32>, tensor<32x64xbf16>) -> tensor<48x32xf32>
    return %y : tensor<48x32xf32>
  }
}
