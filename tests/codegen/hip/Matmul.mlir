// Products from the graph to gfx942 assembly: bf16 with f32 accumulators in MFMA, nothing in scratch memory.
//
// RUN: primus-opt %s --lower-to-step --print-amdgpu-assembly | FileCheck %s

module attributes {primus.target = "gfx942"} {
  // Sizes that are multiples of the tiles: 16 bytes a lane at a time of both operands, no masks, accumulators that stay
  // in place.
  // CHECK-LABEL: even.matmul:
  // CHECK-NOT:      v_cndmask
  // CHECK-COUNT-2:  buffer_load_dwordx4
  // CHECK:          v_mfma_f32_32x32x8_bf16 [[SUM:[av]\[[0-9]+:[0-9]+\]]], {{.*}}, 0
  // CHECK-COUNT-11: v_mfma_f32_32x32x8_bf16 [[SUM]], {{.*}}, [[SUM]]
  // CHECK-NOT:      v_cndmask
  // CHECK-COUNT-4:  buffer_store_dwordx4
  // CHECK:          .amdhsa_private_segment_fixed_size 0
  func.func private @even(%a: tensor<1x64x96xbf16>, %b: tensor<1x32x96xbf16>) -> tensor<1x64x32xf32>
      attributes {graph.layer = {layer = "even", part = "forward"}} {
    %y = graph.fusion "matmul" (%x = %a, %w = %b) : (tensor<1x64x96xbf16>, tensor<1x32x96xbf16>) -> tensor<1x64x32xf32> {
      %p = graph.matmul "bmk,bnk->bmn" %x, %w : (tensor<1x64x96xbf16>, tensor<1x32x96xbf16>) -> tensor<1x64x32xf32>
      graph.yield %p : tensor<1x64x32xf32>
    }
    return %y : tensor<1x64x32xf32>
  }

  // Odd sizes with a bias: every access is masked by a select of offsets, the result comes out in bf16.
  // CHECK-LABEL: odd.matmul:
  // CHECK:         v_cndmask
  // CHECK:         buffer_load_ushort
  // CHECK:         v_mfma_f32_32x32x8_bf16
  // CHECK:         s_cbranch
  // CHECK:         buffer_load_ushort
  // CHECK:         buffer_store_short
  // CHECK:         .amdhsa_private_segment_fixed_size 0
  func.func private @odd(%a: tensor<1x70x97xbf16>, %b: tensor<1x97x45xbf16>, %bias: tensor<45xbf16>) -> tensor<1x70x45xbf16>
      attributes {graph.layer = {layer = "odd", part = "forward"}} {
    %y = graph.fusion "matmul" (%x = %a, %w = %b, %c = %bias) : (tensor<1x70x97xbf16>, tensor<1x97x45xbf16>, tensor<45xbf16>) -> tensor<1x70x45xbf16> {
      %p = graph.matmul "bmk,bkn->bmn" %x, %w : (tensor<1x70x97xbf16>, tensor<1x97x45xbf16>) -> tensor<1x70x45xbf16>
      %d = graph.broadcast %c dims [2] : tensor<45xbf16> -> tensor<1x70x45xbf16>
      %s = graph.add %p, %d : tensor<1x70x45xbf16>
      graph.yield %s : tensor<1x70x45xbf16>
    }
    return %y : tensor<1x70x45xbf16>
  }

  func.func @p(%a: tensor<1x64x96xbf16>, %b: tensor<1x32x96xbf16>, %c: tensor<1x70x97xbf16>, %d: tensor<1x97x45xbf16>, %e: tensor<45xbf16>)
      -> (tensor<1x64x32xf32>, tensor<1x70x45xbf16>) {
    %x = graph.call @even(%a, %b) instance "even" : (tensor<1x64x96xbf16>, tensor<1x32x96xbf16>) -> tensor<1x64x32xf32>
    %y = graph.call @odd(%c, %d, %e) instance "odd" : (tensor<1x70x97xbf16>, tensor<1x97x45xbf16>, tensor<45xbf16>) -> tensor<1x70x45xbf16>
    return %x, %y : tensor<1x64x32xf32>, tensor<1x70x45xbf16>
  }
}
