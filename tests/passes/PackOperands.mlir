// RUN: primus-opt %s --graph-form-fusions --graph-pack-operands | FileCheck %s
// RUN: primus-opt %s --graph-interpret=function=odd -o /dev/null > %t.before
// RUN: primus-opt %s --graph-form-fusions --graph-pack-operands --graph-interpret=function=odd -o /dev/null > %t.after
// RUN: %python %S/Inputs/compare-results.py %t.before %t.after 1e-12

// Two products share one packed weight.
// CHECK-LABEL: func.func @shared
// CHECK: %[[PACKED:.*]] = graph.fusion "pack"
// CHECK-NEXT: graph.pack {{.*}} width 32 group 1 {transposed} : tensor<1x64x32xf32> -> tensor<1x2x32x32x1xf32>
// CHECK-NOT: graph.pack
// CHECK: graph.fusion "matmul" ({{.*}} = %[[PACKED]])
// CHECK: graph.matmul "bmkg,bpkwg->bmpw"
// CHECK-NOT: graph.pack
// CHECK: graph.fusion "matmul" ({{.*}} = %[[PACKED]])
func.func @shared(%x: tensor<8x32xf32>, %y: tensor<16x32xf32>, %w: tensor<64x32xf32>) -> (tensor<8x64xf32>, tensor<16x64xf32>)
    attributes {graph.layer = {layer = "block", part = "forward"}} {
  %0 = graph.matmul "mk,nk->mn" %x, %w : (tensor<8x32xf32>, tensor<64x32xf32>) -> tensor<8x64xf32>
  %1 = graph.matmul "mk,nk->mn" %y, %w : (tensor<16x32xf32>, tensor<64x32xf32>) -> tensor<16x64xf32>
  return %0, %1 : tensor<8x64xf32>, tensor<16x64xf32>
}

// The gradient of a weight: the left operand is copied so that the contracted dimension is contiguous, the right one is packed by rows.
// CHECK-LABEL: func.func @weight_gradient
// CHECK: graph.fusion "transpose"
// CHECK-NEXT: graph.transpose {{.*}} perm [0, 2, 1] : tensor<1x128x64xbf16> -> tensor<1x64x128xbf16>
// CHECK: graph.fusion "pack"
// CHECK-NEXT: graph.pack {{.*}} width 32 group 2 : tensor<1x128x32xbf16> -> tensor<1x1x64x32x2xbf16>
// CHECK: graph.fusion "matmul"
// CHECK: graph.add
func.func @weight_gradient(%dy: tensor<2x64x64xbf16>, %x: tensor<2x64x32xbf16>, %acc: tensor<64x32xf32>) -> tensor<64x32xf32>
    attributes {graph.layer = {layer = "block", part = "backward"}} {
  %0 = graph.matmul "bsf,bsh->fh" %dy, %x : (tensor<2x64x64xbf16>, tensor<2x64x32xbf16>) -> tensor<64x32xf32>
  %1 = graph.add %acc, %0 : tensor<64x32xf32>
  return %1 : tensor<64x32xf32>
}

// Sizes that are no multiple of a panel or a group: the product is cut to its columns.
// CHECK-LABEL: func.func @odd
// CHECK: graph.pack {{.*}} -> tensor<1x2x4x32x2xbf16>
// CHECK: graph.pad {{.*}} : tensor<1x5x7xbf16> -> tensor<1x5x8xbf16>
// CHECK: graph.slice {{.*}} : tensor<1x5x64xbf16> -> tensor<1x5x33xbf16>
func.func @odd(%x: tensor<5x7xbf16>, %w: tensor<7x33xbf16>) -> tensor<5x33xbf16>
    attributes {graph.layer = {layer = "block", part = "forward"}} {
  %0 = graph.matmul "mk,kn->mn" %x, %w : (tensor<5x7xbf16>, tensor<7x33xbf16>) -> tensor<5x33xbf16>
  return %0 : tensor<5x33xbf16>
}

// Unlike element types are multiplied in f32.
// CHECK-LABEL: func.func @mixed
// CHECK: graph.fusion "rows"
// CHECK-NEXT: graph.convert {{.*}} -> tensor<1x8x32xf32>
// CHECK: graph.pack {{.*}} group 1
func.func @mixed(%x: tensor<8x32xbf16>, %w: tensor<32x32xf32>) -> tensor<8x32xf32>
    attributes {graph.layer = {layer = "block", part = "forward"}} {
  %0 = graph.matmul "mk,kn->mn" %x, %w : (tensor<8x32xbf16>, tensor<32x32xf32>) -> tensor<8x32xf32>
  return %0 : tensor<8x32xf32>
}
