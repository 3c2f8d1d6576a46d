// RUN: primus-opt %s --split-input-file --graph-build-train-step --verify-diagnostics

// Before autodiff there is nothing to schedule.

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
    // expected-error @below {{calls 'head.forward', which has no graph.backward: run graph-autodiff first}}
    %loss, %valid = graph.call @head.forward(%x, %labels, %hw) instance "head" : (tensor<4x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}

// -----

// A parameter must be the value of a variable.

#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
module attributes {graph.plan = #plan} {
  func.func private @head.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.backward = @head.forward_backward, graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %weight, %labels vocabulary 9 : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func private @head.forward_backward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x", graph.of = 0 : i64},
                                           %acc: tensor<9x8xf32> {graph.arg = "accumulator", graph.name = "weight.grad", graph.of = 2 : i64})
      -> (tensor<f32>, tensor<f32>, tensor<4x8xf32> {graph.of = 0 : i64}, tensor<9x8xf32> {graph.of = 2 : i64, graph.inplace = 1 : i64})
      attributes {graph.layer = {layer = "head", part = "forward_backward"}} {
    %0 = graph.constant dense<0.0> : tensor<f32>
    return %0, %0, %x, %acc : tensor<f32>, tensor<f32>, tensor<4x8xf32>, tensor<9x8xf32>
  }
  func.func @forward(%x: tensor<4x8xf32>, %labels: tensor<4xi32>, %hw: tensor<9x8xf32>)
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    // expected-error @below {{takes its operand 2 ('weight') as a parameter, but it is not the value of a variable with that role}}
    %loss, %valid = graph.call @head.forward(%x, %labels, %hw) instance "head" : (tensor<4x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}

// -----

// One accumulator cannot be two arguments of a call.

#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
module attributes {graph.plan = #plan} {
  graph.variable @head.weight : tensor<9x8xf32> role parameter init #graph.init<"ones">
  graph.variable @w : tensor<8xf32> role parameter init #graph.init<"ones">
  func.func private @block.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"},
                                   %a: tensor<8xf32> {graph.arg = "parameter", graph.name = "a"},
                                   %b: tensor<8xf32> {graph.arg = "parameter", graph.name = "b"})
      -> tensor<4x8xf32> attributes {graph.backward = @block.backward, graph.layer = {layer = "block", part = "forward"}} {
    return %x : tensor<4x8xf32>
  }
  func.func private @block.backward(%dx: tensor<4x8xf32> {graph.arg = "cotangent", graph.of = 0 : i64},
                                    %a: tensor<8xf32> {graph.arg = "accumulator", graph.of = 1 : i64},
                                    %b: tensor<8xf32> {graph.arg = "accumulator", graph.of = 2 : i64})
      -> (tensor<4x8xf32> {graph.of = 0 : i64}, tensor<8xf32> {graph.inplace = 1 : i64, graph.of = 1 : i64}, tensor<8xf32> {graph.inplace = 2 : i64, graph.of = 2 : i64})
      attributes {graph.layer = {layer = "block", part = "backward"}} {
    return %dx, %a, %b : tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>
  }
  func.func private @head.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.backward = @head.forward_backward, graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %weight, %labels vocabulary 9 : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func private @head.forward_backward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x", graph.of = 0 : i64},
                                           %acc: tensor<9x8xf32> {graph.arg = "accumulator", graph.name = "weight.grad", graph.of = 2 : i64})
      -> (tensor<f32>, tensor<f32>, tensor<4x8xf32> {graph.of = 0 : i64}, tensor<9x8xf32> {graph.of = 2 : i64, graph.inplace = 1 : i64})
      attributes {graph.layer = {layer = "head", part = "forward_backward"}} {
    %0 = graph.constant dense<0.0> : tensor<f32>
    return %0, %0, %x, %acc : tensor<f32>, tensor<f32>, tensor<4x8xf32>, tensor<9x8xf32>
  }
  func.func @forward(%x: tensor<4x8xf32>, %labels: tensor<4xi32>)
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %hw = graph.load @head.weight : tensor<9x8xf32>
    %w = graph.load @w : tensor<8xf32>
    // expected-error @below {{takes variable 'w' twice: pass it once and use it twice in the layer}}
    %y = graph.call @block.forward(%x, %w, %w) instance "block" : (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
    %loss, %valid = graph.call @head.forward(%y, %labels, %hw) instance "head" : (tensor<4x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}

// -----

// A value that two layers use would need the sum of two gradients in the program.

#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}
module attributes {graph.plan = #plan} {
  graph.variable @head.weight : tensor<9x8xf32> role parameter init #graph.init<"ones">
  func.func private @block.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"})
      -> tensor<4x8xf32> attributes {graph.backward = @block.backward, graph.layer = {layer = "block", part = "forward"}} {
    return %x : tensor<4x8xf32>
  }
  func.func private @block.backward(%dy: tensor<4x8xf32> {graph.arg = "cotangent", graph.of = 0 : i64}) -> (tensor<4x8xf32> {graph.of = 0 : i64})
      attributes {graph.layer = {layer = "block", part = "backward"}} {
    return %dy : tensor<4x8xf32>
  }
  func.func private @head.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.backward = @head.forward_backward, graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %weight, %labels vocabulary 9 : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func private @head.forward_backward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x", graph.of = 0 : i64},
                                           %acc: tensor<9x8xf32> {graph.arg = "accumulator", graph.name = "weight.grad", graph.of = 2 : i64})
      -> (tensor<f32>, tensor<f32>, tensor<4x8xf32> {graph.of = 0 : i64}, tensor<9x8xf32> {graph.of = 2 : i64, graph.inplace = 1 : i64})
      attributes {graph.layer = {layer = "head", part = "forward_backward"}} {
    %0 = graph.constant dense<0.0> : tensor<f32>
    return %0, %0, %x, %acc : tensor<f32>, tensor<f32>, tensor<4x8xf32>, tensor<9x8xf32>
  }
  func.func @forward(%x: tensor<4x8xf32>, %labels: tensor<4xi32>)
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %hw = graph.load @head.weight : tensor<9x8xf32>
    // expected-error @below {{uses a value that another layer uses too}}
    %y = graph.call @block.forward(%x) instance "block" : (tensor<4x8xf32>) -> tensor<4x8xf32>
    %loss, %valid = graph.call @head.forward(%x, %labels, %hw) instance "head" : (tensor<4x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}
