// What the passes say of their choices.
// RUN: primus-opt %S/Inputs/tiny-llama-model.mlir --graph-autodiff --remarks-filter='residual|recompute' --remark-policy=all --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=RESIDUAL
// RUN: sed 's/recompute = "none"/recompute = "full"/' %S/Inputs/tiny-llama-model.mlir | primus-opt --graph-autodiff --remarks-filter='residual|recompute' --remark-policy=all --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=FULL
// RUN: primus-opt %s --graph-expand-cross-entropy=limit=2048 --remarks-filter='chunking' --remark-policy=all --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=CHUNKS
// RUN: primus-opt %s --graph-expand-cross-entropy --remarks-filter='chunking' --remark-policy=all --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=WHOLE
// RUN: primus-opt %s --graph-form-fusions --graph-pack-operands --remarks-filter='fusion-missed|packing' --remark-policy=all --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=FUSED
// RUN: primus-opt %S/LowerToStep.mlir --lower-to-step --remarks-filter='in-place' --remark-policy=all --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=INPLACE
// Without a listener there is no remark.
// RUN: primus-opt %S/LowerToStep.mlir --lower-to-step -o /dev/null 2>&1 | count 0

// RESIDUAL: [Passed] residual {{.*}} Function=block.backward {{.*}} is handed over by block.forward", bytes={{[1-9]}}
// RESIDUAL: [Passed] recompute {{.*}} Function=block.backward {{.*}} is computed again instead of being handed over", bytes={{[1-9]}}

// FULL-NOT: residual
// FULL: [Passed] recompute {{.*}} Function=block.backward {{.*}}all of block.forward is computed again, as the plan's recompute says
// FULL-NOT: residual

// CHUNKS: [Passed] chunking {{.*}} Function=head.forward {{.*}} in 4 chunks of 32 tokens, instead of 8192 bytes of f32 logits", bytes=2048
// WHOLE: [Passed] chunking {{.*}} in one piece: its 8192 bytes of f32 logits are within 33554432", bytes=8192

// FUSED: [Missed] fusion-missed {{.*}} Function=block.forward {{.*}} is not computed with {{.*}}: matmul: {{[a-z]}}
// FUSED: [Passed] packing {{.*}} Function=block.forward {{.*}} becomes %{{.*}}, for products that read it so", bytes={{[1-9]}}

// INPLACE: [Passed] in-place {{.*}} Function=f.backward {{.*}} is computed over %{{.*}}, bytes=128

module attributes {graph.plan = {}, primus.target = "cpu", primus.cpu_features = ["avx512f"]} {
  func.func private @head.forward(%x: tensor<128x16xf32>, %w: tensor<16x16xf32>, %l: tensor<128xi32>) -> tensor<f32>
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %w, %l vocabulary 16 : (tensor<128x16xf32>, tensor<16x16xf32>, tensor<128xi32>) -> (tensor<f32>, tensor<f32>, tensor<128xf32>)
    return %loss : tensor<f32>
  }

  func.func private @block.forward(%x: tensor<64x64xf32>, %v: tensor<64x64xf32>, %w: tensor<64x64xf32>) -> (tensor<64x64xf32>, tensor<64x64xf32>)
      attributes {graph.layer = {layer = "block", part = "forward"}} {
    %a = graph.matmul "mk,nk->mn" %x, %v : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
    %b = graph.matmul "mk,nk->mn" %a, %w : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
    return %a, %b : tensor<64x64xf32>, tensor<64x64xf32>
  }
}
