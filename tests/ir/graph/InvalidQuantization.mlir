// RUN: primus-opt %s --verify-diagnostics --split-input-file

func.func @add(%q: tensor<4x8xf8E4M3FN>) {
  // expected-error @+1 {{must be statically shaped tensor}}
  %0 = graph.add %q, %q : tensor<4x8xf8E4M3FN>
  return
}

// -----

func.func @matmul_C5(%q: tensor<4x8xf8E4M3FN>, %w: tensor<6x8xbf16>) {
  // expected-error @+1 {{mixes 'f8E4M3FN' and 'bf16'; 8-bit floats are multiplied by ones of the same encoding}}
  %0 = graph.matmul "mk,nk->mn" %q, %w : (tensor<4x8xf8E4M3FN>, tensor<6x8xbf16>) -> tensor<4x6xbf16>
  return
}

// -----

func.func @matmul_encodings(%q: tensor<4x8xf8E4M3FN>, %w: tensor<6x8xf8E4M3FNUZ>) {
  // expected-error @+1 {{mixes 'f8E4M3FN' and 'f8E4M3FNUZ'}}
  %0 = graph.matmul "mk,nk->mn" %q, %w : (tensor<4x8xf8E4M3FN>, tensor<6x8xf8E4M3FNUZ>) -> tensor<4x6xbf16>
  return
}

// -----

func.func @product_in_eight_bits(%x: tensor<4x8xbf16>) {
  // expected-error @+1 {{must be statically shaped tensor}}
  %0 = graph.matmul "mk,nk->mn" %x, %x : (tensor<4x8xbf16>, tensor<4x8xbf16>) -> tensor<4x4xf8E5M2>
  return
}

// -----

func.func @reduce(%q: tensor<4x8xf8E5M2>) {
  // expected-error @+1 {{must be statically shaped tensor}}
  %0 = graph.reduce sum %q dims [1] : tensor<4x8xf8E5M2> -> tensor<4xf32>
  return
}

// -----

func.func @amax_C1(%x: tensor<4x8xbf16>) {
  // expected-error @+1 {{result of type 'tensor<4x3xf32>' must divide 'tensor<4x8xbf16>' into equal blocks, but 3 does not divide the 8 of dimension 1}}
  %0 = graph.amax %x : tensor<4x8xbf16> -> tensor<4x3xf32>
  return
}

// -----

func.func @amax_rank(%x: tensor<4x8xbf16>) {
  // expected-error @+1 {{result of type 'tensor<4xf32>' must be a scalar or have the rank of 'tensor<4x8xbf16>'}}
  %0 = graph.amax %x : tensor<4x8xbf16> -> tensor<4xf32>
  return
}

// -----

func.func @quantize_C1(%x: tensor<4x8xbf16>, %s: tensor<4x16xf32>) {
  // expected-error @+1 {{scale of type 'tensor<4x16xf32>' must divide 'tensor<4x8xbf16>' into equal blocks}}
  %0 = graph.quantize %x, %s : tensor<4x8xbf16>, tensor<4x16xf32> -> tensor<4x8xf8E4M3FN>
  return
}

// -----

func.func @quantize_C2(%x: tensor<4x32xbf16>, %s: tensor<4x1xf8E8M0FNU>) {
  // expected-error @+1 {{factors that are powers of two (f8E8M0FNU) belong to f8E4M3FN and f8E5M2, not to 'f8E4M3FNUZ'}}
  %0 = graph.quantize %x, %s : tensor<4x32xbf16>, tensor<4x1xf8E8M0FNU> -> tensor<4x32xf8E4M3FNUZ>
  return
}

// -----

func.func @quantize_shape(%x: tensor<4x8xbf16>, %s: tensor<f32>) {
  // expected-error @+1 {{result 'tensor<8x4xf8E4M3FN>' must have the shape of 'tensor<4x8xbf16>'}}
  %0 = graph.quantize %x, %s : tensor<4x8xbf16>, tensor<f32> -> tensor<8x4xf8E4M3FN>
  return
}

// -----

func.func @quantize_to_bf16(%x: tensor<4x8xf32>, %s: tensor<f32>) {
  // expected-error @+1 {{result #0 must be statically shaped tensor of 8-bit float values}}
  %0 = graph.quantize %x, %s : tensor<4x8xf32>, tensor<f32> -> tensor<4x8xbf16>
  return
}

// -----

func.func @dequantize_C1(%q: tensor<4x8xf8E4M3FN>, %s: tensor<3x1xf32>) {
  // expected-error @+1 {{factor of type 'tensor<3x1xf32>' must divide}}
  %0 = graph.dequantize %q, %s : tensor<4x8xf8E4M3FN>, tensor<3x1xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @scaled_matmul_C1(%q: tensor<4x8xf8E4M3FN>, %w: tensor<6x9xf8E4M3FN>, %s: tensor<f32>) {
  // expected-error @+1 {{letter 'k' has size 9 in the rhs, but 8 before}}
  %0 = graph.scaled_matmul "mk,nk->mn" %q by %s, %w by %s : (tensor<4x8xf8E4M3FN>, tensor<f32>, tensor<6x9xf8E4M3FN>, tensor<f32>) -> tensor<4x6xf32>
  return
}

// -----

func.func @scaled_matmul_C2(%q: tensor<4x8xf8E4M3FN>, %s: tensor<f32>, %t: tensor<5x1xf32>) {
  // expected-error @+1 {{rhs factor of type 'tensor<5x1xf32>' must divide}}
  %0 = graph.scaled_matmul "mk,nk->mn" %q by %s, %q by %t : (tensor<4x8xf8E4M3FN>, tensor<f32>, tensor<4x8xf8E4M3FN>, tensor<5x1xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @scaled_matmul_C3(%q: tensor<4x8xf8E4M3FN>, %w: tensor<6x8xf8E4M3FNUZ>, %s: tensor<f32>) {
  // expected-error @+1 {{mixes encodings: 'f8E4M3FN' and 'f8E4M3FNUZ'}}
  %0 = graph.scaled_matmul "mk,nk->mn" %q by %s, %w by %s : (tensor<4x8xf8E4M3FN>, tensor<f32>, tensor<6x8xf8E4M3FNUZ>, tensor<f32>) -> tensor<4x6xf32>
  return
}

// -----

func.func @scaled_matmul_C4(%q: tensor<4x32xf8E4M3FN>, %s: tensor<f32>, %t: tensor<4x1xf8E8M0FNU>) {
  // expected-error @+1 {{mixes factors of type 'f32' and 'f8E8M0FNU'}}
  %0 = graph.scaled_matmul "mk,nk->mn" %q by %s, %q by %t : (tensor<4x32xf8E4M3FN>, tensor<f32>, tensor<4x32xf8E4M3FN>, tensor<4x1xf8E8M0FNU>) -> tensor<4x4xf32>
  return
}

// -----

// expected-error @+1 {{mxfp8 is defined for the encoding ocp only}}
func.func private @mx_fnuz() attributes {a = #graph.fp8<recipe = mxfp8, encoding = fnuz>}

// -----

// expected-error @+1 {{history must be at least one step, but is 0}}
func.func private @history() attributes {a = #graph.fp8<recipe = delayed, history = 0>}

// -----

// expected-error @+1 {{margin must be between -64 and 64, but is 65}}
func.func private @margin() attributes {a = #graph.fp8<recipe = delayed, margin = 65>}
