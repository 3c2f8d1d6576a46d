// Products of 8-bit floats and conversions to them, from tile programs to assembly.
//
// RUN: sed 's/CHIP/gfx942/; s/FP8/f8E4M3FNUZ/g; s/BF8/f8E5M2FNUZ/g' %s | primus-opt --lower-to-step --print-amdgpu-assembly | FileCheck %s --check-prefixes=CHECK,GFX942
// RUN: sed 's/CHIP/gfx950/; s/FP8/f8E4M3FN/g; s/BF8/f8E5M2/g' %s | primus-opt --lower-to-step --print-amdgpu-assembly | FileCheck %s --check-prefixes=CHECK,GFX950

module attributes {primus.target = "CHIP"} {
  // Right operands are the instruction's first ones. The factor of the whole is in the epilogue.
  // CHECK-LABEL: product.matmul:
  // CHECK-NOT:      scratch_
  // CHECK-DAG:      ds_read_b128
  // CHECK-DAG:      buffer_load_dwordx4
  // GFX942-DAG:     v_mfma_f32_32x32x16_bf8_fp8
  // GFX950-DAG:     v_mfma_f32_32x32x64_f8f6f4 {{.*}} cbsz:1{{$}}
  // CHECK:          v_mul_f32
  // CHECK:          .amdhsa_private_segment_fixed_size 0
  func.func private @product(%a: tensor<1x4096x4096xFP8>, %b: tensor<1x4096x4096xBF8>, %s: tensor<f32>) -> tensor<1x4096x4096xf32>
      attributes {graph.layer = {layer = "product", part = "forward"}} {
    %y = graph.fusion "matmul" (%x = %a, %w = %b, %t = %s) : (tensor<1x4096x4096xFP8>, tensor<1x4096x4096xBF8>, tensor<f32>) -> tensor<1x4096x4096xf32> {
      %p = graph.matmul "bmk,bnk->bmn" %x, %w : (tensor<1x4096x4096xFP8>, tensor<1x4096x4096xBF8>) -> tensor<1x4096x4096xf32>
      %f = graph.broadcast %t dims [] : tensor<f32> -> tensor<1x4096x4096xf32>
      %q = graph.mul %p, %f : tensor<1x4096x4096xf32>
      graph.yield %q : tensor<1x4096x4096xf32>
    }
    return %y : tensor<1x4096x4096xf32>
  }

  // Memory runs across the contraction: four values of k come together.
  // CHECK-LABEL: gradient.matmul:
  // CHECK-NOT:      scratch_
  // CHECK:          buffer_load_dwordx4
  // CHECK:          v_perm_b32
  // CHECK:          ds_write_b
  // GFX942:         v_mfma_f32_32x32x16_fp8_fp8
  // GFX950:         v_mfma_f32_32x32x64_f8f6f4
  // CHECK:          .amdhsa_private_segment_fixed_size 0
  func.func private @gradient(%a: tensor<1x512x256xFP8>, %b: tensor<1x512x256xFP8>) -> tensor<1x256x256xf32>
      attributes {graph.layer = {layer = "gradient", part = "backward"}} {
    %y = graph.fusion "matmul" (%x = %a, %w = %b) : (tensor<1x512x256xFP8>, tensor<1x512x256xFP8>) -> tensor<1x256x256xf32> {
      %p = graph.matmul "bkm,bkn->bmn" %x, %w : (tensor<1x512x256xFP8>, tensor<1x512x256xFP8>) -> tensor<1x256x256xf32>
      graph.yield %p : tensor<1x256x256xf32>
    }
    return %y : tensor<1x256x256xf32>
  }

  // Too large numbers are brought down before the instruction, which would make none of them.
  // CHECK-LABEL: round.rows:
  // CHECK:         v_med3_f32
  // CHECK:         v_cvt_pk_fp8_f32
  // CHECK:         buffer_store_dword
  func.func private @round(%a: tensor<4096x4096xbf16>) -> tensor<4096x4096xFP8> attributes {graph.layer = {layer = "round", part = "forward"}} {
    %y = graph.fusion "rows" (%x = %a) : (tensor<4096x4096xbf16>) -> tensor<4096x4096xFP8> {
      %q = graph.convert %x : tensor<4096x4096xbf16> -> tensor<4096x4096xFP8>
      graph.yield %q : tensor<4096x4096xFP8>
    }
    return %y : tensor<4096x4096xFP8>
  }

  func.func @p(%a: tensor<1x4096x4096xFP8>, %b: tensor<1x4096x4096xBF8>, %s: tensor<f32>, %f: tensor<1x512x256xFP8>, %x: tensor<4096x4096xbf16>)
      -> (tensor<1x4096x4096xf32>, tensor<1x256x256xf32>, tensor<4096x4096xFP8>) {
    %0 = graph.call @product(%a, %b, %s) instance "product" : (tensor<1x4096x4096xFP8>, tensor<1x4096x4096xBF8>, tensor<f32>) -> tensor<1x4096x4096xf32>
    %1 = graph.call @gradient(%f, %f) instance "gradient" : (tensor<1x512x256xFP8>, tensor<1x512x256xFP8>) -> tensor<1x256x256xf32>
    %2 = graph.call @round(%x) instance "round" : (tensor<4096x4096xbf16>) -> tensor<4096x4096xFP8>
    return %0, %1, %2 : tensor<1x4096x4096xf32>, tensor<1x256x256xf32>, tensor<4096x4096xFP8>
  }
}
