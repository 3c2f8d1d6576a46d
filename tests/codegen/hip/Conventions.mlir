// How kernels are launched: a workgroup of one size, a pointer per argument, nothing hidden, no scratch, no spills.
//
// RUN: primus-opt %s --print-amdgpu-assembly | FileCheck %s
// RUN: sed s/gfx942/gfx950/ %s | primus-opt --print-amdgpu-assembly | FileCheck %s

module attributes {primus.target = "gfx942"} {
  // CHECK:      .amdgcn_target "amdgcn-amd-amdhsa--gfx9{{42|50}}"
  // CHECK:      .amdhsa_code_object_version 5
  // CHECK:      .amdhsa_private_segment_fixed_size 0
  // CHECK:      .amdhsa_kernarg_size 16
  // CHECK:      .amdhsa_user_sgpr_dispatch_ptr 0
  // CHECK:      .amdhsa_user_sgpr_kernarg_segment_ptr 1
  // CHECK:      .amdhsa_system_sgpr_workgroup_id_x 1
  // CHECK-NEXT: .amdhsa_system_sgpr_workgroup_id_y 0
  // CHECK:      .amdhsa_float_denorm_mode_32 3
  // CHECK:      .args:
  // CHECK-NEXT:   - .address_space: global
  // CHECK-NEXT:     .offset: 0
  // CHECK:        - .address_space: global
  // CHECK-NEXT:     .offset: 8
  // CHECK-NEXT:     .size: 8
  // CHECK-NEXT:     .value_kind: global_buffer
  // CHECK-NEXT: .group_segment_fixed_size: 0
  // CHECK:      .kernarg_segment_size: 16
  // CHECK-NEXT: .max_flat_workgroup_size: 64
  // CHECK:      .reqd_workgroup_size:
  // CHECK-NEXT:   - 64
  // CHECK:      .sgpr_spill_count: 0
  // CHECK:      .uniform_work_group_size: 1
  // CHECK:      .vgpr_spill_count: 0
  kernel.func @copy(%x: memref<4x64xf32>, %y: memref<4x64xf32>) grid [4] {
    %c0 = arith.constant 0 : index
    %i = kernel.program_id 0
    %t = kernel.load %x[%i, %c0] dims [1] : memref<4x64xf32> -> tensor<64xf32>
    kernel.store %t, %y[%i, %c0] dims [1] : tensor<64xf32>, memref<4x64xf32>
    kernel.return
  }
}
