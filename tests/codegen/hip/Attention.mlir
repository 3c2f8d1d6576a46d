// Attention as instructions: a loop that loads 16 bytes a lane ahead, hands them on through LDS in two orders, and
// multiplies from registers; exponentials are one instruction, no packed arithmetic waits for matrix instructions, sums
// are rescaled behind a branch, and nothing goes to scratch memory.
//
// RUN: primus-opt %s --lower-to-step --print-amdgpu-assembly | FileCheck %s --check-prefixes=CHECK,GFX942
// RUN: sed s/gfx942/gfx950/ %s | primus-opt --lower-to-step --print-amdgpu-assembly | FileCheck %s --check-prefixes=CHECK,GFX950

module attributes {primus.target = "gfx942"} {
  // CHECK-LABEL: long.attention:
  // The queries, the first keys and values.
  // CHECK:          buffer_load_dwordx4
  // CHECK:        [[LOOP:.LBB[0-9_]+]]:
  // CHECK:          s_barrier
  // CHECK:          v_perm_b32
  // CHECK:          ds_write_b64
  // CHECK:          s_barrier
  // CHECK-NOT:      ds_read_{{b64|u16}}
  // Some instructions ahead of what multiplies them.
  // CHECK:          ds_read_b128
  // CHECK:          ds_read_b128
  // GFX942:         v_mfma_f32_32x32x8_bf16
  // GFX950:         v_mfma_f32_32x32x16_bf16
  // The next ones, while this one's scores are computed.
  // CHECK:          buffer_load_dwordx4
  // GFX942:         v_mfma_f32_32x32x8_bf16
  // GFX950:         v_mfma_f32_32x32x16_bf16
  // Who is farther goes first.
  // CHECK:          s_setprio 1
  // CHECK-NOT:      {{v_ldexp_f32|v_pk_[a-z]+_f32}}
  // CHECK:          v_exp_f32
  // CHECK-NOT:      {{v_ldexp_f32|v_pk_[a-z]+_f32}}
  // CHECK:          s_cbranch_vcc
  // GFX950:         v_cvt_pk_bf16_f32
  // CHECK-NOT:      scratch_
  // CHECK:          s_cbranch_{{.*}} [[LOOP]]
  // CHECK:          buffer_store_dwordx2
  // CHECK:        .amdhsa_private_segment_fixed_size 0
  // CHECK:        .sgpr_spill_count: 0
  // Two waves on a SIMD.
  // CHECK:        .vgpr_count: {{1[0-9][0-9]|2[0-4][0-9]|25[0-6]}}
  // CHECK:        .vgpr_spill_count: 0
  func.func private @long(%q: tensor<1x2048x8x128xbf16>, %k: tensor<1x2048x2x128xbf16>, %v: tensor<1x2048x2x128xbf16>) -> tensor<1x2048x8x128xbf16>
      attributes {graph.layer = {layer = "long", part = "forward"}} {
    %o = graph.fusion "attention" (%a = %q, %b = %k, %c = %v) : (tensor<1x2048x8x128xbf16>, tensor<1x2048x2x128xbf16>, tensor<1x2048x2x128xbf16>) -> tensor<1x2048x8x128xbf16> {
      %x, %y = graph.attention %a, %b, %c scale 0.08838 {causal} : tensor<1x2048x8x128xbf16>, tensor<1x2048x2x128xbf16> -> tensor<1x8x2048xf32>
      graph.yield %x : tensor<1x2048x8x128xbf16>
    }
    return %o : tensor<1x2048x8x128xbf16>
  }
  func.func @p(%q: tensor<1x2048x8x128xbf16>, %k: tensor<1x2048x2x128xbf16>, %v: tensor<1x2048x2x128xbf16>) -> tensor<1x2048x8x128xbf16> {
    %o = graph.call @long(%q, %k, %v) instance "long" : (tensor<1x2048x8x128xbf16>, tensor<1x2048x2x128xbf16>, tensor<1x2048x2x128xbf16>) -> tensor<1x2048x8x128xbf16>
    return %o : tensor<1x2048x8x128xbf16>
  }
}
