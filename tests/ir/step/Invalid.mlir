// RUN: primus-opt %s --verify-diagnostics --split-input-file

// expected-error @+1 {{argument 0 must be a packed memref of static shape, but is 'tensor<4xf32>'}}
step.function @argument(%x: tensor<4xf32>) scratch 0 {
  step.return
}

// -----

// expected-error @+1 {{scratch must not be negative}}
step.function @scratch() scratch -1 {
  step.return
}

// -----

// expected-error @+1 {{arena must not be negative}}
step.program @arena() arena -1 {
  step.return
}

// -----

// expected-error @+1 {{argument 0 has no step.name, by which the runtime finds it}}
step.program @name(%x: memref<4xf32>) arena 64 {
  step.return
}

// -----

step.function @launch(%x: memref<4xf32>) scratch 0 {
  // expected-error @+1 {{@copy is not a kernel.func of this module}}
  step.launch @copy(%x, %x) : memref<4xf32>, memref<4xf32>
  step.return
}

// -----

// expected-note @+1 {{declared here}}
kernel.func @copy(%x: memref<4xf32>, %y: memref<4xf32>) grid [1] {
  kernel.return
}
step.function @launch_types(%x: memref<8xf32>) scratch 0 {
  // expected-error @+1 {{operands ('memref<8xf32>', 'memref<8xf32>') must have the types of @copy's arguments ('memref<4xf32>', 'memref<4xf32>')}}
  step.launch @copy(%x, %x) : memref<8xf32>, memref<8xf32>
  step.return
}

// -----

step.program @call(%x: memref<4xf32> {step.name = "x"}) arena 64 {
  // expected-error @+1 {{@f is not a step.function of this module}}
  step.call @f(%x) instance "l" : memref<4xf32>
  step.return
}

// -----

// expected-note @+1 {{declared here}}
step.function @f(%x: memref<4xf32>) scratch 0 {
  step.return
}
step.program @call_types(%x: memref<8xf32> {step.name = "x"}) arena 64 {
  // expected-error @+1 {{operands ('memref<8xf32>') must have the types of @f's arguments ('memref<4xf32>')}}
  step.call @f(%x) instance "l" : memref<8xf32>
  step.return
}

// -----

step.function @f(%x: memref<4xf32>) scratch 128 {
  step.return
}
step.program @call_scratch(%x: memref<4xf32> {step.name = "x"}) arena 256 {
  %s = step.buffer offset 64 : memref<64xi8>
  // expected-error @+1 {{scratch of 64 bytes is too small: @f needs 128}}
  step.call @f(%x) scratch(%s : memref<64xi8>) instance "l" : memref<4xf32>
  step.return
}

// -----

step.program @loop() arena 0 {
  // expected-error @+1 {{count must be at least 1, but is 0}}
  step.loop 0 {
    step.return
  }
  step.return
}

// -----

step.program @microbatch_count(%x: memref<3x8xi32> {step.name = "x"}) arena 96 {
  step.loop 4 {
    // expected-error @+1 {{source must have the loop's count 4 as its leading dimension, but is 'memref<3x8xi32>'}}
    %m = step.microbatch %x : memref<3x8xi32> -> memref<8xi32>
    step.return
  }
  step.return
}

// -----

step.program @microbatch_type(%x: memref<4x8xi32> {step.name = "x"}) arena 128 {
  step.loop 4 {
    // expected-error @+1 {{result must be 'memref<8xi32>', but is 'memref<4xi32>'}}
    %m = step.microbatch %x : memref<4x8xi32> -> memref<4xi32>
    step.return
  }
  step.return
}

// -----

step.program @buffer() arena 0 {
  // expected-error @+1 {{offset must be -1 (not planned yet) or a position, but is -2}}
  %b = step.buffer offset -2 : memref<4xf32>
  step.return
}

// -----

step.program @buffer_shape() arena 0 {
  // expected-error @+1 {{must have a static shape, but is 'memref<?xf32>'}}
  %b = step.buffer offset 0 : memref<?xf32>
  step.return
}

// -----

step.function @view(%x: memref<4xf32>) scratch 0 {
  // expected-error @+1 {{bytes [8, 24) lie outside the 16 bytes of 'memref<4xf32>'}}
  %v = step.view %x at 8 : memref<4xf32> -> memref<4xf32>
  step.return
}
