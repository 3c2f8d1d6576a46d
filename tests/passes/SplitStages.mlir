// RUN: primus-opt %s --graph-split-stages --split-input-file | FileCheck %s

// Two stages, two microbatches, and a backward pass in halves on the first.
#plan = {microbatches = 2 : i64, micro_batch_size = 1 : i64, sequence_length = 2 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
module attributes {graph.placed, graph.plan = #plan, graph.mesh = #graph.mesh<"pp" = 2>,
                   graph.pipeline = {stages = ["a", "b"], table = "0F0,0F1,0I0,0I1,0W0,0W1\n1F0,1B0,1F1,1B1\n"}} {
  graph.variable @a.w : tensor<2x2xf32> role parameter init #graph.init<"ones">
  graph.variable @a.w.grad : tensor<2x2xf32> role gradient init #graph.init<"zeros">

  // The gradient of the input, for which nothing waits here, and what the other half needs of it.
  // CHECK-LABEL: func.func private @a.backward_input(
  // CHECK-SAME:    %[[DY:[^:]*]]: tensor<1x2xf32> {{{.*}}"cotangent"
  // CHECK-SAME:    %[[W:[^:]*]]: tensor<2x2xf32> {{{.*}}"parameter"
  // CHECK:         %[[DH:.*]] = graph.exp %[[DY]]
  // CHECK:         %[[DX:.*]] = graph.matmul "sf,fh->sh" %[[DH]], %[[W]]
  // CHECK:         return %[[DX]], %[[DH]]
  // CHECK-LABEL: func.func private @a.backward_weight(
  // CHECK-SAME:    %[[X:[^:]*]]: tensor<1x2xf32> {{{.*}}"activation"
  // CHECK-SAME:    %[[SUM:[^:]*]]: tensor<2x2xf32> {{{.*}}"accumulator"
  // CHECK-SAME:    %[[HANDED:[^:]*]]: tensor<1x2xf32> {{{.*}}"residual"
  // CHECK-SAME:    graph.inplace = 1
  // CHECK:         graph.matmul "sf,sh->fh" %[[HANDED]], %[[X]]
  func.func private @a.forward(%x: tensor<1x2xf32> {graph.arg = "activation", graph.name = "x"}, %w: tensor<2x2xf32> {graph.arg = "parameter", graph.name = "w"})
      -> tensor<1x2xf32> attributes {graph.layer = {layer = "a", part = "forward"}, graph.backward = @a.backward} {
    %y = graph.matmul "sh,fh->sf" %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
    return %y : tensor<1x2xf32>
  }
  func.func private @a.backward(%dy: tensor<1x2xf32> {graph.arg = "cotangent", graph.name = "dy", graph.of = 0 : i64},
                                %x: tensor<1x2xf32> {graph.arg = "activation", graph.name = "x", graph.of = 0 : i64},
                                %w: tensor<2x2xf32> {graph.arg = "parameter", graph.name = "w", graph.of = 1 : i64},
                                %sum: tensor<2x2xf32> {graph.arg = "accumulator", graph.name = "w.grad", graph.of = 1 : i64})
      -> (tensor<1x2xf32> {graph.of = 0 : i64}, tensor<2x2xf32> {graph.inplace = 3 : i64, graph.of = 1 : i64})
      attributes {graph.layer = {layer = "a", part = "backward"}} {
    %dh = graph.exp %dy : tensor<1x2xf32>
    %dx = graph.matmul "sf,fh->sh" %dh, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
    %dw = graph.matmul "sf,sh->fh" %dh, %x : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<2x2xf32>
    %next = graph.add %sum, %dw : tensor<2x2xf32>
    return %dx, %next : tensor<1x2xf32>, tensor<2x2xf32>
  }
  func.func private @b.forward_backward(%y: tensor<1x2xf32> {graph.arg = "activation", graph.name = "y"}) -> (tensor<f32>, tensor<1x2xf32> {graph.of = 0 : i64})
      attributes {graph.layer = {layer = "b", part = "forward_backward"}} {
    %l = graph.reduce sum %y dims [0, 1] : tensor<1x2xf32> -> tensor<f32>
    %dy = graph.constant dense<1.0> : tensor<1x2xf32>
    return %l, %dy : tensor<f32>, tensor<1x2xf32>
  }

  // CHECK-LABEL: func.func @train_step.0(
  // CHECK-SAME:    %[[XS:[^:]*]]: tensor<2x1x2xf32>
  // CHECK-SAME:    graph.stage = 0
  // CHECK:         graph.store %{{.*}}, @a.w.grad
  // CHECK:         %[[X0:.*]] = graph.microbatch 0 of %[[XS]]
  // CHECK:         %[[LOADED:.*]] = graph.load @a.w
  // CHECK:         %[[Y0:.*]] = graph.call @a.forward(%[[X0]], %[[LOADED]])
  // CHECK:         graph.send %[[Y0]] to 1
  // A receive is started one computation ahead.
  // CHECK:         %[[D0:.*]] = graph.receive from 1
  // CHECK:         %[[X1:.*]] = graph.microbatch 1 of %[[XS]]
  // CHECK:         %[[Y1:.*]] = graph.call @a.forward(%[[X1]], %[[LOADED]])
  // CHECK:         graph.send %[[Y1]] to 1
  // CHECK:         %[[D1:.*]] = graph.receive from 1
  // CHECK:         %[[I0:.*]]:2 = graph.call @a.backward_input(%[[D0]], %[[LOADED]])
  // CHECK:         %[[I1:.*]]:2 = graph.call @a.backward_input(%[[D1]], %[[LOADED]])
  // CHECK:         %[[SUM0:.*]] = graph.load @a.w.grad
  // CHECK:         %[[W0:.*]] = graph.call @a.backward_weight(%[[X0]], %[[SUM0]], %[[I0]]#1)
  // CHECK:         graph.store %[[W0]], @a.w.grad
  // CHECK:         %[[SUM1:.*]] = graph.load @a.w.grad
  // CHECK:         graph.call @a.backward_weight(%[[X1]], %[[SUM1]], %[[I1]]#1)
  // CHECK:         %[[LOSS:.*]] = graph.sum_stages
  // CHECK:         return %[[LOSS]]

  // CHECK-LABEL: func.func @train_step.1(
  // CHECK-NOT:     graph.load
  // CHECK:         %[[M0:.*]] = graph.receive from 0
  // CHECK:         %[[B0:.*]]:2 = graph.call @b.forward_backward(%[[M0]])
  // CHECK:         %[[L0:.*]] = graph.call @add(%{{.*}}, %[[B0]]#0) instance "step"
  // CHECK:         graph.send %[[B0]]#1 to 0
  // CHECK:         %[[B1:.*]]:2 = graph.call @b.forward_backward
  // CHECK:         %[[L1:.*]] = graph.call @add(%[[L0]], %[[B1]]#0) instance "step"
  // CHECK:         %[[LOSS1:.*]] = graph.sum_stages %[[L1]]
  // CHECK:         return %[[LOSS1]]
  func.func @train_step(%xs: tensor<2x1x2xf32>) -> tensor<f32> {
    %w = graph.load @a.w : tensor<2x2xf32>
    %zero = graph.constant dense<0.0> : tensor<2x2xf32>
    graph.store %zero, @a.w.grad : tensor<2x2xf32>
    %loss = graph.schedule microbatches 2 (%x = %xs) : (tensor<2x1x2xf32>) -> tensor<f32> {
      %y = graph.call @a.forward(%x, %w) instance "a" : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %l:2 = graph.call @b.forward_backward(%y) instance "b" : (tensor<1x2xf32>) -> (tensor<f32>, tensor<1x2xf32>)
      %sum = graph.load @a.w.grad : tensor<2x2xf32>
      %d:2 = graph.call @a.backward(%l#1, %x, %w, %sum) instance "a" : (tensor<1x2xf32>, tensor<1x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) -> (tensor<1x2xf32>, tensor<2x2xf32>)
      graph.store %d#1, @a.w.grad : tensor<2x2xf32>
      graph.yield %l#0 : tensor<f32>
    }
    return %loss : tensor<f32>
  }
}

// -----

// Without a pipeline there is nothing to do.
// CHECK-LABEL: func.func @train_step(
// CHECK:         graph.schedule
module attributes {graph.placed} {
  func.func @train_step(%xs: tensor<2xf32>) -> tensor<f32> {
    %sum = graph.schedule microbatches 2 (%x = %xs) : (tensor<2xf32>) -> tensor<f32> {
      graph.yield %x : tensor<f32>
    }
    return %sum : tensor<f32>
  }
}

// -----

// What is kept between the halves is least. %h is computed again from %x, which the product needs in any case, instead of
// being kept beside it; the sum over tokens is formed at once, so that %big, of which nothing else needs anything, is not.
#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 8 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
module attributes {graph.placed, graph.plan = #plan, graph.mesh = #graph.mesh<"pp" = 2>,
                   graph.pipeline = {stages = ["a", "b"], table = "0F0,0I0,0W0\n1F0,1B0\n"}} {
  graph.variable @a.w : tensor<2x2xf32> role parameter init #graph.init<"ones">
  graph.variable @a.w.grad : tensor<2x2xf32> role gradient init #graph.init<"zeros">
  graph.variable @a.b.grad : tensor<2xf32> role gradient init #graph.init<"zeros">

  // CHECK-LABEL: func.func private @a.backward_input(
  // CHECK:         %[[BIG:.*]] = graph.mul %{{.*}}, %{{.*}} : tensor<8x2xf32>
  // CHECK:         %[[DX:.*]] = graph.mul
  // CHECK:         %[[DB:.*]] = graph.reduce sum %[[BIG]]
  // CHECK:         return %[[DX]], %[[DB]] :
  // CHECK-LABEL: func.func private @a.backward_weight(
  // CHECK-SAME:    %[[X:[^:]*]]: tensor<8x2xf32> {{{.*}}"activation"
  // CHECK-SAME:    %[[KEPT:[^:]*]]: tensor<2xf32> {graph.arg = "residual"
  // CHECK:         %[[H:.*]] = graph.exp %[[X]]
  // CHECK:         graph.matmul "sf,sh->fh" %[[H]], %[[X]]
  // CHECK:         graph.add %{{.*}}, %[[KEPT]]
  func.func private @a.forward(%x: tensor<8x2xf32> {graph.arg = "activation", graph.name = "x"}, %w: tensor<2x2xf32> {graph.arg = "parameter", graph.name = "w"})
      -> tensor<8x2xf32> attributes {graph.layer = {layer = "a", part = "forward"}, graph.backward = @a.backward} {
    %y = graph.matmul "sh,fh->sf" %x, %w : (tensor<8x2xf32>, tensor<2x2xf32>) -> tensor<8x2xf32>
    return %y : tensor<8x2xf32>
  }
  func.func private @a.backward(%dy: tensor<8x2xf32> {graph.arg = "cotangent", graph.name = "dy", graph.of = 0 : i64},
                                %x: tensor<8x2xf32> {graph.arg = "activation", graph.name = "x", graph.of = 0 : i64},
                                %sum: tensor<2x2xf32> {graph.arg = "accumulator", graph.name = "w.grad", graph.of = 1 : i64},
                                %sumB: tensor<2xf32> {graph.arg = "accumulator", graph.name = "b.grad", graph.of = 1 : i64})
      -> (tensor<8x2xf32> {graph.of = 0 : i64}, tensor<2x2xf32> {graph.inplace = 2 : i64, graph.of = 1 : i64},
          tensor<2xf32> {graph.inplace = 3 : i64, graph.of = 1 : i64})
      attributes {graph.layer = {layer = "a", part = "backward"}} {
    %h = graph.exp %x : tensor<8x2xf32>
    %big = graph.mul %dy, %h : tensor<8x2xf32>
    %dx = graph.mul %big, %h : tensor<8x2xf32>
    %dw = graph.matmul "sf,sh->fh" %h, %x : (tensor<8x2xf32>, tensor<8x2xf32>) -> tensor<2x2xf32>
    %next = graph.add %sum, %dw : tensor<2x2xf32>
    %db = graph.reduce sum %big dims [0] : tensor<8x2xf32> -> tensor<2xf32>
    %nextB = graph.add %sumB, %db : tensor<2xf32>
    return %dx, %next, %nextB : tensor<8x2xf32>, tensor<2x2xf32>, tensor<2xf32>
  }
  func.func private @b.forward_backward(%y: tensor<8x2xf32> {graph.arg = "activation", graph.name = "y"}) -> (tensor<f32>, tensor<8x2xf32> {graph.of = 0 : i64})
      attributes {graph.layer = {layer = "b", part = "forward_backward"}} {
    %l = graph.reduce sum %y dims [0, 1] : tensor<8x2xf32> -> tensor<f32>
    %dy = graph.constant dense<1.0> : tensor<8x2xf32>
    return %l, %dy : tensor<f32>, tensor<8x2xf32>
  }

  // A program without microbatches passes each stage once, and both ranks get its result.
  // CHECK-LABEL: func.func @forward.0(
  // CHECK-SAME:    %[[X:[^:]*]]: tensor<8x2xf32>
  // CHECK-SAME:    graph.stage = 0
  // CHECK:         %[[W:.*]] = graph.load @a.w
  // CHECK:         %[[Y:.*]] = graph.call @a.forward(%[[X]], %[[W]])
  // CHECK:         graph.send %[[Y]] to 1
  // CHECK:         %[[ZERO:.*]] = graph.constant
  // CHECK:         %[[LOSS:.*]] = graph.sum_stages %[[ZERO]]
  // CHECK:         return %[[LOSS]]
  // CHECK-LABEL: func.func @forward.1(
  // CHECK-NOT:     graph.load
  // CHECK:         %[[Y:.*]] = graph.receive from 0
  // CHECK:         %[[L:.*]]:2 = graph.call @b.forward_backward(%[[Y]])
  // CHECK:         %[[DOUBLE:.*]] = graph.add %[[L]]#0, %[[L]]#0
  // CHECK:         %[[LOSS:.*]] = graph.sum_stages %[[DOUBLE]]
  // CHECK:         return %[[LOSS]]
  func.func @forward(%x: tensor<8x2xf32>) -> tensor<f32> {
    %w = graph.load @a.w : tensor<2x2xf32>
    %y = graph.call @a.forward(%x, %w) instance "a" : (tensor<8x2xf32>, tensor<2x2xf32>) -> tensor<8x2xf32>
    %l:2 = graph.call @b.forward_backward(%y) instance "b" : (tensor<8x2xf32>) -> (tensor<f32>, tensor<8x2xf32>)
    %double = graph.add %l#0, %l#0 : tensor<f32>
    return %double : tensor<f32>
  }
  func.func @train_step(%xs: tensor<1x8x2xf32>) -> tensor<f32> {
    %w = graph.load @a.w : tensor<2x2xf32>
    %zero = graph.constant dense<0.0> : tensor<2x2xf32>
    %zeroB = graph.constant dense<0.0> : tensor<2xf32>
    graph.store %zero, @a.w.grad : tensor<2x2xf32>
    graph.store %zeroB, @a.b.grad : tensor<2xf32>
    %loss = graph.schedule microbatches 1 (%x = %xs) : (tensor<1x8x2xf32>) -> tensor<f32> {
      %y = graph.call @a.forward(%x, %w) instance "a" : (tensor<8x2xf32>, tensor<2x2xf32>) -> tensor<8x2xf32>
      %l:2 = graph.call @b.forward_backward(%y) instance "b" : (tensor<8x2xf32>) -> (tensor<f32>, tensor<8x2xf32>)
      %sum = graph.load @a.w.grad : tensor<2x2xf32>
      %sumB = graph.load @a.b.grad : tensor<2xf32>
      %d:3 = graph.call @a.backward(%l#1, %x, %sum, %sumB) instance "a" : (tensor<8x2xf32>, tensor<8x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> (tensor<8x2xf32>, tensor<2x2xf32>, tensor<2xf32>)
      graph.store %d#1, @a.w.grad : tensor<2x2xf32>
      graph.store %d#2, @a.b.grad : tensor<2xf32>
      graph.yield %l#0 : tensor<f32>
    }
    return %loss : tensor<f32>
  }
}

// -----

// A rank makes its stages' parameters ready while it waits for its first input; the first rank, for which the others wait, where it needs them.
#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 2 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
module attributes {graph.placed, graph.plan = #plan, graph.mesh = #graph.mesh<"pp" = 2>,
                   graph.pipeline = {stages = ["a", "b", "c", "d"], table = "0F0,2F0,2B0,0B0\n1F0,3F0,3B0,1B0\n"}} {
  graph.variable @a.w : tensor<2xf32> role parameter init #graph.init<"ones">
  graph.variable @b.w : tensor<2xf32> role parameter init #graph.init<"ones">
  graph.variable @c.w : tensor<2xf32> role parameter init #graph.init<"ones">
  graph.variable @d.w : tensor<2xf32> role parameter init #graph.init<"ones">
  func.func private @unshard(%w: tensor<2xf32> {graph.arg = "parameter", graph.name = "w"}) -> tensor<2xf32> attributes {graph.layer = {layer = "a", part = "unshard"}} {
    %e = graph.exp %w : tensor<2xf32>
    return %e : tensor<2xf32>
  }
  func.func private @forward(%x: tensor<2xf32> {graph.arg = "activation", graph.name = "x"}, %w: tensor<2xf32> {graph.arg = "parameter", graph.name = "w"})
      -> tensor<2xf32> attributes {graph.layer = {layer = "a", part = "forward"}} {
    %y = graph.mul %x, %w : tensor<2xf32>
    return %y : tensor<2xf32>
  }
  func.func private @loss(%x: tensor<2xf32> {graph.arg = "activation", graph.name = "x"}, %w: tensor<2xf32> {graph.arg = "parameter", graph.name = "w"})
      -> tensor<f32> attributes {graph.layer = {layer = "a", part = "forward"}} {
    %y = graph.mul %x, %w : tensor<2xf32>
    %l = graph.reduce sum %y dims [0] : tensor<2xf32> -> tensor<f32>
    return %l : tensor<f32>
  }
  // CHECK-LABEL: func.func @ready_step.0(
  // CHECK:         graph.call @unshard{{.*}} instance "a"
  // CHECK:         graph.call @forward{{.*}} instance "a"
  // CHECK:         graph.send
  // CHECK:         graph.call @unshard{{.*}} instance "c"
  // CHECK:         graph.call @forward{{.*}} instance "c"
  // CHECK-LABEL: func.func @ready_step.1(
  // CHECK:         graph.receive
  // CHECK:         graph.load @b.w
  // CHECK-NEXT:    graph.call @unshard{{.*}} instance "b"
  // CHECK-NEXT:    graph.load @d.w
  // CHECK-NEXT:    graph.call @unshard{{.*}} instance "d"
  // CHECK-NEXT:    graph.call @forward{{.*}} instance "b"
  func.func @ready_step(%xs: tensor<1x2xf32>) -> tensor<f32> {
    %a = graph.load @a.w : tensor<2xf32>
    %b = graph.load @b.w : tensor<2xf32>
    %c = graph.load @c.w : tensor<2xf32>
    %d = graph.load @d.w : tensor<2xf32>
    %wa = graph.call @unshard(%a) instance "a" : (tensor<2xf32>) -> tensor<2xf32>
    %wb = graph.call @unshard(%b) instance "b" : (tensor<2xf32>) -> tensor<2xf32>
    %wc = graph.call @unshard(%c) instance "c" : (tensor<2xf32>) -> tensor<2xf32>
    %wd = graph.call @unshard(%d) instance "d" : (tensor<2xf32>) -> tensor<2xf32>
    %loss = graph.schedule microbatches 1 (%x = %xs) : (tensor<1x2xf32>) -> tensor<f32> {
      %ya = graph.call @forward(%x, %wa) instance "a" : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      %yb = graph.call @forward(%ya, %wb) instance "b" : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      %yc = graph.call @forward(%yb, %wc) instance "c" : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      %l = graph.call @loss(%yc, %wd) instance "d" : (tensor<2xf32>, tensor<2xf32>) -> tensor<f32>
      graph.yield %l : tensor<f32>
    }
    return %loss : tensor<f32>
  }
}
