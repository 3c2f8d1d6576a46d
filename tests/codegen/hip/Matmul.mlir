// Products from the graph to assembly: operands stream through LDS in 16 bytes a lane, sums stay in registers, and nothing is in scratch memory.
//
// RUN: sed s/CHIP/gfx942/ %s | primus-opt --lower-to-step --print-amdgpu-assembly | FileCheck %s --check-prefixes=CHECK,GFX942
// RUN: sed s/CHIP/gfx950/ %s | primus-opt --lower-to-step --print-amdgpu-assembly | FileCheck %s --check-prefixes=CHECK,GFX950

module attributes {primus.target = "CHIP"} {
  // A large product: tiles of 256 x 256, of which each of four waves has a quarter. One barrier per stage.
  // CHECK-LABEL: large.matmul:
  // CHECK-NOT:      scratch_
  // CHECK:        [[LOOP:.LBB[0-9_]+]]:
  // CHECK-DAG:      ds_read_b128
  // CHECK-DAG:      ds_write_b128
  // CHECK-DAG:      buffer_load_dwordx4
  // GFX942-DAG:     v_mfma_f32_32x32x8_bf16
  // GFX950-DAG:     v_mfma_f32_32x32x16_bf16
  // CHECK:          s_barrier
  // CHECK-NOT:      s_barrier
  // CHECK:          s_cbranch_scc1 [[LOOP]]
  // GFX942:         .amdhsa_group_segment_fixed_size 65536
  // GFX950:         .amdhsa_group_segment_fixed_size 131072
  // CHECK-NEXT:     .amdhsa_private_segment_fixed_size 0
  func.func private @large(%a: tensor<1x4096x4096xbf16>, %b: tensor<1x4096x4096xbf16>) -> tensor<1x4096x4096xbf16>
      attributes {graph.layer = {layer = "large", part = "forward"}} {
    %y = graph.fusion "matmul" (%x = %a, %w = %b) : (tensor<1x4096x4096xbf16>, tensor<1x4096x4096xbf16>) -> tensor<1x4096x4096xbf16> {
      %p = graph.matmul "bmk,bnk->bmn" %x, %w : (tensor<1x4096x4096xbf16>, tensor<1x4096x4096xbf16>) -> tensor<1x4096x4096xbf16>
      graph.yield %p : tensor<1x4096x4096xbf16>
    }
    return %y : tensor<1x4096x4096xbf16>
  }

  // Memory runs across the contraction: pairs of k come together by a permutation of bytes.
  // CHECK-LABEL: gradient.matmul:
  // CHECK-NOT:      scratch_
  // CHECK:          buffer_load_dwordx4
  // CHECK:          v_perm_b32
  // CHECK:          ds_write_b
  // CHECK:          v_mfma_f32_32x32x
  // CHECK:          .amdhsa_group_segment_fixed_size
  // CHECK-NEXT:     .amdhsa_private_segment_fixed_size 0
  func.func private @gradient(%a: tensor<1x512x256xbf16>, %b: tensor<1x512x256xbf16>) -> tensor<1x256x256xf32>
      attributes {graph.layer = {layer = "gradient", part = "backward"}} {
    %y = graph.fusion "matmul" (%x = %a, %w = %b) : (tensor<1x512x256xbf16>, tensor<1x512x256xbf16>) -> tensor<1x256x256xf32> {
      %p = graph.matmul "bkm,bkn->bmn" %x, %w : (tensor<1x512x256xbf16>, tensor<1x512x256xbf16>) -> tensor<1x256x256xf32>
      graph.yield %p : tensor<1x256x256xf32>
    }
    return %y : tensor<1x256x256xf32>
  }

  // Odd sizes with a bias: an access outside is masked by a select of offsets, the result comes out in bf16.
  // CHECK-LABEL: odd.matmul:
  // CHECK:         v_cndmask
  // CHECK:         buffer_load_ushort
  // CHECK:         v_mfma_f32_32x32x
  // CHECK:         buffer_store_short
  // CHECK:         .amdhsa_group_segment_fixed_size
  // CHECK-NEXT:    .amdhsa_private_segment_fixed_size 0
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

  func.func @p(%a: tensor<1x4096x4096xbf16>, %b: tensor<1x4096x4096xbf16>, %c: tensor<1x70x97xbf16>, %d: tensor<1x97x45xbf16>, %e: tensor<45xbf16>,
               %f: tensor<1x512x256xbf16>) -> (tensor<1x4096x4096xbf16>, tensor<1x70x45xbf16>, tensor<1x256x256xf32>) {
    %x = graph.call @large(%a, %b) instance "large" : (tensor<1x4096x4096xbf16>, tensor<1x4096x4096xbf16>) -> tensor<1x4096x4096xbf16>
    %z = graph.call @gradient(%f, %f) instance "gradient" : (tensor<1x512x256xbf16>, tensor<1x512x256xbf16>) -> tensor<1x256x256xf32>
    %y = graph.call @odd(%c, %d, %e) instance "odd" : (tensor<1x70x97xbf16>, tensor<1x97x45xbf16>, tensor<45xbf16>) -> tensor<1x70x45xbf16>
    return %x, %y, %z : tensor<1x4096x4096xbf16>, tensor<1x70x45xbf16>, tensor<1x256x256xf32>
  }
}
