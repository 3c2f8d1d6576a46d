// RUN: primus-opt %s --verify-diagnostics --split-input-file

step.program @mesh(%x: memref<4xf32> {step.name = "x"}) arena 0 attributes {graph.stage = 0 : i64} {
  // expected-error @+1 {{needs a mesh with the axis 'pp' in its module's attribute 'graph.mesh'}}
  step.send %x to 1 : memref<4xf32>
  step.return
}

// -----

module attributes {graph.mesh = #graph.mesh<"pp" = 2>} {
  step.program @p.0(%x: memref<4xf32> {step.name = "x"}) arena 0 attributes {graph.stage = 0 : i64} {
    // expected-error @+1 {{names stage 2 of 2}}
    step.receive %x from 2 : memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"pp" = 2>} {
  step.program @p.0(%x: memref<4xf32> {step.name = "x"}) arena 0 attributes {graph.stage = 0 : i64} {
    // expected-error @+1 {{names its own stage 0}}
    step.send %x to 0 : memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"pp" = 2>} {
  step.program @p(%x: memref<4xf32> {step.name = "x"}) arena 0 {
    // expected-error @+1 {{needs a program with the attribute 'graph.stage' around it}}
    step.send %x to 0 : memref<4xf32>
    step.return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"pp" = 2>} {
  step.program @p.0(%x: memref<4xf32> {step.name = "x"}) arena 0 attributes {graph.stage = 0 : i64} {
    // expected-error @+1 {{ticket must not be negative, but is -1}}
    step.send %x to 1 ticket -1 : memref<4xf32>
    step.return
  }
}
