// Phase model that is odd on purpose: one sequence of 13 tokens, vocabulary 97, width 16, head size 24, feed-forward of 7. Two kinds of
// layers: `block` (norms of q and k, window, softcap, rotation of 6 of 24 elements, interleaved, Gemma's offset), called twice, of which the first call
// is recomputed, and `block_1` (squared ReLU, LayerNorm without bias). The activations' scale and a layer's second result test what other models lack.

module @odd attributes {
    graph.mesh = #graph.mesh<"dp" = 1>,
    graph.plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 13 : i64, recompute = "full",
                  recompute_layers = 1 : i64, per_microbatch_mean = false, clip = 1.0e-01 : f64, beta1 = 0.9 : f64,
                  beta2 = 0.95 : f64, epsilon = 1.0e-08 : f64, weight_decay = 0.0 : f64}} {
  graph.variable @embedding.weight : tensor<97x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 0 : i64, decay}
  graph.variable @layers.0.attention_norm.weight : tensor<16xf32> role parameter init #graph.init<"zeros">
  graph.variable @layers.0.attention.q.weight : tensor<48x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 1 : i64, decay}
  graph.variable @layers.0.attention.k.weight : tensor<24x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 2 : i64, decay}
  graph.variable @layers.0.attention.v.weight : tensor<24x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 3 : i64, decay}
  graph.variable @layers.0.attention.q_norm.weight : tensor<24xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.0.attention.k_norm.weight : tensor<24xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.0.attention.output.weight : tensor<16x48xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 4 : i64, decay}
  graph.variable @layers.0.feed_forward.gate.weight : tensor<7x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 5 : i64, decay}
  graph.variable @layers.0.feed_forward.up.weight : tensor<7x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 6 : i64, decay}
  graph.variable @layers.0.feed_forward.down.weight : tensor<16x7xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 7 : i64, decay}
  graph.variable @layers.1.attention_norm.weight : tensor<16xf32> role parameter init #graph.init<"zeros">
  graph.variable @layers.1.attention.q.weight : tensor<48x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 8 : i64, decay}
  graph.variable @layers.1.attention.k.weight : tensor<24x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 9 : i64, decay}
  graph.variable @layers.1.attention.v.weight : tensor<24x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 10 : i64, decay}
  graph.variable @layers.1.attention.q_norm.weight : tensor<24xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.1.attention.k_norm.weight : tensor<24xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.1.attention.output.weight : tensor<16x48xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 11 : i64, decay}
  graph.variable @layers.1.feed_forward.gate.weight : tensor<7x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 12 : i64, decay}
  graph.variable @layers.1.feed_forward.up.weight : tensor<7x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 13 : i64, decay}
  graph.variable @layers.1.feed_forward.down.weight : tensor<16x7xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 14 : i64, decay}
  graph.variable @layers.2.feed_forward_norm.weight : tensor<16xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.2.feed_forward.up.weight : tensor<7x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 15 : i64, decay}
  graph.variable @layers.2.feed_forward.down.weight : tensor<16x7xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 16 : i64, decay}
  graph.variable @head.norm.weight : tensor<16xf32> role parameter init #graph.init<"ones">
  graph.variable @head.weight : tensor<97x16xf32> role parameter init #graph.init<"normal", {std = 2.500000e-01 : f64}> {stream = 17 : i64, decay}
  graph.variable @rope.cos : tensor<13x3xf32> role constant init #graph.init<"rope_cos", {inv_freq = array<f64: 1.0, 0.1, 0.01>, scale = 1.0 : f64}>
  graph.variable @rope.sin : tensor<13x3xf32> role constant init #graph.init<"rope_sin", {inv_freq = array<f64: 1.0, 0.1, 0.01>, scale = 1.0 : f64}>

  func.func private @embedding.forward(%tokens: tensor<1x13xi32> {graph.arg = "activation", graph.name = "tokens"},
                                       %weight: tensor<97x16xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> tensor<1x13x16xf32> attributes {graph.layer = {layer = "embedding", part = "forward"}} {
    %e = graph.gather %weight, %tokens : (tensor<97x16xf32>, tensor<1x13xi32>) -> tensor<1x13x16xf32> loc("embedding")
    %c = graph.constant dense<4.0> : tensor<1x13x16xf32>
    %y = graph.mul %e, %c : tensor<1x13x16xf32> loc("scaled")
    return %y : tensor<1x13x16xf32>
  }

  func.func private @block.forward(%x: tensor<1x13x16xf32> {graph.arg = "activation", graph.name = "x"},
                                   %attention_norm.weight: tensor<16xf32> {graph.arg = "parameter", graph.name = "attention_norm.weight"},
                                   %q.weight: tensor<48x16xf32> {graph.arg = "parameter", graph.name = "attention.q.weight"},
                                   %k.weight: tensor<24x16xf32> {graph.arg = "parameter", graph.name = "attention.k.weight"},
                                   %v.weight: tensor<24x16xf32> {graph.arg = "parameter", graph.name = "attention.v.weight"},
                                   %q_norm.weight: tensor<24xf32> {graph.arg = "parameter", graph.name = "attention.q_norm.weight"},
                                   %k_norm.weight: tensor<24xf32> {graph.arg = "parameter", graph.name = "attention.k_norm.weight"},
                                   %output.weight: tensor<16x48xf32> {graph.arg = "parameter", graph.name = "attention.output.weight"},
                                   %gate.weight: tensor<7x16xf32> {graph.arg = "parameter", graph.name = "feed_forward.gate.weight"},
                                   %up.weight: tensor<7x16xf32> {graph.arg = "parameter", graph.name = "feed_forward.up.weight"},
                                   %down.weight: tensor<16x7xf32> {graph.arg = "parameter", graph.name = "feed_forward.down.weight"},
                                   %rope.cos: tensor<13x3xf32> {graph.arg = "constant", graph.name = "rope.cos"},
                                   %rope.sin: tensor<13x3xf32> {graph.arg = "constant", graph.name = "rope.sin"})
      -> (tensor<1x13x16xf32>, tensor<1x13xf32>) attributes {graph.layer = {layer = "block", part = "forward"}} {
    %n, %rstd = graph.rms_norm %x, %attention_norm.weight eps 1.000000e-06 {offset = 1.000000e+00 : f64} : (tensor<1x13x16xf32>, tensor<16xf32>) -> (tensor<1x13x16xf32>, tensor<1x13xf32>) loc("attention_norm")
    %q = graph.matmul "bsi,oi->bso" %n, %q.weight : (tensor<1x13x16xf32>, tensor<48x16xf32>) -> tensor<1x13x48xf32> loc("attention.q")
    %qh = graph.reshape %q : tensor<1x13x48xf32> -> tensor<1x13x2x24xf32> loc("attention.q.heads")
    %k = graph.matmul "bsi,oi->bso" %n, %k.weight : (tensor<1x13x16xf32>, tensor<24x16xf32>) -> tensor<1x13x24xf32> loc("attention.k")
    %kh = graph.reshape %k : tensor<1x13x24xf32> -> tensor<1x13x1x24xf32> loc("attention.k.heads")
    %v = graph.matmul "bsi,oi->bso" %n, %v.weight : (tensor<1x13x16xf32>, tensor<24x16xf32>) -> tensor<1x13x24xf32> loc("attention.v")
    %vh = graph.reshape %v : tensor<1x13x24xf32> -> tensor<1x13x1x24xf32> loc("attention.v.heads")
    %qn, %q_rstd = graph.rms_norm %qh, %q_norm.weight eps 1.000000e-06 : (tensor<1x13x2x24xf32>, tensor<24xf32>) -> (tensor<1x13x2x24xf32>, tensor<1x13x2xf32>) loc("attention.q_norm")
    %kn, %k_rstd = graph.rms_norm %kh, %k_norm.weight eps 1.000000e-06 : (tensor<1x13x1x24xf32>, tensor<24xf32>) -> (tensor<1x13x1x24xf32>, tensor<1x13x1xf32>) loc("attention.k_norm")
    %qr = graph.rope interleaved %qn, %rope.cos, %rope.sin : tensor<1x13x2x24xf32>, tensor<13x3xf32> loc("attention.q.rotated")
    %kr = graph.rope interleaved %kn, %rope.cos, %rope.sin : tensor<1x13x1x24xf32>, tensor<13x3xf32> loc("attention.k.rotated")
    %a, %lse = graph.attention %qr, %kr, %vh scale 2.000000e-01 {causal, window = 5 : i64, softcap = 3.000000e+00 : f64} : tensor<1x13x2x24xf32>, tensor<1x13x1x24xf32> -> tensor<1x2x13xf32> loc("attention")
    %am = graph.reshape %a : tensor<1x13x2x24xf32> -> tensor<1x13x48xf32> loc("attention.merged")
    %o = graph.matmul "bsi,oi->bso" %am, %output.weight : (tensor<1x13x48xf32>, tensor<16x48xf32>) -> tensor<1x13x16xf32> loc("attention.output")
    %x1 = graph.add %x, %o : tensor<1x13x16xf32> loc("attention.residual")
    %g = graph.matmul "bsi,oi->bso" %x1, %gate.weight : (tensor<1x13x16xf32>, tensor<7x16xf32>) -> tensor<1x13x7xf32> loc("feed_forward.gate")
    %u = graph.matmul "bsi,oi->bso" %x1, %up.weight : (tensor<1x13x16xf32>, tensor<7x16xf32>) -> tensor<1x13x7xf32> loc("feed_forward.up")
    %h = graph.glu quick_gelu %g, %u : tensor<1x13x7xf32> loc("feed_forward.hidden")
    %d = graph.matmul "bsi,oi->bso" %h, %down.weight : (tensor<1x13x7xf32>, tensor<16x7xf32>) -> tensor<1x13x16xf32> loc("feed_forward.down")
    %x2 = graph.add %x1, %d : tensor<1x13x16xf32> loc("feed_forward.residual")
    return %x2, %rstd : tensor<1x13x16xf32>, tensor<1x13xf32>
  }

  func.func private @block_1.forward(%x: tensor<1x13x16xf32> {graph.arg = "activation", graph.name = "x"},
                                     %feed_forward_norm.weight: tensor<16xf32> {graph.arg = "parameter", graph.name = "feed_forward_norm.weight"},
                                     %up.weight: tensor<7x16xf32> {graph.arg = "parameter", graph.name = "feed_forward.up.weight"},
                                     %down.weight: tensor<16x7xf32> {graph.arg = "parameter", graph.name = "feed_forward.down.weight"})
      -> tensor<1x13x16xf32> attributes {graph.layer = {layer = "block_1", part = "forward"}} {
    %n, %mean, %rstd = graph.layer_norm %x, %feed_forward_norm.weight eps 1.000000e-05 : (tensor<1x13x16xf32>, tensor<16xf32>) -> (tensor<1x13x16xf32>, tensor<1x13xf32>, tensor<1x13xf32>) loc("feed_forward_norm")
    %u = graph.matmul "bsi,oi->bso" %n, %up.weight : (tensor<1x13x16xf32>, tensor<7x16xf32>) -> tensor<1x13x7xf32> loc("feed_forward.up")
    %h = graph.activation squared_relu %u : tensor<1x13x7xf32> loc("feed_forward.hidden")
    %d = graph.matmul "bsi,oi->bso" %h, %down.weight : (tensor<1x13x7xf32>, tensor<16x7xf32>) -> tensor<1x13x16xf32> loc("feed_forward.down")
    %x1 = graph.add %x, %d : tensor<1x13x16xf32> loc("feed_forward.residual")
    return %x1 : tensor<1x13x16xf32>
  }

  func.func private @head.forward(%x: tensor<1x13x16xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<1x13xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %norm.weight: tensor<16xf32> {graph.arg = "parameter", graph.name = "norm.weight"},
                                  %weight: tensor<97x16xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) attributes {graph.layer = {layer = "head", part = "forward"}} {
    %flat = graph.reshape %x : tensor<1x13x16xf32> -> tensor<13x16xf32> loc("x.flat")
    %n, %rstd = graph.rms_norm %flat, %norm.weight eps 1.000000e-06 : (tensor<13x16xf32>, tensor<16xf32>) -> (tensor<13x16xf32>, tensor<13xf32>) loc("norm")
    %l = graph.reshape %labels : tensor<1x13xi32> -> tensor<13xi32> loc("labels.flat")
    %loss, %valid, %lse = graph.cross_entropy %n, %weight, %l vocabulary 97 : (tensor<13x16xf32>, tensor<97x16xf32>, tensor<13xi32>) -> (tensor<f32>, tensor<f32>, tensor<13xf32>) loc("loss")
    return %loss, %valid : tensor<f32>, tensor<f32>
  }

  func.func @forward(%tokens: tensor<1x13xi32> {graph.name = "tokens"}, %labels: tensor<1x13xi32> {graph.name = "labels"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %cos = graph.load @rope.cos : tensor<13x3xf32>
    %sin = graph.load @rope.sin : tensor<13x3xf32>
    %w0 = graph.load @embedding.weight : tensor<97x16xf32>
    %x0 = graph.call @embedding.forward(%tokens, %w0) instance "embedding" : (tensor<1x13xi32>, tensor<97x16xf32>) -> tensor<1x13x16xf32>
    %w1 = graph.load @layers.0.attention_norm.weight : tensor<16xf32>
    %w2 = graph.load @layers.0.attention.q.weight : tensor<48x16xf32>
    %w3 = graph.load @layers.0.attention.k.weight : tensor<24x16xf32>
    %w4 = graph.load @layers.0.attention.v.weight : tensor<24x16xf32>
    %w5 = graph.load @layers.0.attention.q_norm.weight : tensor<24xf32>
    %w6 = graph.load @layers.0.attention.k_norm.weight : tensor<24xf32>
    %w7 = graph.load @layers.0.attention.output.weight : tensor<16x48xf32>
    %w8 = graph.load @layers.0.feed_forward.gate.weight : tensor<7x16xf32>
    %w9 = graph.load @layers.0.feed_forward.up.weight : tensor<7x16xf32>
    %w10 = graph.load @layers.0.feed_forward.down.weight : tensor<16x7xf32>
    %x1, %r1 = graph.call @block.forward(%x0, %w1, %w2, %w3, %w4, %w5, %w6, %w7, %w8, %w9, %w10, %cos, %sin) instance "layers.0" : (tensor<1x13x16xf32>, tensor<16xf32>, tensor<48x16xf32>, tensor<24x16xf32>, tensor<24x16xf32>, tensor<24xf32>, tensor<24xf32>, tensor<16x48xf32>, tensor<7x16xf32>, tensor<7x16xf32>, tensor<16x7xf32>, tensor<13x3xf32>, tensor<13x3xf32>) -> (tensor<1x13x16xf32>, tensor<1x13xf32>)
    %w11 = graph.load @layers.1.attention_norm.weight : tensor<16xf32>
    %w12 = graph.load @layers.1.attention.q.weight : tensor<48x16xf32>
    %w13 = graph.load @layers.1.attention.k.weight : tensor<24x16xf32>
    %w14 = graph.load @layers.1.attention.v.weight : tensor<24x16xf32>
    %w15 = graph.load @layers.1.attention.q_norm.weight : tensor<24xf32>
    %w16 = graph.load @layers.1.attention.k_norm.weight : tensor<24xf32>
    %w17 = graph.load @layers.1.attention.output.weight : tensor<16x48xf32>
    %w18 = graph.load @layers.1.feed_forward.gate.weight : tensor<7x16xf32>
    %w19 = graph.load @layers.1.feed_forward.up.weight : tensor<7x16xf32>
    %w20 = graph.load @layers.1.feed_forward.down.weight : tensor<16x7xf32>
    %x2, %r2 = graph.call @block.forward(%x1, %w11, %w12, %w13, %w14, %w15, %w16, %w17, %w18, %w19, %w20, %cos, %sin) instance "layers.1" : (tensor<1x13x16xf32>, tensor<16xf32>, tensor<48x16xf32>, tensor<24x16xf32>, tensor<24x16xf32>, tensor<24xf32>, tensor<24xf32>, tensor<16x48xf32>, tensor<7x16xf32>, tensor<7x16xf32>, tensor<16x7xf32>, tensor<13x3xf32>, tensor<13x3xf32>) -> (tensor<1x13x16xf32>, tensor<1x13xf32>)
    %w21 = graph.load @layers.2.feed_forward_norm.weight : tensor<16xf32>
    %w22 = graph.load @layers.2.feed_forward.up.weight : tensor<7x16xf32>
    %w23 = graph.load @layers.2.feed_forward.down.weight : tensor<16x7xf32>
    %x3 = graph.call @block_1.forward(%x2, %w21, %w22, %w23) instance "layers.2" : (tensor<1x13x16xf32>, tensor<16xf32>, tensor<7x16xf32>, tensor<16x7xf32>) -> tensor<1x13x16xf32>
    %w24 = graph.load @head.norm.weight : tensor<16xf32>
    %w25 = graph.load @head.weight : tensor<97x16xf32>
    %loss, %valid = graph.call @head.forward(%x3, %labels, %w24, %w25) instance "head" : (tensor<1x13x16xf32>, tensor<1x13xi32>, tensor<16xf32>, tensor<97x16xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}
