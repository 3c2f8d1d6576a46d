// Kernel families on a GPU: 16 bytes a lane and access, waves that share a row, few barriers, nothing in scratch memory.
//
// RUN: primus-opt %s --graph-form-fusions --lower-to-step | FileCheck %s --check-prefix=TILES
// RUN: primus-opt %s --graph-form-fusions --lower-to-step --print-amdgpu-assembly | FileCheck %s

module attributes {primus.target = "gfx942"} {
  // A row of eight waves is one tile, which both passes have in registers. The weights are loaded before the first sum is waited for, and the
  // waves meet once.
  // TILES-LABEL: kernel.func @f.rows{{.*}} grid [2048] waves [1, 8]
  // TILES-COUNT-2: kernel.load {{.*}} tensor<4096xbf16>
  // TILES-NOT:     kernel.load
  // TILES:         kernel.return
  // CHECK-LABEL: f.rows:
  // CHECK-COUNT-2: buffer_load_dwordx4
  // CHECK-NOT:     buffer_load
  // CHECK:         v_pk_mul_f32
  // CHECK:         v_add_f32_dpp {{.*}} row_half_mirror
  // CHECK:         v_readlane_b32
  // CHECK:         ds_write_b32
  // CHECK:         s_barrier
  // CHECK-NOT:     s_barrier
  // CHECK-COUNT-2: ds_read_b128
  // CHECK:         v_rsq_f32
  // CHECK:         buffer_store_dwordx4
  // CHECK:         .amdhsa_private_segment_fixed_size 0
  func.func private @f(%x: tensor<2048x4096xbf16>, %w: tensor<4096xbf16>) -> (tensor<2048x4096xbf16>, tensor<2048xf32>)
      attributes {graph.layer = {layer = "f", part = "forward"}} {
    %y, %rstd = graph.rms_norm %x, %w eps 1.0e-05 : (tensor<2048x4096xbf16>, tensor<4096xbf16>) -> (tensor<2048x4096xbf16>, tensor<2048xf32>)
    return %y, %rstd : tensor<2048x4096xbf16>, tensor<2048xf32>
  }

  // Squares of 64 elements are turned in LDS.
  // TILES-LABEL: kernel.func @t.transpose{{.*}} waves [4, 1]
  // CHECK-LABEL: t.transpose:
  // CHECK-COUNT-2: buffer_load_dwordx4
  // CHECK-COUNT-16: ds_write_b16
  // CHECK:         s_barrier
  // CHECK-NOT:     s_barrier
  // CHECK-COUNT-4: ds_read2_b32
  // CHECK-COUNT-2: buffer_store_dwordx4
  // CHECK:         .amdhsa_private_segment_fixed_size 0
  func.func private @t(%x: tensor<2048x4096xbf16>) -> tensor<4096x2048xbf16> attributes {graph.layer = {layer = "t", part = "forward"}} {
    %y = graph.transpose %x perm [1, 0] : tensor<2048x4096xbf16> -> tensor<4096x2048xbf16>
    return %y : tensor<4096x2048xbf16>
  }

  // All heads of a token in one tile; the tables' rows are loaded as the heads need them, without LDS.
  // TILES-LABEL: kernel.func @r.rope{{.*}} grid [256] waves [4, 1]
  // TILES:         kernel.load {{.*}} tensor<1x64xf32>
  // TILES:         kernel.load {{.*}} tensor<16x64xbf16>
  // CHECK-LABEL: r.rope:
  // CHECK-NOT:     ds_
  // CHECK:         .amdhsa_group_segment_fixed_size 0
  // CHECK:         .amdhsa_private_segment_fixed_size 0
  func.func private @r(%x: tensor<1x256x16x128xbf16>, %c: tensor<256x64xf32>, %s: tensor<256x64xf32>) -> tensor<1x256x16x128xbf16>
      attributes {graph.layer = {layer = "r", part = "forward"}} {
    %y = graph.rope half %x, %c, %s : tensor<1x256x16x128xbf16>, tensor<256x64xf32>
    return %y : tensor<1x256x16x128xbf16>
  }

  func.func @p(%x: tensor<2048x4096xbf16>, %w: tensor<4096xbf16>, %h: tensor<1x256x16x128xbf16>, %c: tensor<256x64xf32>)
      -> (tensor<2048x4096xbf16>, tensor<2048xf32>, tensor<4096x2048xbf16>, tensor<1x256x16x128xbf16>) {
    %y:2 = graph.call @f(%x, %w) instance "f" : (tensor<2048x4096xbf16>, tensor<4096xbf16>) -> (tensor<2048x4096xbf16>, tensor<2048xf32>)
    %z = graph.call @t(%x) instance "t" : (tensor<2048x4096xbf16>) -> tensor<4096x2048xbf16>
    %q = graph.call @r(%h, %c, %c) instance "r" : (tensor<1x256x16x128xbf16>, tensor<256x64xf32>, tensor<256x64xf32>) -> tensor<1x256x16x128xbf16>
    return %y#0, %y#1, %z, %q : tensor<2048x4096xbf16>, tensor<2048xf32>, tensor<4096x2048xbf16>, tensor<1x256x16x128xbf16>
  }
}
