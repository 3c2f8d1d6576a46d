// RUN: primus-opt %s --verify-diagnostics --split-input-file

func.func @rms_norm_weight(%x: tensor<4x8xf32>, %w: tensor<4xf32>) {
  // expected-error @+1 {{weight of type 'tensor<4xf32>' must have the size of x's last dimension: x is 'tensor<4x8xf32>'}}
  %0:2 = graph.rms_norm %x, %w eps 1.0e-5 : (tensor<4x8xf32>, tensor<4xf32>) -> (tensor<4x8xf32>, tensor<4xf32>)
  return
}

// -----

func.func @rms_norm_result(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{y of type 'tensor<4x8xbf16>' must have x's shape and element type: x is 'tensor<4x8xf32>'}}
  %0:2 = graph.rms_norm %x eps 1.0e-5 : (tensor<4x8xf32>) -> (tensor<4x8xbf16>, tensor<4xf32>)
  return
}

// -----

func.func @rms_norm_rstd(%x: tensor<4x8xbf16>) {
  // expected-error @+1 {{rstd of type 'tensor<4xbf16>' must have x's shape without the last dimension, in f32}}
  %0:2 = graph.rms_norm %x eps 1.0e-5 : (tensor<4x8xbf16>) -> (tensor<4x8xbf16>, tensor<4xbf16>)
  return
}

// -----

func.func @rms_norm_scalar(%x: tensor<f32>) {
  // expected-error @+1 {{x must have a last dimension to normalise}}
  %0:2 = graph.rms_norm %x eps 1.0e-5 : (tensor<f32>) -> (tensor<f32>, tensor<f32>)
  return
}

// -----

func.func @rms_norm_eps(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{eps must be finite and not negative}}
  %0:2 = graph.rms_norm %x eps -1.0e-5 : (tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4xf32>)
  return
}

// -----

func.func @rms_norm_grad(%x: tensor<4x8xf32>, %r: tensor<4xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{has a weight, and therefore must have a result dweight}}
  %0 = graph.rms_norm_grad %x, %x, %r, %w : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @rms_norm_grad_type(%x: tensor<4x8xbf16>, %r: tensor<4xf32>, %w: tensor<8xbf16>) {
  // expected-error @+1 {{dweight of type 'tensor<8xbf16>' must have the size of x's last dimension, in f32}}
  %0:2 = graph.rms_norm_grad %x, %x, %r, %w : (tensor<4x8xbf16>, tensor<4x8xbf16>, tensor<4xf32>, tensor<8xbf16>) -> (tensor<4x8xbf16>, tensor<8xbf16>)
  return
}

// -----

func.func @layer_norm_bias(%x: tensor<4x8xf32>, %b: tensor<4xf32>) {
  // expected-error @+1 {{bias of type 'tensor<4xf32>' must have the size of x's last dimension}}
  %0:3 = graph.layer_norm %x, none, %b eps 1.0e-5 : (tensor<4x8xf32>, tensor<4xf32>) -> (tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @layer_norm_grad(%x: tensor<4x8xf32>, %r: tensor<4xf32>) {
  // expected-error @+1 {{expected results dx, dbias, but there are 1}}
  %0 = graph.layer_norm_grad %x, %x, %r, %r {has_bias} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @layer_norm_grad_operands(%x: tensor<4x8xf32>, %r: tensor<4xf32>) {
  // expected-error @+1 {{expected operands dy, x, mean, rstd and perhaps the weight, but there are 3}}
  %0 = graph.layer_norm_grad %x, %x, %r : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @rope_rank(%x: tensor<4x3x8xf32>, %c: tensor<4x4xf32>) {
  // expected-error @+1 {{x must be [batch, tokens, heads, head size], but is 'tensor<4x3x8xf32>'}}
  %0 = graph.rope half %x, %c, %c : tensor<4x3x8xf32>, tensor<4x4xf32>
  return
}

// -----

func.func @rope_table(%x: tensor<2x4x3x8xf32>, %c: tensor<4x4xbf16>) {
  // expected-error @+1 {{cos and sin must be f32 [tokens, r / 2], but are 'tensor<4x4xbf16>'}}
  %0 = graph.rope half %x, %c, %c : tensor<2x4x3x8xf32>, tensor<4x4xbf16>
  return
}

// -----

func.func @rope_tokens(%x: tensor<2x4x3x8xf32>, %c: tensor<5x4xf32>) {
  // expected-error @+1 {{cos and sin have 5 positions, but x has 4 tokens}}
  %0 = graph.rope half %x, %c, %c : tensor<2x4x3x8xf32>, tensor<5x4xf32>
  return
}

// -----

func.func @rope_size(%x: tensor<2x4x3x8xf32>, %c: tensor<4x5xf32>) {
  // expected-error @+1 {{cos and sin rotate 10 elements, but a head has 8}}
  %0 = graph.rope half %x, %c, %c : tensor<2x4x3x8xf32>, tensor<4x5xf32>
  return
}

// -----

func.func @attention_rank(%q: tensor<4x6x8xf32>) {
  // expected-error @+1 {{q, k and v must be [batch, tokens, heads, head size], but are 'tensor<4x6x8xf32>' and 'tensor<4x6x8xf32>'}}
  %0:2 = graph.attention %q, %q, %q scale 1.0 : tensor<4x6x8xf32>, tensor<4x6x8xf32> -> tensor<6x4xf32>
  return
}

// -----

func.func @attention_types(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x6x8xbf16>) {
  // expected-error @+1 {{q, k and v must have one element type}}
  %0:2 = graph.attention %q, %k, %k scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xbf16> -> tensor<2x6x4xf32>
  return
}

// -----

func.func @attention_sizes(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x6x7xf32>) {
  // expected-error @+1 {{q and k must have equal batch and head sizes}}
  %0:2 = graph.attention %q, %k, %k scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x7xf32> -> tensor<2x6x4xf32>
  return
}

// -----

func.func @attention_groups(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x4x8xf32>) {
  // expected-error @+1 {{number of heads 6 must be a multiple of the number of groups 4}}
  %0:2 = graph.attention %q, %k, %k scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x4x8xf32> -> tensor<2x6x4xf32>
  return
}

// -----

func.func @attention_out(%q: tensor<2x4x6x8xbf16>) {
  // expected-error @+1 {{out must have q's shape, in q's element type or f32, but is 'tensor<2x4x6x8xf16>'}}
  %0:2 = graph.attention %q, %q, %q scale 1.0 : tensor<2x4x6x8xbf16>, tensor<2x4x6x8xbf16> -> tensor<2x4x6x8xf16>, tensor<2x6x4xf32>
  return
}

// -----

func.func @attention_lse(%q: tensor<2x4x6x8xf32>) {
  // expected-error @+1 {{lse must be f32 [batch, heads, tokens], but is 'tensor<2x4x6xf32>'}}
  %0:2 = graph.attention %q, %q, %q scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6xf32>
  return
}

// -----

func.func @attention_window(%q: tensor<2x4x6x8xf32>) {
  // expected-error @+1 {{window must be at least 1}}
  %0:2 = graph.attention %q, %q, %q scale 1.0 {window = 0 : i64} : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x6x4xf32>
  return
}

// -----

func.func @attention_softcap(%q: tensor<2x4x6x8xf32>) {
  // expected-error @+1 {{softcap must not be negative}}
  %0:2 = graph.attention %q, %q, %q scale 1.0 {softcap = -1.0} : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x6x4xf32>
  return
}

// -----

func.func @cross_entropy_widths(%x: tensor<8x16xf32>, %w: tensor<97x15xf32>, %l: tensor<8xi32>) {
  // expected-error @+1 {{x must be [tokens..., width] and weight [vocabulary, width], but they are 'tensor<8x16xf32>' and 'tensor<97x15xf32>'}}
  %0:3 = graph.cross_entropy %x, %w, %l vocabulary 97 : (tensor<8x16xf32>, tensor<97x15xf32>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>)
  return
}

// -----

func.func @cross_entropy_types(%x: tensor<8x16xbf16>, %w: tensor<97x16xf32>, %l: tensor<8xi32>) {
  // expected-error @+1 {{x and weight must have one element type}}
  %0:3 = graph.cross_entropy %x, %w, %l vocabulary 97 : (tensor<8x16xbf16>, tensor<97x16xf32>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>)
  return
}

// -----

func.func @cross_entropy_labels(%x: tensor<8x16xf32>, %w: tensor<97x16xf32>, %l: tensor<8xi64>) {
  // expected-error @+1 {{labels must be i32 [tokens...], but are 'tensor<8xi64>'}}
  %0:3 = graph.cross_entropy %x, %w, %l vocabulary 97 : (tensor<8x16xf32>, tensor<97x16xf32>, tensor<8xi64>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>)
  return
}

// -----

func.func @cross_entropy_vocabulary(%x: tensor<8x16xf32>, %w: tensor<97x16xf32>, %l: tensor<8xi32>) {
  // expected-error @+1 {{vocabulary must be between 1 and the weight's number of rows 97, but is 98}}
  %0:3 = graph.cross_entropy %x, %w, %l vocabulary 98 : (tensor<8x16xf32>, tensor<97x16xf32>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>)
  return
}

// -----

func.func @cross_entropy_loss(%x: tensor<8x16xf32>, %w: tensor<97x16xf32>, %l: tensor<8xi32>) {
  // expected-error @+1 {{loss and valid must be tensor<f32>, or f32 [groups] where that number divides x's first dimension, but are 'tensor<3xf32>' and 'tensor<3xf32>'}}
  %0:3 = graph.cross_entropy %x, %w, %l vocabulary 97 : (tensor<8x16xf32>, tensor<97x16xf32>, tensor<8xi32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<8xf32>)
  return
}

// -----

func.func @cross_entropy_groups(%x: tensor<8x16xf32>, %w: tensor<97x16xf32>, %l: tensor<8xi32>) {
  // expected-error @+1 {{loss and valid must be tensor<f32>, or f32 [groups]}}
  %0:3 = graph.cross_entropy %x, %w, %l vocabulary 97 : (tensor<8x16xf32>, tensor<97x16xf32>, tensor<8xi32>) -> (tensor<4xf32>, tensor<f32>, tensor<8xf32>)
  return
}

// -----

func.func @cross_entropy_lse(%x: tensor<8x16xf32>, %w: tensor<97x16xf32>, %l: tensor<8xi32>) {
  // expected-error @+1 {{lse must be f32 [tokens...], but is 'tensor<7xf32>'}}
  %0:3 = graph.cross_entropy %x, %w, %l vocabulary 97 : (tensor<8x16xf32>, tensor<97x16xf32>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<7xf32>)
  return
}

// -----

func.func @cross_entropy_grad_dloss(%d: tensor<3xf32>, %x: tensor<8x16xf32>, %w: tensor<97x16xf32>, %l: tensor<8xi32>, %lse: tensor<8xf32>) {
  // expected-error @+1 {{dloss must be tensor<f32>, or f32 [groups] where that number divides x's first dimension, but is 'tensor<3xf32>'}}
  %0:2 = graph.cross_entropy_grad %d, %x, %w, %l, %lse vocabulary 97 : (tensor<3xf32>, tensor<8x16xf32>, tensor<97x16xf32>, tensor<8xi32>, tensor<8xf32>) -> (tensor<8x16xf32>, tensor<97x16xf32>)
  return
}

// -----

func.func @cross_entropy_grad_results(%d: tensor<f32>, %x: tensor<8x16xbf16>, %w: tensor<97x16xbf16>, %l: tensor<8xi32>, %lse: tensor<8xf32>) {
  // expected-error @+1 {{dx must have x's shape and element type, but is 'tensor<8x16xf32>'}}
  %0:2 = graph.cross_entropy_grad %d, %x, %w, %l, %lse vocabulary 97 : (tensor<f32>, tensor<8x16xbf16>, tensor<97x16xbf16>, tensor<8xi32>, tensor<8xf32>) -> (tensor<8x16xf32>, tensor<97x16xf32>)
  return
}

// -----

func.func @cross_entropy_grad_dweight(%d: tensor<f32>, %x: tensor<8x16xbf16>, %w: tensor<97x16xbf16>, %l: tensor<8xi32>, %lse: tensor<8xf32>) {
  // expected-error @+1 {{dweight must have the weight's shape, in f32, but is 'tensor<97x16xbf16>'}}
  %0:2 = graph.cross_entropy_grad %d, %x, %w, %l, %lse vocabulary 97 : (tensor<f32>, tensor<8x16xbf16>, tensor<97x16xbf16>, tensor<8xi32>, tensor<8xf32>) -> (tensor<8x16xbf16>, tensor<97x16xbf16>)
  return
}

// -----

func.func @adamw_type(%p: tensor<8xbf16>, %s: tensor<f32>) {
  // expected-error @+1 {{param must be f32, but is 'tensor<8xbf16>'}}
  %0:3 = graph.adamw %p, %p, %p, %p, %s, %s, %s, %s {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, weight_decay = 0.1} : tensor<8xbf16>
  return
}

// -----

func.func @adamw_grad(%p: tensor<8xf32>, %g: tensor<7xf32>, %s: tensor<f32>) {
  // expected-error @+1 {{param, grad and new_param must have one type, but are 'tensor<8xf32>' and 'tensor<7xf32>'}}
  %0:3 = "graph.adamw"(%p, %p, %p, %g, %s, %s, %s, %s) <{beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}> : (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<7xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>)
  return
}

// -----

func.func @adamw_moment(%p: tensor<8xf32>, %m: tensor<8xf16>, %s: tensor<f32>) {
  // expected-error @+1 {{m and v must be f32 or bf16, but one is 'tensor<8xf16>'}}
  %0:3 = graph.adamw %p, %m, %p, %p, %s, %s, %s, %s {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, weight_decay = 0.1} : tensor<8xf32> moments tensor<8xf16>, tensor<8xf32>
  return
}

// -----

func.func @adamw_moment_shape(%p: tensor<8xf32>, %v: tensor<4xbf16>, %s: tensor<f32>) {
  // expected-error @+1 {{m and v must have param's shape and layout, and the results their types, but 'tensor<8xf32>' has a moment 'tensor<4xbf16>' and 'tensor<4xbf16>'}}
  %0:3 = graph.adamw %p, %p, %v, %p, %s, %s, %s, %s {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, weight_decay = 0.1} : tensor<8xf32> moments tensor<8xf32>, tensor<4xbf16>
  return
}

// -----

func.func @adamw_scalar(%p: tensor<8xf32>, %s: tensor<1xf32>) {
  // expected-error @+1 {{scale, lr, c1 and c2 must be tensor<f32>, but one is 'tensor<1xf32>'}}
  %0:3 = graph.adamw %p, %p, %p, %p, %s, %s, %s, %s {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, weight_decay = 0.1} : tensor<8xf32>, tensor<1xf32>
  return
}

// -----

func.func @adamw_beta(%p: tensor<8xf32>, %s: tensor<f32>) {
  // expected-error @+1 {{beta2 must be in [0, 1), but is 1.0}}
  %0:3 = graph.adamw %p, %p, %p, %p, %s, %s, %s, %s {beta1 = 0.9, beta2 = 1.0, eps = 1.0e-8, weight_decay = 0.1} : tensor<8xf32>
  return
}

// -----

func.func @pack_rank(%w: tensor<48x64xf32>) {
  // expected-error @+1 {{operand must be a matrix stack [batch, rows, columns], but is 'tensor<48x64xf32>'}}
  %0 = graph.pack %w width 32 group 1 : tensor<48x64xf32> -> tensor<1x2x48x32x1xf32>
  return
}

// -----

func.func @pack_result(%w: tensor<1x48x63xf32>) {
  // expected-error @+1 {{result must be 'tensor<1x2x24x32x2xf32>', but is 'tensor<1x2x48x32x1xf32>'}}
  %0 = graph.pack %w width 32 group 2 : tensor<1x48x63xf32> -> tensor<1x2x48x32x1xf32>
  return
}

// -----

func.func @pack_width(%w: tensor<1x48x64xf32>) {
  // expected-error @+1 {{width and group must be at least 1, but are 0 and 1}}
  %0 = graph.pack %w width 0 group 1 : tensor<1x48x64xf32> -> tensor<1x2x48x32x1xf32>
  return
}

// -----

func.func @attention_one_position(%q: tensor<2x4x6x8xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{needs positions of both tokens and keys, or of neither}}
  %0:2 = "graph.attention"(%q, %q, %q, %i) <{operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>, scale = 1.0 : f64}> : (tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<4xi32>) -> (tensor<2x4x6x8xf32>, tensor<2x6x4xf32>)
  return
}

// -----

func.func @attention_positions(%q: tensor<2x4x6x8xf32>, %k: tensor<2x5x6x8xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{positions must be i32 [tokens] and [keys], but are 'tensor<4xi32>' and 'tensor<4xi32>'}}
  %0:2 = graph.attention %q, %k, %k positions %i, %i scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x5x6x8xf32>, tensor<4xi32>, tensor<4xi32> -> tensor<2x6x4xf32>
  return
}

// -----

func.func @attention_grad_results(%q: tensor<2x4x6x8xbf16>, %lse: tensor<2x6x4xf32>) {
  // expected-error @+1 {{dq must have q's shape, dk and dv k's, each in that element type or f32, but they are 'tensor<2x4x6x8xf16>' and 'tensor<2x4x6x8xbf16>'}}
  %0:3 = graph.attention_grad %q, %q, %q, %q, %q, %lse scale 1.0 : tensor<2x4x6x8xbf16>, tensor<2x4x6x8xbf16>, tensor<2x6x4xf32> -> tensor<2x4x6x8xf16>, tensor<2x4x6x8xbf16>
  return
}

// -----

func.func @cross_entropy_part_target(%x: tensor<2x4x16xf32>, %w: tensor<50x16xf32>, %l: tensor<2x4xi32>, %o: tensor<i32>) {
  // expected-error @+1 {{target must be f32 [tokens...], but is 'tensor<8xf32>'}}
  %0:2 = graph.cross_entropy_part %x, %w, %l, %o vocabulary 97 : (tensor<2x4x16xf32>, tensor<50x16xf32>, tensor<2x4xi32>, tensor<i32>) -> (tensor<2x4xf32>, tensor<8xf32>)
  return
}

// -----

func.func @cross_entropy_part_offset(%x: tensor<2x4x16xf32>, %w: tensor<50x16xf32>, %l: tensor<2x4xi32>, %o: tensor<1xi32>) {
  // expected-error @+1 {{offset must be tensor<i32>, but is 'tensor<1xi32>'}}
  %0:2 = graph.cross_entropy_part %x, %w, %l, %o vocabulary 97 : (tensor<2x4x16xf32>, tensor<50x16xf32>, tensor<2x4xi32>, tensor<1xi32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)
  return
}

// -----

func.func @cross_entropy_part_vocabulary(%x: tensor<2x4x16xf32>, %w: tensor<50x16xf32>, %l: tensor<2x4xi32>, %o: tensor<i32>) {
  // expected-error @+1 {{vocabulary must be between 1 and the weight's number of rows 50, but is 0}}
  %0:2 = graph.cross_entropy_part %x, %w, %l, %o vocabulary 0 : (tensor<2x4x16xf32>, tensor<50x16xf32>, tensor<2x4xi32>, tensor<i32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)
  return
}

// -----

func.func @cross_entropy_grad_vocabulary(%d: tensor<f32>, %x: tensor<8x16xf32>, %w: tensor<50x16xf32>, %l: tensor<8xi32>, %lse: tensor<8xf32>) {
  // expected-error @+1 {{vocabulary must be between 1 and the weight's number of rows 50, but is 97}}
  %0:2 = graph.cross_entropy_grad %d, %x, %w, %l, %lse vocabulary 97 : (tensor<f32>, tensor<8x16xf32>, tensor<50x16xf32>, tensor<8xi32>, tensor<8xf32>) -> (tensor<8x16xf32>, tensor<50x16xf32>)
  return
}

// -----

func.func @cross_entropy_grad_offset(%d: tensor<f32>, %x: tensor<8x16xf32>, %w: tensor<50x16xf32>, %l: tensor<8xi32>, %lse: tensor<8xf32>, %o: tensor<i64>) {
  // expected-error @+1 {{offset must be tensor<i32>, but is 'tensor<i64>'}}
  %0:2 = graph.cross_entropy_grad %d, %x, %w, %l, %lse offset %o vocabulary 97 : (tensor<f32>, tensor<8x16xf32>, tensor<50x16xf32>, tensor<8xi32>, tensor<8xf32>, tensor<i64>) -> (tensor<8x16xf32>, tensor<50x16xf32>)
  return
}
