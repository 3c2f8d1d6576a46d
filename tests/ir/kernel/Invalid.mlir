// RUN: primus-opt %s --verify-diagnostics --split-input-file

// expected-error @+1 {{grid must have one to three dimensions, but has 4}}
kernel.func @grid() grid [1, 1, 1, 1] {
  kernel.return
}

// -----

// expected-error @+1 {{grid dimension 1 must be at least 1, but is 0}}
kernel.func @grid_size() grid [1, 0] {
  kernel.return
}

// -----

// expected-error @+1 {{argument 0 must be a packed memref of static shape, but is 'memref<?xf32>'}}
kernel.func @argument(%x: memref<?xf32>) grid [1] {
  kernel.return
}

// -----

kernel.func @program_id() grid [4] {
  // expected-error @+1 {{dim 1 is not a dimension of the grid, which has 1}}
  %0 = kernel.program_id 1
  kernel.return
}

// -----

func.func @outside() {
  // expected-error @+1 {{must be in a kernel.func}}
  %0 = kernel.program_id 0
  return
}

// -----

kernel.func @load_indices(%x: memref<4x8xf32>) grid [1] {
  %i = kernel.program_id 0
  // expected-error @+1 {{needs one index per dimension of 'memref<4x8xf32>', but has 1}}
  %0 = kernel.load %x[%i] dims [0] : memref<4x8xf32> -> tensor<4xf32>
  kernel.return
}

// -----

kernel.func @load_type(%x: memref<8xf32>) grid [1] {
  %i = kernel.program_id 0
  // expected-error @+1 {{memref 'memref<8xf32>' and value 'tensor<4xbf16>' must have one element type}}
  %0 = kernel.load %x[%i] dims [0] : memref<8xf32> -> tensor<4xbf16>
  kernel.return
}

// -----

kernel.func @load_dims(%x: memref<4x8xf32>) grid [1] {
  %i = kernel.program_id 0
  // expected-error @+1 {{dims needs one entry per dimension of 'tensor<4x4xf32>', but has 1}}
  %0 = kernel.load %x[%i, %i] dims [0] : memref<4x8xf32> -> tensor<4x4xf32>
  kernel.return
}

// -----

kernel.func @load_dim_range(%x: memref<4x8xf32>) grid [1] {
  %i = kernel.program_id 0
  // expected-error @+1 {{dims entry 2 is not a dimension of 'memref<4x8xf32>'}}
  %0 = kernel.load %x[%i, %i] dims [2] : memref<4x8xf32> -> tensor<4xf32>
  kernel.return
}

// -----

kernel.func @load_dim_twice(%x: memref<4x8xf32>) grid [1] {
  %i = kernel.program_id 0
  // expected-error @+1 {{dims entry 0 appears twice}}
  %0 = kernel.load %x[%i, %i] dims [0, 0] : memref<4x8xf32> -> tensor<4x4xf32>
  kernel.return
}

// -----

kernel.func @load_rank_zero(%x: memref<8xf32>) grid [1] {
  %i = kernel.program_id 0
  // expected-error @+1 {{a value without dimensions must be a scalar, but is 'tensor<f32>'}}
  %0 = kernel.load %x[%i] dims [] : memref<8xf32> -> tensor<f32>
  kernel.return
}

// -----

kernel.func @store(%x: memref<8xf32>, %s: memref<8xi32>) grid [1] {
  %i = kernel.program_id 0
  %v = kernel.load %s[%i] dims [] : memref<8xi32> -> i32
  // expected-error @+1 {{memref 'memref<8xf32>' and value 'i32' must have one element type}}
  kernel.store %v, %x[%i] dims [] : i32, memref<8xf32>
  kernel.return
}

// -----

func.func @dot_shapes(%a: tensor<8x16xf32>, %b: tensor<8x32xf32>, %c: tensor<8x32xf32>) {
  // expected-error @+1 {{shapes must be [m, k], [k / group, n * group] and [m, n], but are 'tensor<8x16xf32>', 'tensor<8x32xf32>' and 'tensor<8x32xf32>' with group 1}}
  %0 = kernel.dot %a, %b, %c : tensor<8x16xf32>, tensor<8x32xf32> -> tensor<8x32xf32>
  return
}

// -----

func.func @dot_accumulator(%a: tensor<8x16xbf16>, %b: tensor<16x32xbf16>, %c: tensor<8x32xbf16>) {
  // expected-error @+1 {{acc must be f32, but is 'tensor<8x32xbf16>'}}
  %0 = kernel.dot %a, %b, %c : tensor<8x16xbf16>, tensor<16x32xbf16> -> tensor<8x32xbf16>
  return
}

// -----

func.func @dot_rank(%a: tensor<16xf32>, %b: tensor<16x32xf32>, %c: tensor<8x32xf32>) {
  // expected-error @+1 {{operands must be tiles of rank 2}}
  %0 = kernel.dot %a, %b, %c : tensor<16xf32>, tensor<16x32xf32> -> tensor<8x32xf32>
  return
}

// -----

func.func @dot_integers(%a: tensor<8x16xi32>, %b: tensor<16x32xi32>, %c: tensor<8x32xf32>) {
  // expected-error @+1 {{operands must be floats}}
  %0 = kernel.dot %a, %b, %c : tensor<8x16xi32>, tensor<16x32xi32> -> tensor<8x32xf32>
  return
}

// -----

func.func @dot_number_of_factors(%a: tensor<32x128xf8E4M3FN>, %b: tensor<128x32xf8E4M3FN>, %c: tensor<32x32xf32>, %f: tensor<32x4xf8E8M0FNU>, %g: tensor<8x32xf8E8M0FNU>) {
  // expected-error @+1 {{factors must be f8E8M0FNU tiles of shapes [m, k / 32] and [k / 32, n], or f32 ones of shapes [m, k / 128] and [k / 128, n] or [k / 128, 1], of 8-bit floats, with k a multiple of 128, but are 'tensor<32x4xf8E8M0FNU>' and 'tensor<8x32xf8E8M0FNU>'}}
  %0 = kernel.dot %a, %b, %c by %f, %g : tensor<32x128xf8E4M3FN>, tensor<128x32xf8E4M3FN> by tensor<32x4xf8E8M0FNU>, tensor<8x32xf8E8M0FNU> -> tensor<32x32xf32>
  return
}

// -----

func.func @dot_factors_of_bf16(%a: tensor<32x128xbf16>, %b: tensor<128x32xbf16>, %c: tensor<32x32xf32>, %f: tensor<32x1xf32>, %g: tensor<1x1xf32>) {
  // expected-error @+1 {{of 8-bit floats, with k a multiple of 128}}
  %0 = kernel.dot %a, %b, %c by %f, %g : tensor<32x128xbf16>, tensor<128x32xbf16> by tensor<32x1xf32>, tensor<1x1xf32> -> tensor<32x32xf32>
  return
}

// -----

func.func @dot_group(%a: tensor<8x16xf32>, %b: tensor<16x32xf32>, %c: tensor<8x32xf32>) {
  // expected-error @+1 {{group must be at least 1, but is 0}}
  %0 = kernel.dot %a, %b, %c {group = 0} : tensor<8x16xf32>, tensor<16x32xf32> -> tensor<8x32xf32>
  return
}

// -----

func.func @reduce_dim(%x: tensor<8x32xf32>) {
  // expected-error @+1 {{dim 2 is not a dimension of 'tensor<8x32xf32>'}}
  %0 = kernel.reduce sum %x dim 2 : tensor<8x32xf32> -> tensor<8x32xf32>
  return
}

// -----

func.func @reduce_result(%x: tensor<8x32xf32>) {
  // expected-error @+1 {{result must be 'tensor<8x1xf32>', but is 'tensor<8xf32>'}}
  %0 = kernel.reduce sum %x dim 1 : tensor<8x32xf32> -> tensor<8xf32>
  return
}

// -----

func.func @nonan_sum(%x: tensor<8x32xf32>) {
  // expected-error @+1 {{has nonan, which is for maxima of floats, on a sum of 'f32'}}
  %0 = kernel.reduce sum %x dim 1 {nonan} : tensor<8x32xf32> -> tensor<8x1xf32>
  return
}

// -----

func.func @nonan_integers(%x: tensor<8x32xi32>) {
  // expected-error @+1 {{has nonan, which is for maxima of floats, on a max of 'i32'}}
  %0 = kernel.reduce max %x dim 1 {nonan} : tensor<8x32xi32> -> tensor<8x1xi32>
  return
}

// -----

func.func @broadcast(%x: tensor<8x2xf32>) {
  // expected-error @+1 {{dimension 1 of size 2 cannot become 32}}
  %0 = kernel.broadcast %x : tensor<8x2xf32> -> tensor<8x32xf32>
  return
}

// -----

func.func @broadcast_rank(%x: tensor<8xf32>) {
  // expected-error @+1 {{operand and result must have equal ranks, but are 'tensor<8xf32>' and 'tensor<8x32xf32>'}}
  %0 = kernel.broadcast %x : tensor<8xf32> -> tensor<8x32xf32>
  return
}

// -----

func.func @broadcast_type(%x: f32) {
  // expected-error @+1 {{must keep the element type, but turns 'f32' into 'tensor<8xbf16>'}}
  %0 = kernel.broadcast %x : f32 -> tensor<8xbf16>
  return
}

// -----

func.func @iota(%i: index) {
  // expected-error @+1 {{dim 2 is not a dimension of 'tensor<8x32xi32>'}}
  %0 = kernel.iota %i dim 2 : tensor<8x32xi32>
  return
}

// -----

func.func @iota_type(%i: index) {
  // expected-error @+1 {{result must have element type i32, but is 'tensor<8xi64>'}}
  %0 = kernel.iota %i dim 0 : tensor<8xi64>
  return
}

// -----

func.func @transpose(%x: tensor<8x32xf32>) {
  // expected-error @+1 {{result must be 'tensor<32x8xf32>', but is 'tensor<8x32xf32>'}}
  %0 = kernel.transpose %x : tensor<8x32xf32> -> tensor<8x32xf32>
  return
}

// -----

func.func @transpose_rank(%x: tensor<8xf32>) {
  // expected-error @+1 {{operand must have rank 2, but is 'tensor<8xf32>'}}
  %0 = kernel.transpose %x : tensor<8xf32> -> tensor<8xf32>
  return
}
