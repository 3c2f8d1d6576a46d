// Phase model of a GPT-2 with one layer in bf16 mixed precision: 2 sequences of 4 tokens, vocabulary 10 of 12 rows, width 6, 2 heads,
// learned positions, LayerNorm, biases, tied head. Two microbatches, full recompute, the mean of microbatch means.

module @tiny_gpt2 attributes {
    graph.mesh = #graph.mesh<"dp" = 1>,
    graph.plan = {microbatches = 2 : i64, micro_batch_size = 2 : i64, sequence_length = 4 : i64, recompute = "full",
                  recompute_layers = 0 : i64, per_microbatch_mean = true, clip = 0.0 : f64, beta1 = 0.9 : f64,
                  beta2 = 0.95 : f64, epsilon = 1.0e-08 : f64, weight_decay = 0.1 : f64}} {
  graph.variable @embedding.weight : tensor<12x6xf32> role parameter init #graph.init<"normal", {std = 5.000000e-01 : f64}> {stream = 0 : i64, decay}
  graph.variable @embedding.position.weight : tensor<7x6xf32> role parameter init #graph.init<"normal", {std = 5.000000e-01 : f64}> {stream = 1 : i64, decay}
  graph.variable @layers.0.attention_norm.weight : tensor<6xf32> role parameter init #graph.init<"ones">
  graph.variable @layers.0.attention_norm.bias : tensor<6xf32> role parameter init #graph.init<"zeros">
  graph.variable @layers.0.attention.q.weight : tensor<6x6xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 2 : i64, decay}
  graph.variable @layers.0.attention.q.bias : tensor<6xf32> role parameter init #graph.init<"zeros">
  graph.variable @layers.0.attention.k.weight : tensor<6x6xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 3 : i64, decay}
  graph.variable @layers.0.attention.v.weight : tensor<6x6xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 4 : i64, decay}
  graph.variable @layers.0.feed_forward.up.weight : tensor<9x6xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 5 : i64, decay}
  graph.variable @layers.0.feed_forward.up.bias : tensor<9xf32> role parameter init #graph.init<"zeros">
  graph.variable @layers.0.feed_forward.down.weight : tensor<6x9xf32> role parameter init #graph.init<"normal", {std = 3.000000e-01 : f64}> {stream = 6 : i64, decay}
  graph.variable @head.norm.weight : tensor<6xf32> role parameter init #graph.init<"ones">
  graph.variable @head.norm.bias : tensor<6xf32> role parameter init #graph.init<"zeros">

  func.func private @embedding.unshard(%weight: tensor<12x6xf32> {graph.arg = "parameter", graph.name = "weight"},
                                       %position: tensor<7x6xf32> {graph.arg = "parameter", graph.name = "position.weight"})
      -> (tensor<12x6xbf16>, tensor<7x6xbf16>) attributes {graph.layer = {layer = "embedding", part = "unshard"}} {
    %0 = graph.convert %weight : tensor<12x6xf32> -> tensor<12x6xbf16>
    %1 = graph.convert %position : tensor<7x6xf32> -> tensor<7x6xbf16>
    return %0, %1 : tensor<12x6xbf16>, tensor<7x6xbf16>
  }

  func.func private @embedding.forward(%tokens: tensor<2x4xi32> {graph.arg = "activation", graph.name = "tokens"},
                                       %weight: tensor<12x6xbf16> {graph.arg = "parameter", graph.name = "weight"},
                                       %position: tensor<7x6xbf16> {graph.arg = "parameter", graph.name = "position.weight"})
      -> tensor<2x4x6xbf16> attributes {graph.layer = {layer = "embedding", part = "forward"}} {
    %0 = graph.gather %weight, %tokens : (tensor<12x6xbf16>, tensor<2x4xi32>) -> tensor<2x4x6xbf16> loc("embedding")
    %1 = graph.slice %position at [0, 0] : tensor<7x6xbf16> -> tensor<4x6xbf16> loc("positions")
    %2 = graph.broadcast %1 dims [1, 2] : tensor<4x6xbf16> -> tensor<2x4x6xbf16> loc("positions")
    %3 = graph.add %0, %2 : tensor<2x4x6xbf16> loc("embedding.positioned")
    return %3 : tensor<2x4x6xbf16>
  }

  func.func private @block.unshard(%q.weight: tensor<6x6xf32> {graph.arg = "parameter", graph.name = "attention.q.weight"},
                                   %q.bias: tensor<6xf32> {graph.arg = "parameter", graph.name = "attention.q.bias"},
                                   %k.weight: tensor<6x6xf32> {graph.arg = "parameter", graph.name = "attention.k.weight"},
                                   %v.weight: tensor<6x6xf32> {graph.arg = "parameter", graph.name = "attention.v.weight"},
                                   %up.weight: tensor<9x6xf32> {graph.arg = "parameter", graph.name = "feed_forward.up.weight"},
                                   %up.bias: tensor<9xf32> {graph.arg = "parameter", graph.name = "feed_forward.up.bias"},
                                   %down.weight: tensor<6x9xf32> {graph.arg = "parameter", graph.name = "feed_forward.down.weight"})
      -> (tensor<6x6xbf16>, tensor<6xbf16>, tensor<6x6xbf16>, tensor<6x6xbf16>, tensor<9x6xbf16>, tensor<9xbf16>, tensor<6x9xbf16>)
      attributes {graph.layer = {layer = "block", part = "unshard"}} {
    %0 = graph.convert %q.weight : tensor<6x6xf32> -> tensor<6x6xbf16>
    %1 = graph.convert %q.bias : tensor<6xf32> -> tensor<6xbf16>
    %2 = graph.convert %k.weight : tensor<6x6xf32> -> tensor<6x6xbf16>
    %3 = graph.convert %v.weight : tensor<6x6xf32> -> tensor<6x6xbf16>
    %4 = graph.convert %up.weight : tensor<9x6xf32> -> tensor<9x6xbf16>
    %5 = graph.convert %up.bias : tensor<9xf32> -> tensor<9xbf16>
    %6 = graph.convert %down.weight : tensor<6x9xf32> -> tensor<6x9xbf16>
    return %0, %1, %2, %3, %4, %5, %6 : tensor<6x6xbf16>, tensor<6xbf16>, tensor<6x6xbf16>, tensor<6x6xbf16>, tensor<9x6xbf16>, tensor<9xbf16>, tensor<6x9xbf16>
  }

  func.func private @block.forward(%x: tensor<2x4x6xbf16> {graph.arg = "activation", graph.name = "x"},
                                   %norm.weight: tensor<6xf32> {graph.arg = "parameter", graph.name = "attention_norm.weight"},
                                   %norm.bias: tensor<6xf32> {graph.arg = "parameter", graph.name = "attention_norm.bias"},
                                   %q.weight: tensor<6x6xbf16> {graph.arg = "parameter", graph.name = "attention.q.weight"},
                                   %q.bias: tensor<6xbf16> {graph.arg = "parameter", graph.name = "attention.q.bias"},
                                   %k.weight: tensor<6x6xbf16> {graph.arg = "parameter", graph.name = "attention.k.weight"},
                                   %v.weight: tensor<6x6xbf16> {graph.arg = "parameter", graph.name = "attention.v.weight"},
                                   %up.weight: tensor<9x6xbf16> {graph.arg = "parameter", graph.name = "feed_forward.up.weight"},
                                   %up.bias: tensor<9xbf16> {graph.arg = "parameter", graph.name = "feed_forward.up.bias"},
                                   %down.weight: tensor<6x9xbf16> {graph.arg = "parameter", graph.name = "feed_forward.down.weight"})
      -> tensor<2x4x6xbf16> attributes {graph.layer = {layer = "block", part = "forward"}} {
    %n, %mean, %rstd = graph.layer_norm %x, %norm.weight, %norm.bias eps 1.000000e-05 : (tensor<2x4x6xbf16>, tensor<6xf32>, tensor<6xf32>) -> (tensor<2x4x6xbf16>, tensor<2x4xf32>, tensor<2x4xf32>) loc("attention_norm")
    %q = graph.matmul "bsi,oi->bso" %n, %q.weight : (tensor<2x4x6xbf16>, tensor<6x6xbf16>) -> tensor<2x4x6xbf16> loc("attention.q")
    %qw = graph.broadcast %q.bias dims [2] : tensor<6xbf16> -> tensor<2x4x6xbf16> loc("attention.q.biased")
    %qb = graph.add %q, %qw : tensor<2x4x6xbf16> loc("attention.q.biased")
    %qh = graph.reshape %qb : tensor<2x4x6xbf16> -> tensor<2x4x2x3xbf16> loc("attention.q.heads")
    %k = graph.matmul "bsi,oi->bso" %n, %k.weight : (tensor<2x4x6xbf16>, tensor<6x6xbf16>) -> tensor<2x4x6xbf16> loc("attention.k")
    %kh = graph.reshape %k : tensor<2x4x6xbf16> -> tensor<2x4x2x3xbf16> loc("attention.k.heads")
    %v = graph.matmul "bsi,oi->bso" %n, %v.weight : (tensor<2x4x6xbf16>, tensor<6x6xbf16>) -> tensor<2x4x6xbf16> loc("attention.v")
    %vh = graph.reshape %v : tensor<2x4x6xbf16> -> tensor<2x4x2x3xbf16> loc("attention.v.heads")
    %a, %lse = graph.attention %qh, %kh, %vh scale 5.000000e-01 {causal} : tensor<2x4x2x3xbf16>, tensor<2x4x2x3xbf16> -> tensor<2x2x4xf32> loc("attention")
    %am = graph.reshape %a : tensor<2x4x2x3xbf16> -> tensor<2x4x6xbf16> loc("attention.merged")
    %x1 = graph.add %x, %am : tensor<2x4x6xbf16> loc("attention.residual")
    %u = graph.matmul "bsi,oi->bso" %x1, %up.weight : (tensor<2x4x6xbf16>, tensor<9x6xbf16>) -> tensor<2x4x9xbf16> loc("feed_forward.up")
    %uw = graph.broadcast %up.bias dims [2] : tensor<9xbf16> -> tensor<2x4x9xbf16> loc("feed_forward.up.biased")
    %ub = graph.add %u, %uw : tensor<2x4x9xbf16> loc("feed_forward.up.biased")
    %h = graph.activation gelu_tanh %ub : tensor<2x4x9xbf16> loc("feed_forward.hidden")
    %d = graph.matmul "bsi,oi->bso" %h, %down.weight : (tensor<2x4x9xbf16>, tensor<6x9xbf16>) -> tensor<2x4x6xbf16> loc("feed_forward.down")
    %x2 = graph.add %x1, %d : tensor<2x4x6xbf16> loc("feed_forward.residual")
    return %x2 : tensor<2x4x6xbf16>
  }

  func.func private @head.forward(%x: tensor<2x4x6xbf16> {graph.arg = "activation", graph.name = "x"},
                                  %labels: tensor<2x4xi32> {graph.arg = "activation", graph.name = "labels"},
                                  %norm.weight: tensor<6xf32> {graph.arg = "parameter", graph.name = "norm.weight"},
                                  %norm.bias: tensor<6xf32> {graph.arg = "parameter", graph.name = "norm.bias"},
                                  %weight: tensor<12x6xbf16> {graph.arg = "parameter", graph.name = "embedding.weight"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"})
      attributes {graph.layer = {layer = "head", part = "forward"}} {
    %flat = graph.reshape %x : tensor<2x4x6xbf16> -> tensor<8x6xbf16> loc("x.flat")
    %n, %mean, %rstd = graph.layer_norm %flat, %norm.weight, %norm.bias eps 1.000000e-05 : (tensor<8x6xbf16>, tensor<6xf32>, tensor<6xf32>) -> (tensor<8x6xbf16>, tensor<8xf32>, tensor<8xf32>) loc("norm")
    %l = graph.reshape %labels : tensor<2x4xi32> -> tensor<8xi32> loc("labels.flat")
    %loss, %valid, %lse = graph.cross_entropy %n, %weight, %l vocabulary 10 : (tensor<8x6xbf16>, tensor<12x6xbf16>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>) loc("loss")
    return %loss, %valid : tensor<f32>, tensor<f32>
  }

  func.func @forward(%tokens: tensor<2x4xi32> {graph.name = "tokens"}, %labels: tensor<2x4xi32> {graph.name = "labels"})
      -> (tensor<f32> {graph.name = "loss_sum"}, tensor<f32> {graph.name = "valid_tokens"}) {
    %ew = graph.load @embedding.weight : tensor<12x6xf32>
    %ep = graph.load @embedding.position.weight : tensor<7x6xf32>
    %e:2 = graph.call @embedding.unshard(%ew, %ep) instance "embedding" : (tensor<12x6xf32>, tensor<7x6xf32>) -> (tensor<12x6xbf16>, tensor<7x6xbf16>)
    %x0 = graph.call @embedding.forward(%tokens, %e#0, %e#1) instance "embedding" : (tensor<2x4xi32>, tensor<12x6xbf16>, tensor<7x6xbf16>) -> tensor<2x4x6xbf16>
    %nw = graph.load @layers.0.attention_norm.weight : tensor<6xf32>
    %nb = graph.load @layers.0.attention_norm.bias : tensor<6xf32>
    %q = graph.load @layers.0.attention.q.weight : tensor<6x6xf32>
    %qb = graph.load @layers.0.attention.q.bias : tensor<6xf32>
    %k = graph.load @layers.0.attention.k.weight : tensor<6x6xf32>
    %v = graph.load @layers.0.attention.v.weight : tensor<6x6xf32>
    %u = graph.load @layers.0.feed_forward.up.weight : tensor<9x6xf32>
    %ub = graph.load @layers.0.feed_forward.up.bias : tensor<9xf32>
    %d = graph.load @layers.0.feed_forward.down.weight : tensor<6x9xf32>
    %b:7 = graph.call @block.unshard(%q, %qb, %k, %v, %u, %ub, %d) instance "layers.0" : (tensor<6x6xf32>, tensor<6xf32>, tensor<6x6xf32>, tensor<6x6xf32>, tensor<9x6xf32>, tensor<9xf32>, tensor<6x9xf32>) -> (tensor<6x6xbf16>, tensor<6xbf16>, tensor<6x6xbf16>, tensor<6x6xbf16>, tensor<9x6xbf16>, tensor<9xbf16>, tensor<6x9xbf16>)
    %x1 = graph.call @block.forward(%x0, %nw, %nb, %b#0, %b#1, %b#2, %b#3, %b#4, %b#5, %b#6) instance "layers.0" : (tensor<2x4x6xbf16>, tensor<6xf32>, tensor<6xf32>, tensor<6x6xbf16>, tensor<6xbf16>, tensor<6x6xbf16>, tensor<6x6xbf16>, tensor<9x6xbf16>, tensor<9xbf16>, tensor<6x9xbf16>) -> tensor<2x4x6xbf16>
    %hw = graph.load @head.norm.weight : tensor<6xf32>
    %hb = graph.load @head.norm.bias : tensor<6xf32>
    %loss, %valid = graph.call @head.forward(%x1, %labels, %hw, %hb, %e#0) instance "head" : (tensor<2x4x6xbf16>, tensor<2x4xi32>, tensor<6xf32>, tensor<6xf32>, tensor<12x6xbf16>) -> (tensor<f32>, tensor<f32>)
    return %loss, %valid : tensor<f32>, tensor<f32>
  }
}
