// What phase `step` promises of collectives that run beside the program.
//
// RUN: primus-opt %s --verify-phase=phase=step --verify-diagnostics --split-input-file

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  kernel.func @copy(%x: memref<4xf32>, %y: memref<4xf32>) grid [1] {
    %0 = arith.constant 0 : index
    %t = kernel.load %x[%0] dims [0] : memref<4xf32> -> tensor<4xf32>
    kernel.store %t, %y[%0] dims [0] : tensor<4xf32>, memref<4xf32>
    kernel.return
  }
  // Reading the source and using other buffers is allowed while the collective runs.
  step.function @good(%x: memref<4xf32>, %y: memref<8xf32>, %z: memref<4xf32>) scratch 0 {
    step.collective all_gather over ["tp"] %x to %y dims [0] ticket 1 : memref<4xf32> to memref<8xf32>
    step.launch @copy(%x, %z) : memref<4xf32>, memref<4xf32>
    step.wait 1
    %v = step.view %y at 16 : memref<8xf32> -> memref<4xf32>
    step.launch @copy(%v, %z) : memref<4xf32>, memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  kernel.func @copy(%x: memref<4xf32>, %y: memref<4xf32>) grid [1] {
    %0 = arith.constant 0 : index
    %t = kernel.load %x[%0] dims [0] : memref<4xf32> -> tensor<4xf32>
    kernel.store %t, %y[%0] dims [0] : tensor<4xf32>, memref<4xf32>
    kernel.return
  }
  step.function @f(%x: memref<4xf32>, %y: memref<8xf32>, %z: memref<4xf32>) scratch 0 {
    // expected-note @+1 {{started here; wait for it before}}
    step.collective all_gather over ["tp"] %x to %y dims [0] ticket 1 : memref<4xf32> to memref<8xf32>
    %v = step.view %y at 16 : memref<8xf32> -> memref<4xf32>
    // expected-error @+1 {{reads a buffer that the collective with ticket 1 still writes}}
    step.launch @copy(%v, %z) : memref<4xf32>, memref<4xf32>
    step.wait 1
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @fills(%x: memref<4xf32>) scratch 0 {
    step.fill %x : memref<4xf32>
    step.return
  }
  // What a callee does with its arguments counts.
  step.program @p(%x: memref<4xf32> {step.name = "x", step.offset = 0 : i64}, %y: memref<8xf32> {step.name = "y", step.offset = 64 : i64}) arena 128 {
    // expected-note @+1 {{started here; wait for it before}}
    step.collective all_gather over ["tp"] %x to %y dims [0] ticket 1 : memref<4xf32> to memref<8xf32>
    // expected-error @+1 {{writes a buffer that the collective with ticket 1 still reads}}
    step.call @fills(%x) instance "f" : memref<4xf32>
    step.wait 1
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  // The call below passes one buffer for both arguments.
  step.function @f(%x: memref<4xf32>, %y: memref<4xf32>) scratch 0 {
    // expected-note @+1 {{started here; wait for it before}}
    step.collective all_reduce sum over ["tp"] %x to %x ticket 1 : memref<4xf32> to memref<4xf32>
    // expected-error @+1 {{writes a buffer that the collective with ticket 1 still reads}}
    step.fill %y : memref<4xf32>
    step.wait 1
    step.return
  }
  step.program @p(%x: memref<4xf32> {step.name = "x", step.offset = 0 : i64}) arena 128 {
    step.call @f(%x, %x) instance "f" : memref<4xf32>, memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @f(%x: memref<4xf32>) scratch 0 {
    // expected-error @+1 {{is never waited for in its block: add step.wait 2}}
    step.collective all_reduce sum over ["tp"] %x to %x ticket 2 : memref<4xf32> to memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @f(%x: memref<4xf32>) scratch 0 {
    step.collective all_reduce sum over ["tp"] %x to %x ticket 2 : memref<4xf32> to memref<4xf32>
    step.wait 2
    // expected-error @+1 {{waits for ticket 2, which nothing has that runs here}}
    step.wait 2
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  step.function @f(%x: memref<4xf32>) scratch 0 {
    // expected-note @+1 {{which is here}}
    step.collective all_reduce sum over ["tp"] %x to %x ticket 2 : memref<4xf32> to memref<4xf32>
    step.wait 2
    step.return
  }
  step.function @g(%x: memref<4xf32>) scratch 0 {
    // expected-error @+1 {{has ticket 2 like another collective}}
    step.collective all_reduce sum over ["tp"] %x to %x ticket 2 : memref<4xf32> to memref<4xf32>
    step.wait 2
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  // A buffer is the collective's until the wait, though no other action reads it any more.
  step.function @f(%x: memref<16xf32>, %y: memref<16xf32>) scratch 64 {
    %a = step.buffer offset 0 "a" : memref<16xf32>
    // expected-error @+1 {{'b' overlaps 'a', which is live at the same time}}
    %b = step.buffer offset 0 "b" : memref<16xf32>
    step.copy %x, %a : memref<16xf32>
    step.collective all_reduce sum over ["tp"] %a to %y ticket 1 : memref<16xf32> to memref<16xf32>
    step.fill %b : memref<16xf32>
    step.wait 1
    step.return
  }
}
