// RUN: primus-opt %s --graph-autodiff --graph-build-train-step --mlir-use-nameloc-as-prefix | FileCheck %s

// Two layers of one kind and a loss whose weight is tied to the first layer's, over three microbatches, in mixed precision.

// State: moments and accumulator beside each parameter, none beside constants.
// CHECK:         graph.variable @embedding.weight : tensor<9x8xf32> role parameter
// CHECK-NEXT:    graph.variable @embedding.weight.m : tensor<9x8xf32> role optimizer init #graph.init<"zeros">
// CHECK-NEXT:    graph.variable @embedding.weight.v : tensor<9x8xf32> role optimizer init #graph.init<"zeros">
// CHECK-NEXT:    graph.variable @embedding.weight.grad : tensor<9x8xf32> role gradient init #graph.init<"zeros">
// CHECK-NEXT:    graph.variable @layers.0.scale : tensor<8xf32>
// CHECK:         graph.variable @shift : tensor<8xf32> role constant
// CHECK-NOT:     graph.variable @shift.grad

// CHECK-LABEL: func.func private @normalise
// CHECK:         %[[COUNT:.*]] = graph.maximum %valid_tokens, %one
// CHECK:         %loss = graph.div %loss_sum, %[[COUNT]]
// CHECK:         %inverse_valid = graph.div %one, %[[COUNT]]
// CHECK:         return %loss, %inverse_valid

// CHECK-LABEL: func.func private @clip
// CHECK:         %grad_norm = graph.sqrt %sum_of_squares
// CHECK:         %[[LIMIT:.*]] = graph.constant dense<5.000000e-01>
// CHECK:         %ratio = graph.div %[[LIMIT]], %guarded_norm
// CHECK:         %scale = graph.minimum %ratio, %one
// CHECK:         %is_finite = graph.compare le %grad_norm, %largest
// CHECK:         %[[SCALE:.*]] = graph.select %is_finite, %scale, %skip
// CHECK:         return %grad_norm, %[[SCALE]]

// CHECK-LABEL: func.func private @embedding.reduce(
// CHECK-SAME:    %weight.grad: tensor<9x8xf32> {graph.arg = "gradient", graph.name = "weight.grad"}, %inverse_valid: tensor<f32>
// CHECK-SAME:    -> (tensor<9x8xf32> {graph.inplace = 0 : i64, graph.name = "weight.grad"}, tensor<f32> {graph.inplace = 2 : i64, graph.name = "sum_of_squares"})
// CHECK-SAME:    graph.layer = {layer = "embedding", part = "reduce"}

// The decay of each parameter is its variable's. A kind of layer gets one update function; the loss has no parameter of its own.
// CHECK-LABEL: func.func private @embedding.update(
// CHECK:         graph.adamw {{.*}}weight_decay = 1.000000e-01
// CHECK-LABEL: func.func private @block.reduce(
// CHECK-NOT:   func.func private @block.reduce_1
// CHECK-NOT:   func.func private @head.reduce
// CHECK-LABEL: func.func private @block.update(
// CHECK-SAME:    -> (tensor<8xf32> {graph.inplace = 0 : i64, graph.name = "scale"}, tensor<8xf32> {graph.inplace = 1 : i64, graph.name = "scale.m"}, tensor<8xf32> {graph.inplace = 2 : i64, graph.name = "scale.v"})
// CHECK:         graph.adamw %scale, %scale.m, %scale.v, %scale.grad, %scale_{{[0-9]}}, %learning_rate, %bias_correction1, %bias_correction2 {{.*}}weight_decay = 0.000000e+00

// CHECK-LABEL: func.func @train_step(
// CHECK-SAME:    %tokens: tensor<3x4xi32> {graph.name = "tokens"}, %labels: tensor<3x4xi32> {graph.name = "labels"},
// CHECK-SAME:    %learning_rate: tensor<f32> {graph.name = "learning_rate"}, %bias_correction1: tensor<f32> {graph.name = "bias_correction1"}, %bias_correction2: tensor<f32> {graph.name = "bias_correction2"})
// CHECK-SAME:    -> (tensor<f32> {graph.name = "loss"}, tensor<f32> {graph.name = "grad_norm"})
// Once per step: the compute copy, and zeros.
// CHECK:         %[[COPY:.*]] = graph.call @embedding.unshard
// CHECK:         %[[ZERO:.*]] = graph.constant dense<0.0
// CHECK-NEXT:    graph.store %[[ZERO]], @embedding.weight.grad
// CHECK:         graph.store %{{.*}}, @layers.1.scale.grad
// Forward, the loss, backward in the opposite order; both uses of the tied weight add to one accumulator.
// CHECK:         %[[SUMS:.*]]:2 = graph.schedule microbatches 3 (%[[T:.*]] = %tokens, %[[L:.*]] = %labels)
// CHECK-NOT:       unshard
// CHECK:           %[[X0:.*]] = graph.call @embedding.forward(%[[T]], %[[COPY]]) instance "embedding"
// CHECK:           %[[X1:.*]] = graph.call @block.forward(%[[X0]], {{.*}} instance "layers.0"
// CHECK:           %[[X2:.*]] = graph.call @block.forward(%[[X1]], {{.*}} instance "layers.1"
// CHECK:           %[[ACC:.*]] = graph.load @embedding.weight.grad
// CHECK:           %[[HEAD:.*]]:4 = graph.call @head.forward_backward(%[[X2]], %[[L]], %[[COPY]], %[[ACC]])
// CHECK-NEXT:      graph.store %[[HEAD]]#3, @embedding.weight.grad
// CHECK:           %[[ACC1:.*]] = graph.load @layers.1.scale.grad
// CHECK:           %[[B1:.*]]:2 = graph.call @block.backward(%[[HEAD]]#2, %[[X1]], {{.*}}%[[ACC1]]) instance "layers.1"
// CHECK-NEXT:      graph.store %[[B1]]#1, @layers.1.scale.grad
// CHECK:           %[[B0:.*]]:2 = graph.call @block.backward(%[[B1]]#0, %[[X0]], {{.*}} instance "layers.0"
// CHECK:           %[[ACC0:.*]] = graph.load @embedding.weight.grad
// CHECK:           %[[E:.*]] = graph.call @embedding.backward(%[[B0]]#0, %[[T]], %[[ACC0]])
// CHECK-NEXT:      graph.store %[[E]], @embedding.weight.grad
// CHECK:           graph.yield %[[HEAD]]#0, %[[HEAD]]#1
// CHECK:         %[[NORMALISED:.*]]:2 = graph.call @normalise(%[[SUMS]]#0, %[[SUMS]]#1)
// Reduced gradients go to the update as values; the accumulators keep their sums.
// CHECK:         %[[R:.*]]:2 = graph.call @embedding.reduce(%{{.*}}, %[[NORMALISED]]#1, %{{.*}})
// CHECK-NOT:     graph.store
// CHECK:         %[[R0:.*]]:2 = graph.call @block.reduce(%{{.*}}, %[[NORMALISED]]#1, %[[R]]#1) instance "layers.0"
// CHECK:         %[[R1:.*]]:2 = graph.call @block.reduce(%{{.*}}, %[[NORMALISED]]#1, %[[R0]]#1) instance "layers.1"
// CHECK:         %[[CLIPPED:.*]]:2 = graph.call @clip(%[[R1]]#1)
// CHECK:         %[[U:.*]]:3 = graph.call @embedding.update({{.*}}, %[[R]]#0, %[[CLIPPED]]#1, %learning_rate, %bias_correction1, %bias_correction2)
// CHECK-NEXT:    graph.store %[[U]]#0, @embedding.weight :
// CHECK-NEXT:    graph.store %[[U]]#1, @embedding.weight.m
// CHECK-NEXT:    graph.store %[[U]]#2, @embedding.weight.v
// CHECK:         graph.call @block.update{{.*}} instance "layers.0"
// CHECK:         graph.call @block.update{{.*}} instance "layers.1"
// CHECK-NOT:     graph.call
// CHECK:         return %[[NORMALISED]]#0, %[[CLIPPED]]#0

#plan = {microbatches = 3 : i64, micro_batch_size = 1 : i64, sequence_length = 4 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.5, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}

module attributes {graph.plan = #plan} {
  graph.variable @embedding.weight : tensor<9x8xf32> role parameter init #graph.init<"ones"> {decay}
  graph.variable @layers.0.scale : tensor<8xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.1.scale : tensor<8xf32> role parameter init #graph.init<"ones">
  graph.variable @shift : tensor<8xf32> role constant init #graph.init<"ones">
  func.func private @embedding.unshard(%weight: tensor<9x8xf32> {graph.arg = "parameter", graph.name = "weight"}) -> tensor<9x8xbf16>
      attributes {graph.layer = {layer = "embedding", part = "unshard"}} {
    %0 = graph.convert %weight : tensor<9x8xf32> -> tensor<9x8xbf16>
    return %0 : tensor<9x8xbf16>
  }
  func.func private @embedding.forward(%tokens: tensor<4xi32> {graph.arg = "activation", graph.name = "tokens"},
                                       %weight: tensor<9x8xbf16> {graph.arg = "parameter", graph.name = "weight"})
      -> tensor<4x8xbf16> attributes {graph.layer = {layer = "embedding", part = "forward"}} {
    %x = graph.gather %weight, %tokens : (tensor<9x8xbf16>, tensor<4xi32>) -> tensor<4x8xbf16>
    return %x : tensor<4x8xbf16>
  }
  func.func private @block.forward(%x: tensor<4x8xbf16> {graph.arg = "activation", graph.name = "x"},
                                   %scale: tensor<8xf32> {graph.arg = "parameter", graph.name = "scale"},
                                   %shift: tensor<8xf32> {graph.arg = "constant", graph.name = "shift"})
      -> tensor<4x8xbf16> attributes {graph.layer = {layer = "block", part = "forward"}} {
    %f = graph.convert %x : tensor<4x8xbf16> -> tensor<4x8xf32>
    %s = graph.broadcast %scale dims [1] : tensor<8xf32> -> tensor<4x8xf32>
    %b = graph.broadcast %shift dims [1] : tensor<8xf32> -> tensor<4x8xf32>
    %m = graph.mul %f, %s : tensor<4x8xf32>
    %a = graph.add %m, %b : tensor<4x8xf32>
    %y = graph.convert %a : tensor<4x8xf32> -> tensor<4x8xbf16>
    return %y : tensor<4x8xbf16>
  }
  func.func private @head.forward(%x: tensor<4x8xbf16> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %weight: tensor<9x8xbf16> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %loss, %valid, %lse = graph.cross_entropy %x, %weight, %labels vocabulary 9 : (tensor<4x8xbf16>, tensor<9x8xbf16>, tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
  func.func @forward(%tokens: tensor<4xi32> {graph.name = "tokens"}, %labels: tensor<4xi32> {graph.name = "labels"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %w = graph.load @embedding.weight : tensor<9x8xf32>
    %c = graph.call @embedding.unshard(%w) instance "embedding" : (tensor<9x8xf32>) -> tensor<9x8xbf16>
    %shift = graph.load @shift : tensor<8xf32>
    %x0 = graph.call @embedding.forward(%tokens, %c) instance "embedding" : (tensor<4xi32>, tensor<9x8xbf16>) -> tensor<4x8xbf16>
    %s0 = graph.load @layers.0.scale : tensor<8xf32>
    %x1 = graph.call @block.forward(%x0, %s0, %shift) instance "layers.0" : (tensor<4x8xbf16>, tensor<8xf32>, tensor<8xf32>) -> tensor<4x8xbf16>
    %s1 = graph.load @layers.1.scale : tensor<8xf32>
    %x2 = graph.call @block.forward(%x1, %s1, %shift) instance "layers.1" : (tensor<4x8xbf16>, tensor<8xf32>, tensor<8xf32>) -> tensor<4x8xbf16>
    %loss, %valid = graph.call @head.forward(%x2, %labels, %c) instance "head" : (tensor<4x8xbf16>, tensor<4xi32>, tensor<9x8xbf16>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}
