// Rows of a norm: a wave per row, reduced by DPP alone.
//
// RUN: primus-opt %s --graph-decompose --lower-to-step --print-amdgpu-assembly | FileCheck %s

module attributes {primus.target = "gfx942"} {
  // CHECK-LABEL: f.rows:
  // CHECK:         buffer_load_dword
  // CHECK-DAG:     v_add_f32_dpp {{.*}} quad_perm:[1,0,3,2]
  // CHECK-DAG:     v_add_f32_dpp {{.*}} quad_perm:[2,3,0,1]
  // CHECK-DAG:     v_add_f32_dpp {{.*}} row_half_mirror
  // CHECK-DAG:     v_add_f32_dpp {{.*}} row_mirror
  // CHECK-DAG:     row_bcast:15
  // CHECK-DAG:     row_bcast:31
  // CHECK:         v_readlane_b32
  // CHECK:         v_rsq_f32
  // CHECK:         buffer_store
  // CHECK:         .amdhsa_private_segment_fixed_size 0
  func.func private @f(%x: tensor<5x700xbf16>, %w: tensor<700xf32>) -> (tensor<5x700xbf16>, tensor<5xf32>)
      attributes {graph.layer = {layer = "f", part = "forward"}} {
    %y, %rstd = graph.fusion "rows" (%a = %x, %b = %w) : (tensor<5x700xbf16>, tensor<700xf32>) -> (tensor<5x700xbf16>, tensor<5xf32>) {
      %n, %r = graph.rms_norm %a, %b eps 1.0e-05 : (tensor<5x700xbf16>, tensor<700xf32>) -> (tensor<5x700xbf16>, tensor<5xf32>)
      graph.yield %n, %r : tensor<5x700xbf16>, tensor<5xf32>
    }
    return %y, %rstd : tensor<5x700xbf16>, tensor<5xf32>
  }
  func.func @p(%x: tensor<5x700xbf16>, %w: tensor<700xf32>) -> (tensor<5x700xbf16>, tensor<5xf32>) {
    %y:2 = graph.call @f(%x, %w) instance "f" : (tensor<5x700xbf16>, tensor<700xf32>) -> (tensor<5x700xbf16>, tensor<5xf32>)
    return %y#0, %y#1 : tensor<5x700xbf16>, tensor<5xf32>
  }
}
