// RUN: primus-opt %s --verify-diagnostics --split-input-file

step.function @mesh(%x: memref<4xf32>) scratch 0 {
  // expected-error @+1 {{needs the mesh in its module's attribute 'graph.mesh'}}
  step.collective all_reduce sum over ["tp"] %x to %x : memref<4xf32> to memref<4xf32>
  step.return
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @axis(%x: memref<4xf32>) scratch 0 {
    // expected-error @+1 {{is over axis "cp", which the mesh #graph.mesh<"tp" = 2> lacks}}
    step.collective all_reduce sum over ["cp"] %x to %x : memref<4xf32> to memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @axes(%x: memref<4xf32>) scratch 0 {
    // expected-error @+1 {{needs at least one axis}}
    step.collective all_reduce sum over [] %x to %x : memref<4xf32> to memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @reduction(%x: memref<4xf32>, %y: memref<4xf32>) scratch 0 {
    // expected-error @+1 {{needs a reduction: sum or max}}
    step.collective all_reduce over ["tp"] %x to %y : memref<4xf32> to memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @noReduction(%x: memref<4xf32>, %y: memref<8xf32>) scratch 0 {
    // expected-error @+1 {{reduces nothing, but has a reduction}}
    step.collective all_gather sum over ["tp"] %x to %y dims [0] : memref<4xf32> to memref<8xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @dims(%x: memref<4xf32>, %y: memref<8xf32>) scratch 0 {
    // expected-error @+1 {{needs one entry per pair of buffers in 'dims'}}
    step.collective all_gather over ["tp"] %x to %y : memref<4xf32> to memref<8xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @concat(%x: memref<4xf32>, %y: memref<8xf32>) scratch 0 {
    // expected-error @+1 {{has no use for 'concat'}}
    step.collective all_gather over ["tp"] %x to %y dims [0] concat [0] : memref<4xf32> to memref<8xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @target(%x: memref<4xf32>, %y: memref<4xf32>) scratch 0 {
    // expected-error @+1 {{makes 'memref<8xf32>' of 'memref<4xf32>' on 2 ranks, but the target is 'memref<4xf32>'}}
    step.collective all_gather over ["tp"] %x to %y dims [0] : memref<4xf32> to memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 3>} {
  step.function @blocks(%x: memref<4xf32>, %y: memref<1xf32>) scratch 0 {
    // expected-error @+1 {{cannot cut 'memref<4xf32>' into 3 blocks along the given dimension}}
    step.collective block over ["tp"] %x to %y dims [0] : memref<4xf32> to memref<1xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @elements(%x: memref<4xf32>, %y: memref<4xi32>) scratch 0 {
    // expected-error @+1 {{has buffers of 'f32' and 'i32'; one element type travels together}}
    step.collective all_reduce sum over ["tp"] %x, %y to %x, %y : memref<4xf32>, memref<4xi32> to memref<4xf32>, memref<4xi32>
    step.return
  }
}
