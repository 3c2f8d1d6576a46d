// Phase model of a Llama with two layers: 2 sequences of 5 tokens, vocabulary 11, width 8, 2 query heads that share one group, SwiGLU of
// 12, f32, untied. Three microbatches, clipping.

module @tiny_llama attributes {
    graph.mesh = #graph.mesh<"dp" = 1, "tp" = 1>,
    graph.plan = {microbatches = 3 : i64, micro_batch_size = 2 : i64, sequence_length = 5 : i64, recompute = "none",
                  recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 1.0 : f64, beta1 = 0.9 : f64,
                  beta2 = 0.95 : f64, epsilon = 1.0e-08 : f64, weight_decay = 0.1 : f64}} {
  graph.variable @embedding.weight : tensor<11x8xf32> role parameter init #graph.init<"normal", {std = 5.000000e-01 : f64}> {stream = 0 : i64, decay}
  graph.variable @layers.0.attention_norm.weight : tensor<8xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.0.attention.q.weight : tensor<8x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 1 : i64, decay}
  graph.variable @layers.0.attention.k.weight : tensor<4x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 2 : i64, decay}
  graph.variable @layers.0.attention.v.weight : tensor<4x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 3 : i64, decay}
  graph.variable @layers.0.attention.output.weight : tensor<8x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 4 : i64, decay}
  graph.variable @layers.0.feed_forward_norm.weight : tensor<8xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.0.feed_forward.gate.weight : tensor<12x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 5 : i64, decay}
  graph.variable @layers.0.feed_forward.up.weight : tensor<12x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 6 : i64, decay}
  graph.variable @layers.0.feed_forward.down.weight : tensor<8x12xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 7 : i64, decay}
  graph.variable @layers.1.attention_norm.weight : tensor<8xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.1.attention.q.weight : tensor<8x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 8 : i64, decay}
  graph.variable @layers.1.attention.k.weight : tensor<4x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 9 : i64, decay}
  graph.variable @layers.1.attention.v.weight : tensor<4x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 10 : i64, decay}
  graph.variable @layers.1.attention.output.weight : tensor<8x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 11 : i64, decay}
  graph.variable @layers.1.feed_forward_norm.weight : tensor<8xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.1.feed_forward.gate.weight : tensor<12x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 12 : i64, decay}
  graph.variable @layers.1.feed_forward.up.weight : tensor<12x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 13 : i64, decay}
  graph.variable @layers.1.feed_forward.down.weight : tensor<8x12xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 14 : i64, decay}
  graph.variable @head.norm.weight : tensor<8xf32> role parameter init #graph.init<"ones">
  graph.variable @head.weight : tensor<11x8xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 15 : i64, decay}
  graph.variable @rope.cos : tensor<5x2xf32> role constant init #graph.init<"rope_cos", {inv_freq = array<f64: 1.0, 0.01>, scale = 1.0 : f64}>
  graph.variable @rope.sin : tensor<5x2xf32> role constant init #graph.init<"rope_sin", {inv_freq = array<f64: 1.0, 0.01>, scale = 1.0 : f64}>

  func.func private @embedding.forward(%tokens: tensor<2x5xi32> {graph.arg = "activation", graph.name = "tokens"},
                                       %weight: tensor<11x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> tensor<2x5x8xf32> attributes {graph.layer = {layer = "embedding", part = "forward"}} {
    %0 = graph.gather %weight, %tokens : (tensor<11x8xf32>, tensor<2x5xi32>) -> tensor<2x5x8xf32>
    return %0 : tensor<2x5x8xf32>
  }

  func.func private @block.forward(%x: tensor<2x5x8xf32> {graph.arg = "activation", graph.name = "x"},
                                   %attention_norm.weight: tensor<8xf32> {graph.arg = "parameter", graph.name = "attention_norm.weight"},
                                   %q.weight: tensor<8x8xf32> {graph.arg = "parameter", graph.name = "attention.q.weight"},
                                   %k.weight: tensor<4x8xf32> {graph.arg = "parameter", graph.name = "attention.k.weight"},
                                   %v.weight: tensor<4x8xf32> {graph.arg = "parameter", graph.name = "attention.v.weight"},
                                   %output.weight: tensor<8x8xf32> {graph.arg = "parameter", graph.name = "attention.output.weight"},
                                   %feed_forward_norm.weight: tensor<8xf32> {graph.arg = "parameter", graph.name = "feed_forward_norm.weight"},
                                   %gate.weight: tensor<12x8xf32> {graph.arg = "parameter", graph.name = "feed_forward.gate.weight"},
                                   %up.weight: tensor<12x8xf32> {graph.arg = "parameter", graph.name = "feed_forward.up.weight"},
                                   %down.weight: tensor<8x12xf32> {graph.arg = "parameter", graph.name = "feed_forward.down.weight"},
                                   %cos: tensor<5x2xf32> {graph.arg = "constant", graph.name = "rope.cos"},
                                   %sin: tensor<5x2xf32> {graph.arg = "constant", graph.name = "rope.sin"})
      -> tensor<2x5x8xf32> attributes {graph.layer = {layer = "block", part = "forward"}} {
    %n, %n_rstd = graph.rms_norm %x, %attention_norm.weight eps 1.000000e-05 : (tensor<2x5x8xf32>, tensor<8xf32>) -> (tensor<2x5x8xf32>, tensor<2x5xf32>) loc("attention_norm")
    %q = graph.matmul "bsi,oi->bso" %n, %q.weight : (tensor<2x5x8xf32>, tensor<8x8xf32>) -> tensor<2x5x8xf32> loc("attention.q")
    %qh = graph.reshape %q : tensor<2x5x8xf32> -> tensor<2x5x2x4xf32> loc("attention.q.heads")
    %k = graph.matmul "bsi,oi->bso" %n, %k.weight : (tensor<2x5x8xf32>, tensor<4x8xf32>) -> tensor<2x5x4xf32> loc("attention.k")
    %kh = graph.reshape %k : tensor<2x5x4xf32> -> tensor<2x5x1x4xf32> loc("attention.k.heads")
    %v = graph.matmul "bsi,oi->bso" %n, %v.weight : (tensor<2x5x8xf32>, tensor<4x8xf32>) -> tensor<2x5x4xf32> loc("attention.v")
    %vh = graph.reshape %v : tensor<2x5x4xf32> -> tensor<2x5x1x4xf32> loc("attention.v.heads")
    %qr = graph.rope half %qh, %cos, %sin : tensor<2x5x2x4xf32>, tensor<5x2xf32> loc("attention.q.rotated")
    %kr = graph.rope half %kh, %cos, %sin : tensor<2x5x1x4xf32>, tensor<5x2xf32> loc("attention.k.rotated")
    %a, %lse = graph.attention %qr, %kr, %vh scale 5.000000e-01 {causal} : tensor<2x5x2x4xf32>, tensor<2x5x1x4xf32> -> tensor<2x2x5xf32> loc("attention")
    %am = graph.reshape %a : tensor<2x5x2x4xf32> -> tensor<2x5x8xf32> loc("attention.merged")
    %o = graph.matmul "bsi,oi->bso" %am, %output.weight : (tensor<2x5x8xf32>, tensor<8x8xf32>) -> tensor<2x5x8xf32> loc("attention.output")
    %x1 = graph.add %x, %o : tensor<2x5x8xf32> loc("attention.residual")
    %m, %m_rstd = graph.rms_norm %x1, %feed_forward_norm.weight eps 1.000000e-05 : (tensor<2x5x8xf32>, tensor<8xf32>) -> (tensor<2x5x8xf32>, tensor<2x5xf32>) loc("feed_forward_norm")
    %g = graph.matmul "bsi,oi->bso" %m, %gate.weight : (tensor<2x5x8xf32>, tensor<12x8xf32>) -> tensor<2x5x12xf32> loc("feed_forward.gate")
    %u = graph.matmul "bsi,oi->bso" %m, %up.weight : (tensor<2x5x8xf32>, tensor<12x8xf32>) -> tensor<2x5x12xf32> loc("feed_forward.up")
    %h = graph.glu silu %g, %u : tensor<2x5x12xf32> loc("feed_forward.hidden")
    %d = graph.matmul "bsi,oi->bso" %h, %down.weight : (tensor<2x5x12xf32>, tensor<8x12xf32>) -> tensor<2x5x8xf32> loc("feed_forward.down")
    %x2 = graph.add %x1, %d : tensor<2x5x8xf32> loc("feed_forward.residual")
    return %x2 : tensor<2x5x8xf32>
  }

  func.func private @head.forward(%x: tensor<2x5x8xf32> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<2x5xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %norm.weight: tensor<8xf32> {graph.arg = "parameter", graph.name = "norm.weight"},
                                  %weight: tensor<11x8xf32> {graph.arg = "parameter", graph.name = "weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %flat = graph.reshape %x : tensor<2x5x8xf32> -> tensor<10x8xf32> loc("x.flat")
    %n, %rstd = graph.rms_norm %flat, %norm.weight eps 1.000000e-05 : (tensor<10x8xf32>, tensor<8xf32>) -> (tensor<10x8xf32>, tensor<10xf32>) loc("norm")
    %l = graph.reshape %labels : tensor<2x5xi32> -> tensor<10xi32> loc("labels.flat")
    %loss, %valid, %lse = graph.cross_entropy %n, %weight, %l vocabulary 11 : (tensor<10x8xf32>, tensor<11x8xf32>, tensor<10xi32>) -> (tensor<f32>, tensor<f32>, tensor<10xf32>) loc("loss")
    return %loss, %valid : tensor<f32>, tensor<f32>
  }

  func.func @forward(%tokens: tensor<2x5xi32> {graph.name = "tokens"}, %labels: tensor<2x5xi32> {graph.name = "labels"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %cos = graph.load @rope.cos : tensor<5x2xf32>
    %sin = graph.load @rope.sin : tensor<5x2xf32>
    %e = graph.load @embedding.weight : tensor<11x8xf32>
    %x0 = graph.call @embedding.forward(%tokens, %e) instance "embedding" : (tensor<2x5xi32>, tensor<11x8xf32>) -> tensor<2x5x8xf32>
    %n0 = graph.load @layers.0.attention_norm.weight : tensor<8xf32>
    %q0 = graph.load @layers.0.attention.q.weight : tensor<8x8xf32>
    %k0 = graph.load @layers.0.attention.k.weight : tensor<4x8xf32>
    %v0 = graph.load @layers.0.attention.v.weight : tensor<4x8xf32>
    %o0 = graph.load @layers.0.attention.output.weight : tensor<8x8xf32>
    %m0 = graph.load @layers.0.feed_forward_norm.weight : tensor<8xf32>
    %g0 = graph.load @layers.0.feed_forward.gate.weight : tensor<12x8xf32>
    %u0 = graph.load @layers.0.feed_forward.up.weight : tensor<12x8xf32>
    %d0 = graph.load @layers.0.feed_forward.down.weight : tensor<8x12xf32>
    %x1 = graph.call @block.forward(%x0, %n0, %q0, %k0, %v0, %o0, %m0, %g0, %u0, %d0, %cos, %sin) instance "layers.0" : (tensor<2x5x8xf32>, tensor<8xf32>, tensor<8x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<8x8xf32>, tensor<8xf32>, tensor<12x8xf32>, tensor<12x8xf32>, tensor<8x12xf32>, tensor<5x2xf32>, tensor<5x2xf32>) -> tensor<2x5x8xf32>
    %n1 = graph.load @layers.1.attention_norm.weight : tensor<8xf32>
    %q1 = graph.load @layers.1.attention.q.weight : tensor<8x8xf32>
    %k1 = graph.load @layers.1.attention.k.weight : tensor<4x8xf32>
    %v1 = graph.load @layers.1.attention.v.weight : tensor<4x8xf32>
    %o1 = graph.load @layers.1.attention.output.weight : tensor<8x8xf32>
    %m1 = graph.load @layers.1.feed_forward_norm.weight : tensor<8xf32>
    %g1 = graph.load @layers.1.feed_forward.gate.weight : tensor<12x8xf32>
    %u1 = graph.load @layers.1.feed_forward.up.weight : tensor<12x8xf32>
    %d1 = graph.load @layers.1.feed_forward.down.weight : tensor<8x12xf32>
    %x2 = graph.call @block.forward(%x1, %n1, %q1, %k1, %v1, %o1, %m1, %g1, %u1, %d1, %cos, %sin) instance "layers.1" : (tensor<2x5x8xf32>, tensor<8xf32>, tensor<8x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<8x8xf32>, tensor<8xf32>, tensor<12x8xf32>, tensor<12x8xf32>, tensor<8x12xf32>, tensor<5x2xf32>, tensor<5x2xf32>) -> tensor<2x5x8xf32>
    %hn = graph.load @head.norm.weight : tensor<8xf32>
    %hw = graph.load @head.weight : tensor<11x8xf32>
    %loss, %valid = graph.call @head.forward(%x2, %labels, %hn, %hw) instance "head" : (tensor<2x5x8xf32>, tensor<2x5xi32>, tensor<8xf32>, tensor<11x8xf32>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}
