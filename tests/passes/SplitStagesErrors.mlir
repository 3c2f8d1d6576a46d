// RUN: primus-opt %s --graph-split-stages --split-input-file --verify-diagnostics

// expected-error @+1 {{graph.pipeline names the first instances of 1 stages, but its table has 2}}
module attributes {graph.mesh = #graph.mesh<"pp" = 2>, graph.pipeline = {stages = ["a"], table = "0F0,0B0\n1F0,1B0\n"}} {
  func.func @train_step() {
    graph.schedule microbatches 1 () : () -> () {
      graph.yield
    }
    return
  }
}

// -----

// expected-error @+1 {{graph.pipeline, rank 0, cell 3: 0B0 stands in column 2 already}}
module attributes {graph.mesh = #graph.mesh<"pp" = 1>, graph.pipeline = {stages = ["a"], table = "0F0,0B0,0B0"}} {
  func.func @train_step() {
    graph.schedule microbatches 1 () : () -> () {
      graph.yield
    }
    return
  }
}

// -----

// expected-error @+1 {{graph.pipeline has a table of 2 ranks, but the mesh axis pp has 4}}
module attributes {graph.mesh = #graph.mesh<"pp" = 4>, graph.pipeline = {stages = ["a", "b"], table = "0F0,0B0\n1F0,1B0\n"}} {
  func.func @train_step() {
    graph.schedule microbatches 1 () : () -> () {
      graph.yield
    }
    return
  }
}

// -----

module attributes {graph.mesh = #graph.mesh<"pp" = 2>, graph.pipeline = {stages = ["a", "c"], table = "0F0,0B0\n1F0,1B0\n"}} {
  func.func private @a.forward() -> tensor<f32> attributes {graph.layer = {layer = "a", part = "forward"}} {
    %c = graph.constant dense<1.0> : tensor<f32>
    return %c : tensor<f32>
  }
  // expected-error @+1 {{has no forward call of "c" behind those of stage 0; graph.pipeline lets a stage begin there}}
  func.func @train_step() -> tensor<f32> {
    %l = graph.schedule microbatches 1 () : () -> (tensor<f32>) {
      %y = graph.call @a.forward() instance "a" : () -> tensor<f32>
      graph.yield %y : tensor<f32>
    }
    return %l : tensor<f32>
  }
}

// -----

// A value may not pass over a stage.
module attributes {graph.mesh = #graph.mesh<"pp" = 3>, graph.pipeline = {stages = ["a", "b", "c"], table = "0F0,0B0\n1F0,1B0\n2F0,2B0\n"}} {
  func.func private @make() -> tensor<f32> attributes {graph.layer = {layer = "m", part = "forward"}} {
    %c = graph.constant dense<1.0> : tensor<f32>
    return %c : tensor<f32>
  }
  func.func private @use(%x: tensor<f32> {graph.arg = "activation", graph.name = "x"}) -> tensor<f32> attributes {graph.layer = {layer = "u", part = "forward"}} {
    return %x : tensor<f32>
  }
  func.func @train_step() -> tensor<f32> {
    %l = graph.schedule microbatches 1 () : () -> (tensor<f32>) {
      %a = graph.call @make() instance "a" : () -> tensor<f32>
      %b = graph.call @use(%a) instance "b" : (tensor<f32>) -> tensor<f32>
      // expected-error @+1 {{of stage 2 uses a value of stage 0; values go from a stage to the next only}}
      %c = graph.call @use(%a) instance "c" : (tensor<f32>) -> tensor<f32>
      graph.yield %c : tensor<f32>
    }
    return %l : tensor<f32>
  }
}
