// RUN: primus-opt %s --split-input-file --graph-autodiff --verify-diagnostics

// expected-error @below {{lacks the dictionary attribute 'graph.plan'}}
module {
}

// -----

#plan = {microbatches = 0 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "most", recompute_layers = 0 : i64, per_microbatch_mean = false, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
// expected-error @below {{graph.plan: entry 'microbatches' is 0, but must be at least 1}}
// expected-error @below {{graph.plan: entry 'recompute' is "most", but must be none, selective or full}}
// expected-error @below {{graph.plan: lacks entry 'clip', a float}}
module attributes {graph.plan = #plan} {
}

// -----

#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
// expected-error @below {{has no program 'forward' to differentiate}}
module attributes {graph.plan = #plan} {
}

// -----

#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
module attributes {graph.plan = #plan} {
  // expected-error @below {{has no result with graph.name = "loss_sum"}}
  func.func @forward(%x: tensor<4x8xf32>) {
    return
  }
}

// -----

#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
module attributes {graph.plan = #plan} {
  // expected-error @below {{must compute its result 'loss_sum' as a tensor<f32>, or one value per group, in a call of a layer}}
  func.func @forward(%x: tensor<f32>) -> (tensor<f32> {graph.name = "loss_sum"}) {
    return %x : tensor<f32>
  }
}

// -----

#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
module attributes {graph.plan = #plan} {
  graph.variable @head.weight : tensor<9x8xf32> role parameter init #graph.init<"ones">
  // expected-error @below {{argument 0 of layer function 'block.forward' needs the attribute 'graph.arg', one of activation, parameter, constant,}}
  func.func private @block.forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32>
      attributes {graph.layer = {layer = "block", part = "forward"}} {
    return %x : tensor<4x8xf32>
  }
  func.func private @head.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %weight, %labels vocabulary 9 : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func @forward(%x: tensor<4x8xf32>, %labels: tensor<4xi32>)
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %hw = graph.load @head.weight : tensor<9x8xf32>
    %y = graph.call @block.forward(%x) instance "block" : (tensor<4x8xf32>) -> tensor<4x8xf32>
    %loss, %valid = graph.call @head.forward(%y, %labels, %hw) instance "head" : (tensor<4x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}

// -----

// An op with neither a derivative nor a decomposition on the way to the loss.

#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
module attributes {graph.plan = #plan} {
  graph.variable @head.weight : tensor<9x8xf32> role parameter init #graph.init<"ones">
  func.func private @block.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"}) -> tensor<4x8xf32>
      attributes {graph.layer = {layer = "block", part = "forward"}} {
    // expected-error @below {{lies between a parameter and the loss, but has neither a derivative nor a decomposition}}
    %y = graph.fusion "rows" (%a = %x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
      graph.yield %a : tensor<4x8xf32>
    }
    return %y : tensor<4x8xf32>
  }
  func.func private @head.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %weight, %labels vocabulary 9 : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func @forward(%x: tensor<4x8xf32>, %labels: tensor<4xi32>)
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %hw = graph.load @head.weight : tensor<9x8xf32>
    %y = graph.call @block.forward(%x) instance "block" : (tensor<4x8xf32>) -> tensor<4x8xf32>
    %loss, %valid = graph.call @head.forward(%y, %labels, %hw) instance "head" : (tensor<4x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}

// -----

// The layer of the loss cannot be called a second time.

#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
module attributes {graph.plan = #plan} {
  graph.variable @head.weight : tensor<9x8xf32> role parameter init #graph.init<"ones">
  func.func private @head.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %weight, %labels vocabulary 9 : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func @forward(%x: tensor<4x8xf32>, %labels: tensor<4xi32>)
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %hw = graph.load @head.weight : tensor<9x8xf32>
    %l, %v = graph.call @head.forward(%x, %labels, %hw) instance "extra" : (tensor<4x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    // expected-error @below {{computes the loss in a layer that is also called elsewhere}}
    %loss, %valid = graph.call @head.forward(%x, %labels, %hw) instance "head" : (tensor<4x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}
