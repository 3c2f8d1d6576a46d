// RUN: primus-opt %s --split-input-file --graph-autodiff --canonicalize --cse --mlir-use-nameloc-as-prefix | FileCheck %s

#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}

// A feed-forward block in mixed precision. Kept: gate and up, not the larger set with `hidden`; not the f32 copy of a value that exists in bf16. Gradients are
// named after their values, sums are f32 where a part is, accumulators are written in place.

// CHECK-LABEL: func.func private @block.forward
// CHECK-SAME:    -> (tensor<4x8xbf16>, tensor<4x6xbf16> {graph.name = "gate"}, tensor<4x6xbf16> {graph.name = "up"})
// CHECK-SAME:    graph.backward = @block.backward
// CHECK:         return %down, %gate, %up

// CHECK-LABEL: func.func private @block.backward(
// CHECK-SAME:    %[[DY:[a-z.]+]]: tensor<4x8xbf16> {graph.arg = "cotangent", graph.name = "down.grad", graph.of = 0 : i64},
// CHECK-SAME:    %[[GATE:[a-z.]+]]: tensor<4x6xbf16> {graph.arg = "residual", graph.name = "gate", graph.of = 1 : i64},
// CHECK-SAME:    %[[UP:[a-z.]+]]: tensor<4x6xbf16> {graph.arg = "residual", graph.name = "up", graph.of = 2 : i64},
// CHECK-SAME:    %[[X:[a-z0-9.]+]]: tensor<4x8xbf16> {graph.arg = "activation", graph.name = "x", graph.of = 0 : i64},
// CHECK-SAME:    %[[WG:[a-z0-9.]+]]: tensor<6x8xbf16> {graph.arg = "parameter", graph.name = "gate.weight", graph.of = 1 : i64},
// CHECK-SAME:    %[[WU:[a-z0-9.]+]]: tensor<6x8xbf16> {graph.arg = "parameter", graph.name = "up.weight", graph.of = 2 : i64},
// CHECK-SAME:    %[[WD:[a-z0-9.]+]]: tensor<8x6xbf16> {graph.arg = "parameter", graph.name = "down.weight", graph.of = 3 : i64},
// CHECK-SAME:    %[[ACC_G:[a-z0-9.]+]]: tensor<6x8xf32> {graph.arg = "accumulator", graph.name = "gate.weight.grad", graph.of = 1 : i64},
// CHECK-SAME:    %[[ACC_U:[a-z0-9.]+]]: tensor<6x8xf32> {graph.arg = "accumulator", graph.name = "up.weight.grad", graph.of = 2 : i64},
// CHECK-SAME:    %[[ACC_D:[a-z0-9.]+]]: tensor<8x6xf32> {graph.arg = "accumulator", graph.name = "down.weight.grad", graph.of = 3 : i64})
// CHECK-SAME:    -> (tensor<4x8xbf16> {graph.name = "x.grad", graph.of = 0 : i64},
// CHECK-SAME:    tensor<6x8xf32> {graph.inplace = 7 : i64, graph.name = "gate.weight.grad", graph.of = 1 : i64},
// CHECK-SAME:    tensor<6x8xf32> {graph.inplace = 8 : i64, graph.name = "up.weight.grad", graph.of = 2 : i64},
// CHECK-SAME:    tensor<8x6xf32> {graph.inplace = 9 : i64, graph.name = "down.weight.grad", graph.of = 3 : i64})
// CHECK-SAME:    graph.layer = {layer = "block", part = "backward"}
// CHECK:         %hidden.grad = graph.matmul "so,oi->si" %[[DY]], %[[WD]]
// CHECK-SAME:      -> tensor<4x6xbf16>
// CHECK:         %hidden = graph.glu silu %[[GATE]], %[[UP]]
// CHECK:         %[[DWD:.*]] = graph.matmul "so,si->oi" %[[DY]], %hidden
// CHECK-SAME:      -> tensor<8x6xf32>
// CHECK-NEXT:    %[[SUM_D:.*]] = graph.add %[[ACC_D]], %[[DWD]] : tensor<8x6xf32>
// CHECK:         %[[DG:.*]], %[[DU:.*]] = graph.glu_grad silu %hidden.grad, %[[GATE]], %[[UP]]
// CHECK:         %[[DX1:x.grad[_0-9]*]] = graph.matmul "so,oi->si" %[[DU]], %[[WU]]
// CHECK-SAME:      -> tensor<4x8xf32>
// CHECK:         %[[DX2:x.grad[_0-9]*]] = graph.matmul "so,oi->si" %[[DG]], %[[WG]]
// CHECK-SAME:      -> tensor<4x8xf32>
// CHECK:         %[[DX:.*]] = graph.add %[[DX1]], %[[DX2]] : tensor<4x8xf32>
// CHECK:         %[[DXN:.*]] = graph.convert %[[DX]] : tensor<4x8xf32> -> tensor<4x8xbf16>
// CHECK:         return %[[DXN]], %{{.*}}, %{{.*}}, %[[SUM_D]]

// The loss: one function for both directions, with the op of the loss and its gradient on the same operands; an integer has no gradient.
// CHECK-LABEL: func.func private @head.forward_backward(
// CHECK-SAME:    %[[X:[a-z0-9.]+]]: tensor<4x8xbf16> {graph.arg = "activation", graph.name = "x", graph.of = 0 : i64},
// CHECK-SAME:    -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}, tensor<4x8xbf16> {graph.name = "x.grad", graph.of = 0 : i64}, tensor<9x8xf32> {graph.inplace = 3 : i64
// CHECK:         %[[ONE:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[LOSS:.*]], %[[VALID:.*]], %[[LSE:.*]] = graph.cross_entropy %[[X]], %[[W:.*]], %[[LABELS:.*]] vocabulary 9
// CHECK-NEXT:    %{{.*}}, %{{.*}} = graph.cross_entropy_grad %[[ONE]], %[[X]], %[[W]], %[[LABELS]], %[[LSE]] vocabulary 9
// CHECK:         return %[[LOSS]], %[[VALID]]

// Programs get the new results.
// CHECK-LABEL: func.func @forward
// CHECK:         %[[Y:.*]]:3 = graph.call @block.forward
// CHECK:         graph.call @head.forward(%[[Y]]#0

module attributes {graph.plan = #plan} {
  graph.variable @block.gate : tensor<6x8xbf16> role parameter init #graph.init<"ones">
  graph.variable @block.up : tensor<6x8xbf16> role parameter init #graph.init<"ones">
  graph.variable @block.down : tensor<8x6xbf16> role parameter init #graph.init<"ones">
  graph.variable @head.weight : tensor<9x8xbf16> role parameter init #graph.init<"ones">
  func.func private @block.forward(%x: tensor<4x8xbf16> {graph.arg = "activation", graph.name = "x"},
                                   %gate.weight: tensor<6x8xbf16> {graph.arg = "parameter", graph.name = "gate.weight"},
                                   %up.weight: tensor<6x8xbf16> {graph.arg = "parameter", graph.name = "up.weight"},
                                   %down.weight: tensor<8x6xbf16> {graph.arg = "parameter", graph.name = "down.weight"})
      -> tensor<4x8xbf16> attributes {graph.layer = {layer = "block", part = "forward"}} {
    %g = graph.matmul "si,oi->so" %x, %gate.weight : (tensor<4x8xbf16>, tensor<6x8xbf16>) -> tensor<4x6xbf16> loc("gate")
    %u = graph.matmul "si,oi->so" %x, %up.weight : (tensor<4x8xbf16>, tensor<6x8xbf16>) -> tensor<4x6xbf16> loc("up")
    %h = graph.glu silu %g, %u : tensor<4x6xbf16> loc("hidden")
    %d = graph.matmul "si,oi->so" %h, %down.weight : (tensor<4x6xbf16>, tensor<8x6xbf16>) -> tensor<4x8xbf16> loc("down")
    return %d : tensor<4x8xbf16>
  }
  func.func private @head.forward(%x: tensor<4x8xbf16> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xbf16> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %weight, %labels vocabulary 9 : (tensor<4x8xbf16>, tensor<9x8xbf16>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>) loc("loss")
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func @forward(%x: tensor<4x8xbf16>, %labels: tensor<4xi32>)
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %g = graph.load @block.gate : tensor<6x8xbf16>
    %u = graph.load @block.up : tensor<6x8xbf16>
    %d = graph.load @block.down : tensor<8x6xbf16>
    %w = graph.load @head.weight : tensor<9x8xbf16>
    %y = graph.call @block.forward(%x, %g, %u, %d) instance "block" : (tensor<4x8xbf16>, tensor<6x8xbf16>, tensor<6x8xbf16>, tensor<8x6xbf16>) -> tensor<4x8xbf16>
    %loss, %valid = graph.call @head.forward(%y, %labels, %w) instance "head" : (tensor<4x8xbf16>, tensor<4xi32>, tensor<9x8xbf16>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}

// -----

// Full recompute of the first of two layers: a twin without residuals, whose backward function computes the forward again; nothing merges with
// forward, and its last product, which no gradient needs, is gone. The mean of each microbatch is taken before the gradient.

#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "full", recompute_layers = 1 : i64, per_microbatch_mean = true, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}

// CHECK-LABEL: func.func private @block.forward(
// CHECK-SAME:    -> (tensor<4x8xf32>, tensor<4x8xf32> {graph.name = "hidden"})
// CHECK-LABEL: func.func private @block.backward(
// CHECK-SAME:    graph.arg = "residual", graph.name = "hidden"
// CHECK-NOT:     graph.exp
// CHECK:         return
// CHECK-LABEL: func.func private @block.forward_recompute(
// CHECK-SAME:    -> tensor<4x8xf32> attributes {graph.backward = @block.backward_recompute
// CHECK-LABEL: func.func private @block.backward_recompute(
// CHECK-NOT:     residual
// CHECK:         %[[MID:.*]] = graph.matmul "si,oi->so"
// CHECK-NEXT:    graph.exp %[[MID]]
// CHECK-NOT:     graph.matmul "si,oi->so"
// CHECK:         return

// CHECK-LABEL: func.func private @head.forward_backward(
// CHECK:         %[[ONE:.*]] = graph.constant dense<1.0
// CHECK:         %[[LOSS:.*]], %[[VALID:.*]], %{{.*}} = graph.cross_entropy
// CHECK:         %[[COUNT:.*]] = graph.maximum %[[VALID]], %[[ONE]]
// CHECK:         %[[SEED:.*]] = graph.div %[[ONE]], %[[COUNT]]
// CHECK:         %[[MEAN:.*]] = graph.div %[[LOSS]], %[[COUNT]]
// CHECK:         graph.cross_entropy_grad %[[SEED]]
// CHECK:         return %[[MEAN]], %[[ONE]]

// CHECK-LABEL: func.func @forward
// CHECK:         %[[Y0:.*]] = graph.call @block.forward_recompute({{.*}} instance "layers.0"
// CHECK:         %[[Y1:.*]]:2 = graph.call @block.forward(%[[Y0]]{{.*}} instance "layers.1"

module attributes {graph.plan = #plan} {
  graph.variable @w : tensor<8x8xf32> role parameter init #graph.init<"ones">
  graph.variable @head.weight : tensor<9x8xf32> role parameter init #graph.init<"ones">
  func.func private @block.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"},
                                   %w: tensor<8x8xf32> {graph.arg = "parameter", graph.name = "w"})
      -> tensor<4x8xf32> attributes {graph.layer = {layer = "block", part = "forward"}} {
    %m = graph.matmul "si,oi->so" %x, %w : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32> loc("mid")
    %h = graph.exp %m : tensor<4x8xf32> loc("hidden")
    %y = graph.matmul "si,oi->so" %h, %w : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32> loc("out")
    return %y : tensor<4x8xf32>
  }
  func.func private @head.forward(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %weight, %labels vocabulary 9 : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>) loc("loss")
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func @forward(%x: tensor<4x8xf32>, %labels: tensor<4xi32>)
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %w = graph.load @w : tensor<8x8xf32>
    %hw = graph.load @head.weight : tensor<9x8xf32>
    %y0 = graph.call @block.forward(%x, %w) instance "layers.0" : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %y1 = graph.call @block.forward(%y0, %w) instance "layers.1" : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %loss, %valid = graph.call @head.forward(%y1, %labels, %hw) instance "head" : (tensor<4x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}

// -----

// Selective recompute: q, k and v are kept, attention's result and statistics are not. An op without a derivative of its own is decomposed. A
// constant has no gradient, and neither has a parameter that the loss does not depend on.

#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "selective", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.0}

// CHECK-LABEL: func.func private @block.forward(
// CHECK-SAME:    -> (tensor<1x4x1x8xf32>, tensor<1x4x1x8xf32> {graph.name = "v"})
// CHECK-NOT:     graph.activation_grad
// CHECK:         %v = graph.rope half
// CHECK:         return %{{.*}}, %v :
// CHECK-LABEL: func.func private @block.backward(
// CHECK-NOT:     graph.name = "unused
// CHECK-NOT:     graph.name = "cos.grad
// CHECK:         graph.attention %
// CHECK:         graph.attention_grad
// CHECK:         return %x.grad{{[_0-9]*}}, %{{[a-z.]+}}{{[_0-9]*}} :

module attributes {graph.plan = #plan} {
  graph.variable @block.scale : tensor<8xf32> role parameter init #graph.init<"ones">
  graph.variable @block.unused : tensor<8xf32> role parameter init #graph.init<"ones">
  graph.variable @rope.cos : tensor<4x4xf32> role constant init #graph.init<"ones">
  graph.variable @head.weight : tensor<9x8xf32> role parameter init #graph.init<"ones">
  func.func private @block.forward(%x: tensor<1x4x1x8xf32> {graph.arg = "activation", graph.name = "x"},
                                   %scale: tensor<8xf32> {graph.arg = "parameter", graph.name = "scale"},
                                   %unused: tensor<8xf32> {graph.arg = "parameter", graph.name = "unused"},
                                   %cos: tensor<4x4xf32> {graph.arg = "constant", graph.name = "cos"})
      -> tensor<1x4x1x8xf32> attributes {graph.layer = {layer = "block", part = "forward"}} {
    %v = graph.rope half %x, %cos, %cos : tensor<1x4x1x8xf32>, tensor<4x4xf32> loc("v")
    %a, %lse = graph.attention %x, %v, %v scale 1.000000e+00 : tensor<1x4x1x8xf32>, tensor<1x4x1x8xf32> -> tensor<1x1x4xf32> loc("attention")
    %s = graph.broadcast %scale dims [3] : tensor<8xf32> -> tensor<1x4x1x8xf32> loc("wide")
    %y = graph.activation_grad silu %a, %s : tensor<1x4x1x8xf32> loc("y")
    return %y : tensor<1x4x1x8xf32>
  }
  func.func private @head.forward(%x: tensor<1x4x1x8xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %flat = graph.reshape %x : tensor<1x4x1x8xf32> -> tensor<4x8xf32>
    %loss, %valid, %lse = graph.cross_entropy %flat, %weight, %labels vocabulary 9 : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>) loc("loss")
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func @forward(%x: tensor<1x4x1x8xf32>, %labels: tensor<4xi32>)
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %s = graph.load @block.scale : tensor<8xf32>
    %u = graph.load @block.unused : tensor<8xf32>
    %cos = graph.load @rope.cos : tensor<4x4xf32>
    %hw = graph.load @head.weight : tensor<9x8xf32>
    %y = graph.call @block.forward(%x, %s, %u, %cos) instance "layers.0" : (tensor<1x4x1x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<4x4xf32>) -> tensor<1x4x1x8xf32>
    %loss, %valid = graph.call @head.forward(%y, %labels, %hw) instance "head" : (tensor<1x4x1x8xf32>, tensor<4xi32>, tensor<9x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}
