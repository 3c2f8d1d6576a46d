// What kernels multiply of quantised tensors.
//
// RUN: primus-opt %s --graph-form-fusions --graph-pack-operands | FileCheck %s --check-prefixes=CHECK,CPU
// RUN: sed '1i module attributes {primus.target = "gfx950"} {' %s | sed '$a }' | primus-opt --graph-form-fusions --graph-pack-operands | FileCheck %s --check-prefixes=CHECK,GPU

// Factors that are the same along the contraction leave the sum. Processors widen what they multiply.
// CHECK-LABEL: func.func @rows
// CPU:           graph.convert {{.*}}f8E4M3FN> -> {{.*}}bf16>
// CPU:           graph.fusion "matmul"
// CPU:             graph.matmul {{.*}}bf16>
// GPU:           graph.fusion "matmul"
// GPU:             graph.matmul {{.*}}f8E4M3FN>, {{.*}}f8E4M3FN>
// CHECK:           graph.broadcast %{{.*}} dims [0]
// CHECK:           graph.mul
// CHECK:           graph.broadcast %{{.*}} dims [1]
// CHECK:           graph.mul
// CHECK:           graph.convert {{.*}}f32> -> {{.*}}bf16>
// CHECK-NOT:     graph.fusion
func.func @rows(%a: tensor<2x4x256xf8E4M3FN>, %fa: tensor<2x4x1xf32>, %w: tensor<128x256xf8E4M3FN>, %fw: tensor<128x1xf32>) -> tensor<2x4x128xbf16>
    attributes {graph.layer = {}} {
  %y = graph.scaled_matmul "bsh,fh->bsf" %a by %fa, %w by %fw : (tensor<2x4x256xf8E4M3FN>, tensor<2x4x1xf32>, tensor<128x256xf8E4M3FN>, tensor<128x1xf32>) -> tensor<2x4x128xbf16>
  return %y : tensor<2x4x128xbf16>
}

// Factors of blocks along it stay with the product where matrix instructions take 8-bit floats; elsewhere operands are
// what they stand for.
// CHECK-LABEL: func.func @blocks
// CPU:           graph.matmul {{.*}}f32>, {{.*}}f32>
// GPU:           graph.fusion "matmul"
// GPU:             graph.scaled_matmul "bmk,bnk->bmn" {{.*}} : (tensor<1x8x256xf8E5M2>, tensor<1x8x2xf32>, tensor<1x128x256xf8E4M3FN>, tensor<1x1x2xf32>) -> tensor<1x8x128xf32>
func.func @blocks(%a: tensor<2x4x256xf8E5M2>, %fa: tensor<2x4x2xf32>, %w: tensor<128x256xf8E4M3FN>, %fw: tensor<1x2xf32>) -> tensor<2x4x128xbf16>
    attributes {graph.layer = {}} {
  %y = graph.scaled_matmul "bsh,fh->bsf" %a by %fa, %w by %fw : (tensor<2x4x256xf8E5M2>, tensor<2x4x2xf32>, tensor<128x256xf8E4M3FN>, tensor<1x2xf32>) -> tensor<2x4x128xbf16>
  return %y : tensor<2x4x128xbf16>
}

// The weight of the product that it was not quantised for is read where it lies.
// CHECK-LABEL: func.func @rowsOfBlocks
// CPU:           graph.matmul {{.*}}f32>, {{.*}}f32>
// GPU-NOT:       graph.transpose
// GPU:           graph.scaled_matmul "bmk,bkn->bmn" {{.*}} : (tensor<1x8x256xf8E5M2>, tensor<1x8x2xf32>, tensor<1x256x128xf8E4M3FN>, tensor<1x2x1xf32>) -> tensor<1x8x128xf32>
func.func @rowsOfBlocks(%a: tensor<2x4x256xf8E5M2>, %fa: tensor<2x4x2xf32>, %w: tensor<256x128xf8E4M3FN>, %fw: tensor<2x1xf32>) -> tensor<2x4x128xbf16>
    attributes {graph.layer = {}} {
  %y = graph.scaled_matmul "bsf,fh->bsh" %a by %fa, %w by %fw : (tensor<2x4x256xf8E5M2>, tensor<2x4x2xf32>, tensor<256x128xf8E4M3FN>, tensor<2x1xf32>) -> tensor<2x4x128xbf16>
  return %y : tensor<2x4x128xbf16>
}

// Powers of two go into matrix instructions where these take them (gfx950); elsewhere operands become bf16, which has all their values.
// CHECK-LABEL: func.func @powers
// CPU:           graph.matmul {{.*}}bf16>, {{.*}}bf16>
// GPU:           graph.scaled_matmul "bmk,bnk->bmn" {{.*}} : (tensor<1x8x256xf8E5M2>, tensor<1x8x8xf8E8M0FNU>, tensor<1x128x256xf8E4M3FN>, tensor<1x128x8xf8E8M0FNU>)
func.func @powers(%a: tensor<2x4x256xf8E5M2>, %fa: tensor<2x4x8xf8E8M0FNU>, %w: tensor<128x256xf8E4M3FN>, %fw: tensor<128x8xf8E8M0FNU>) -> tensor<2x4x128xbf16>
    attributes {graph.layer = {}} {
  %y = graph.scaled_matmul "bsh,fh->bsf" %a by %fa, %w by %fw : (tensor<2x4x256xf8E5M2>, tensor<2x4x8xf8E8M0FNU>, tensor<128x256xf8E4M3FN>, tensor<128x8xf8E8M0FNU>) -> tensor<2x4x128xbf16>
  return %y : tensor<2x4x128xbf16>
}

// A transposed tensor is measured, scaled and rounded in one pass.
// CHECK-LABEL: func.func @transposed
// CHECK:         graph.fusion "blocks"
// CHECK:           graph.transpose
// CHECK:           graph.reduce max
// CHECK:           graph.convert {{.*}}f8E4M3FN>
// CHECK-NOT:     graph.fusion
func.func @transposed(%x: tensor<2x64x40xbf16>) -> (tensor<40x2x64xf8E4M3FN>, tensor<40x2x2xf8E8M0FNU>) attributes {graph.layer = {}} {
  %t = graph.transpose %x perm [2, 0, 1] : tensor<2x64x40xbf16> -> tensor<40x2x64xbf16>
  %a = graph.amax %t : tensor<40x2x64xbf16> -> tensor<40x2x2xf32>
  %f = graph.convert %a : tensor<40x2x2xf32> -> tensor<40x2x2xf8E8M0FNU>
  %q = graph.quantize %t, %f : tensor<40x2x64xbf16>, tensor<40x2x2xf8E8M0FNU> -> tensor<40x2x64xf8E4M3FN>
  return %q, %f : tensor<40x2x64xf8E4M3FN>, tensor<40x2x2xf8E8M0FNU>
}

// So is a tensor in both orders, which is read once.
// CHECK-LABEL: func.func @bothOrders
// CHECK:         graph.fusion "blocks"
// CHECK-SAME:      -> (tensor<256xf32>, tensor<256x128xf8E4M3FN>, tensor<512xf32>, tensor<512x64xf8E4M3FN>)
// CHECK-NOT:     graph.fusion
func.func @bothOrders(%x: tensor<2x64x256xbf16>) -> (tensor<2x64x256xf8E4M3FN>, tensor<2x64x2xf32>, tensor<256x2x64xf8E4M3FN>, tensor<256x2x1xf32>)
    attributes {graph.layer = {}} {
  %a = graph.amax %x : tensor<2x64x256xbf16> -> tensor<2x64x2xf32>
  %q = graph.quantize %x, %a : tensor<2x64x256xbf16>, tensor<2x64x2xf32> -> tensor<2x64x256xf8E4M3FN>
  %t = graph.transpose %x perm [2, 0, 1] : tensor<2x64x256xbf16> -> tensor<256x2x64xbf16>
  %b = graph.amax %t : tensor<256x2x64xbf16> -> tensor<256x2x1xf32>
  %r = graph.quantize %t, %b : tensor<256x2x64xbf16>, tensor<256x2x1xf32> -> tensor<256x2x64xf8E4M3FN>
  return %q, %a, %r, %b : tensor<2x64x256xf8E4M3FN>, tensor<2x64x2xf32>, tensor<256x2x64xf8E4M3FN>, tensor<256x2x1xf32>
}

// A weight in squares, from the type of the optimizer; what is between is not in memory.
// CHECK-LABEL: func.func @squares
// CHECK:         graph.fusion "blocks"
// CHECK-SAME:      (tensor<256x512xf32>) -> (tensor<2x4xf32>, tensor<1024x128xf8E4M3FN>)
// CHECK-NOT:     graph.fusion
func.func @squares(%w: tensor<256x512xf32>) -> (tensor<256x512xf8E4M3FN>, tensor<2x4xf32>) attributes {graph.layer = {}} {
  %x = graph.convert %w : tensor<256x512xf32> -> tensor<256x512xbf16>
  %a = graph.amax %x : tensor<256x512xbf16> -> tensor<2x4xf32>
  %s = graph.exp %a : tensor<2x4xf32>
  %q = graph.quantize %x, %s : tensor<256x512xbf16>, tensor<2x4xf32> -> tensor<256x512xf8E4M3FN>
  return %q, %a : tensor<256x512xf8E4M3FN>, tensor<2x4xf32>
}

// A scale for each row and one for each column follow from one reading, with the first copy of a weight in 16 bits; a second one quantises.
// CHECK-LABEL: func.func @margins
// CHECK:         graph.fusion "margins"
// CHECK-SAME:      (tensor<64x256xf32>) -> (tensor<64x256xbf16>, {{.*}}, {{.*}})
// CHECK:         graph.fusion "rows"
// CHECK-SAME:      -> (tensor<64x256xf8E4M3FN>, tensor<64x256xf8E4M3FN>)
// CHECK-NOT:     graph.fusion
func.func @margins(%w: tensor<64x256xf32>) -> (tensor<64x256xf8E4M3FN>, tensor<64x1xf32>, tensor<64x256xf8E4M3FN>, tensor<1x256xf32>)
    attributes {graph.layer = {}} {
  %x = graph.convert %w : tensor<64x256xf32> -> tensor<64x256xbf16>
  %a = graph.amax %x : tensor<64x256xbf16> -> tensor<64x1xf32>
  %b = graph.amax %x : tensor<64x256xbf16> -> tensor<1x256xf32>
  %q = graph.quantize %x, %a : tensor<64x256xbf16>, tensor<64x1xf32> -> tensor<64x256xf8E4M3FN>
  %r = graph.quantize %x, %b : tensor<64x256xbf16>, tensor<1x256xf32> -> tensor<64x256xf8E4M3FN>
  return %q, %a, %r, %b : tensor<64x256xf8E4M3FN>, tensor<64x1xf32>, tensor<64x256xf8E4M3FN>, tensor<1x256xf32>
}

// Parts that a rank has all of, and whose largest values nobody else needs, are measured with what computes their rows.
// CHECK-LABEL: func.func @parts
// CHECK:         graph.fusion "rows"
// CHECK:           graph.reduce sum
// CHECK:           graph.reduce max {{.*}} dims [1]
// CHECK:           graph.convert {{.*}}f8E4M3FN>
// CHECK-NOT:     tensor<8x256xf32>)
func.func @parts(%x: tensor<2x4x256xbf16>, %w: tensor<256xbf16>, %s: tensor<f32>) -> (tensor<2x4x256xf8E4M3FN>, tensor<f32>) attributes {graph.layer = {}} {
  %y, %r = graph.rms_norm %x, %w eps 1.0e-05 : (tensor<2x4x256xbf16>, tensor<256xbf16>) -> (tensor<2x4x256xbf16>, tensor<2x4xf32>)
  %p = graph.amax %y : tensor<2x4x256xbf16> -> tensor<2x2x2xf32>
  %a = graph.amax %p : tensor<2x2x2xf32> -> tensor<f32>
  %q = graph.quantize %y, %s : tensor<2x4x256xbf16>, tensor<f32> -> tensor<2x4x256xf8E4M3FN>
  return %q, %a : tensor<2x4x256xf8E4M3FN>, tensor<f32>
}

// The largest value of each row comes with what computes the row; what is quantised is not in memory before.
// CHECK-LABEL: func.func @largest
// CHECK:         graph.fusion "rows"
// CHECK:           graph.reduce sum
// CHECK:           graph.reduce max {{.*}} dims [1]
// CHECK:         graph.fusion
// CHECK:           graph.reduce max {{.*}} dims [0]
// CHECK:         graph.fusion "rows"
// CHECK:           graph.convert {{.*}}f32> -> {{.*}}f8E4M3FN>
// CHECK-NOT:     graph.fusion
func.func @largest(%x: tensor<2x4x256xbf16>, %w: tensor<256xbf16>) -> (tensor<2x4x256xf8E4M3FN>, tensor<f32>) attributes {graph.layer = {}} {
  %y, %r = graph.rms_norm %x, %w eps 1.0e-05 : (tensor<2x4x256xbf16>, tensor<256xbf16>) -> (tensor<2x4x256xbf16>, tensor<2x4xf32>)
  %a = graph.amax %y : tensor<2x4x256xbf16> -> tensor<f32>
  %c = graph.constant dense<448.0> : tensor<f32>
  %s = graph.div %c, %a : tensor<f32>
  %q = graph.quantize %y, %s : tensor<2x4x256xbf16>, tensor<f32> -> tensor<2x4x256xf8E4M3FN>
  return %q, %a : tensor<2x4x256xf8E4M3FN>, tensor<f32>
}

// A scale that is known before: quantised, and measured for the next step, in one pass.
// CHECK-LABEL: func.func @delayed
// CHECK:         graph.fusion "rows"
// CHECK:           graph.reduce max {{.*}} dims [1]
// CHECK:           graph.convert {{.*}}f8E4M3FN>
// CHECK:         graph.fusion
// CHECK:           graph.reduce max {{.*}} dims [0]
// CHECK-NOT:     graph.fusion
func.func @delayed(%g: tensor<8x256xbf16>, %u: tensor<8x256xbf16>, %s: tensor<f32>) -> (tensor<8x256xf8E4M3FN>, tensor<f32>) attributes {graph.layer = {}} {
  %y = graph.glu silu %g, %u : tensor<8x256xbf16>
  %a = graph.amax %y : tensor<8x256xbf16> -> tensor<f32>
  %q = graph.quantize %y, %s : tensor<8x256xbf16>, tensor<f32> -> tensor<8x256xf8E4M3FN>
  return %q, %a : tensor<8x256xf8E4M3FN>, tensor<f32>
}
