//===- GraphComposites.td - Ops that deserve their own kernel -------------===//
//
// Each is defined by its decomposition into primitives. Statistics and residuals are f32.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_IR_GRAPH_COMPOSITES
#define PRIMUS_IR_GRAPH_COMPOSITES

include "ir/graph/GraphBase.td"

//===----------------------------------------------------------------------===//
// Normalisation (over the last dimension)
//===----------------------------------------------------------------------===//

def Graph_RmsNormOp : Graph_Composite<"rms_norm", [DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "root-mean-square normalisation of the last dimension";
  let description = [{
    `y = x * rstd * (offset + weight)` with `rstd = 1 / sqrt(mean(x^2) + eps)`, in f32, rounded once at
    the end to x's type. `rstd` (f32, x's shape without the last dimension) is kept for the gradient.
    `offset` is 1 in the Gemma convention. Zhang and Sennrich 2019, arXiv 1910.07467.

    ```mlir
    %y, %rstd = graph.rms_norm %x, %w eps 1.000000e-05 : (tensor<2x4x8xbf16>, tensor<8xf32>) -> (tensor<2x4x8xbf16>, tensor<2x4xf32>)
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$x, Optional<Graph_FloatTensor>:$weight, F64Attr:$eps,
                       DefaultValuedAttr<F64Attr, "0.0">:$offset);
  let results = (outs Graph_FloatTensor:$y, Graph_FloatTensor:$rstd);
  let assemblyFormat = [{$x (`,` $weight^)? `eps` custom<PlainFloat>($eps) attr-dict `:`
                         functional-type(operands, results)}];
  let hasVerifier = 1;
}

def Graph_RmsNormGradOp : Graph_Composite<"rms_norm_grad"> {
  let summary = "gradient of rms_norm with respect to its input and weight";
  let description = [{
    Created by rms_norm's vjp. `dweight` (f32) is absent where the norm has no weight.

    ```mlir
    %dx, %dw = graph.rms_norm_grad %dy, %x, %rstd, %w : (tensor<2x4x8xf32>, tensor<2x4x8xf32>, tensor<2x4xf32>, tensor<8xf32>) -> (tensor<2x4x8xf32>, tensor<8xf32>)
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$dy, Graph_FloatTensor:$x, Graph_FloatTensor:$rstd,
                       Optional<Graph_FloatTensor>:$weight, DefaultValuedAttr<F64Attr, "0.0">:$offset);
  let results = (outs Graph_FloatTensor:$dx, Optional<Graph_FloatTensor>:$dweight);
  let assemblyFormat = "$dy `,` $x `,` $rstd (`,` $weight^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_LayerNormOp : Graph_Composite<"layer_norm", [AttrSizedOperandSegments,
                                        DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "layer normalisation of the last dimension, with biased variance";
  let description = [{
    `(x - mean) * rstd * (offset + weight) + bias`, in f32, rounded once at the end. Weight and bias are each optional;
    a bias without weight is written `%x, none, %b`. `mean` and `rstd` are kept for the gradient. Ba et al. 2016, arXiv
    1607.06450.

    ```mlir
    %y, %mean, %rstd = graph.layer_norm %x, %w, %b eps 1.000000e-05 : (tensor<2x4x8xf32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<2x4x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>)
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$x, Optional<Graph_FloatTensor>:$weight,
                       Optional<Graph_FloatTensor>:$bias, F64Attr:$eps,
                       DefaultValuedAttr<F64Attr, "0.0">:$offset);
  let results = (outs Graph_FloatTensor:$y, Graph_FloatTensor:$mean, Graph_FloatTensor:$rstd);
  let assemblyFormat = [{custom<NormOperands>($x, $weight, $bias) `eps` custom<PlainFloat>($eps) attr-dict `:`
                         functional-type(operands, results)}];
  let hasVerifier = 1;
}

def Graph_LayerNormGradOp : Graph_Composite<"layer_norm_grad", [AttrSizedResultSegments]> {
  let summary = "gradient of layer_norm with respect to its input, weight and bias";
  let description = [{
    Created by layer_norm's vjp. `has_bias` says whether a bias gradient is wanted; the results are dx, then dweight and
    dbias where they exist (f32).

    ```mlir
    %dx, %dw = graph.layer_norm_grad %dy, %x, %mean, %rstd, %w : (tensor<2x4x8xf32>, tensor<2x4x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<8xf32>) -> (tensor<2x4x8xf32>, tensor<8xf32>)
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$dy, Graph_FloatTensor:$x, Graph_FloatTensor:$mean,
                       Graph_FloatTensor:$rstd, Optional<Graph_FloatTensor>:$weight,
                       UnitAttr:$has_bias, DefaultValuedAttr<F64Attr, "0.0">:$offset);
  let results = (outs Graph_FloatTensor:$dx, Optional<Graph_FloatTensor>:$dweight,
                      Optional<Graph_FloatTensor>:$dbias);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Feed-forward non-linearities
//===----------------------------------------------------------------------===//

def Graph_ActivationOp : Graph_Composite<"activation", [Elementwise, AllTypesMatch<["x", "y"]>,
                                         DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "pointwise non-linearity, computed in f32";
  let description = [{
    ```mlir
    %y = graph.activation gelu_tanh %x : tensor<2x4x8xbf16>
    ```
  }];
  let arguments = (ins Graph_ActivationAttr:$kind, Graph_FloatTensor:$x);
  let results = (outs Graph_FloatTensor:$y);
  let assemblyFormat = "custom<PlainEnum>($kind) $x attr-dict `:` type($y)";
}

def Graph_ActivationGradOp : Graph_Composite<"activation_grad", [Elementwise, AllTypesMatch<["dy", "x", "dx"]>]> {
  let summary = "dy times the derivative of a non-linearity at x";
  let description = [{
    Created by activation's vjp.

    ```mlir
    %dx = graph.activation_grad gelu_tanh %dy, %x : tensor<2x4x8xbf16>
    ```
  }];
  let arguments = (ins Graph_ActivationAttr:$kind, Graph_FloatTensor:$dy, Graph_FloatTensor:$x);
  let results = (outs Graph_FloatTensor:$dx);
  let assemblyFormat = "custom<PlainEnum>($kind) $dy `,` $x attr-dict `:` type($dx)";
}

def Graph_GluOp : Graph_Composite<"glu", [Elementwise, AllTypesMatch<["gate", "up", "y"]>,
                                  DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "gated linear unit: act(gate) * up, computed in f32";
  let description = [{
    With `silu` this is SwiGLU (Shazeer 2020, arXiv 2002.05202).

    ```mlir
    %y = graph.glu silu %gate, %up : tensor<2x4x8xbf16>
    ```
  }];
  let arguments = (ins Graph_ActivationAttr:$kind, Graph_FloatTensor:$gate, Graph_FloatTensor:$up);
  let results = (outs Graph_FloatTensor:$y);
  let assemblyFormat = "custom<PlainEnum>($kind) $gate `,` $up attr-dict `:` type($y)";
}

def Graph_GluGradOp : Graph_Composite<"glu_grad", [Elementwise, AllTypesMatch<["dy", "gate", "up", "dgate", "dup"]>]> {
  let summary = "gradients of glu with respect to gate and up";
  let description = [{
    Created by glu's vjp.

    ```mlir
    %dgate, %dup = graph.glu_grad silu %dy, %gate, %up : tensor<2x4x8xbf16>
    ```
  }];
  let arguments = (ins Graph_ActivationAttr:$kind, Graph_FloatTensor:$dy, Graph_FloatTensor:$gate,
                       Graph_FloatTensor:$up);
  let results = (outs Graph_FloatTensor:$dgate, Graph_FloatTensor:$dup);
  let assemblyFormat = "custom<PlainEnum>($kind) $dy `,` $gate `,` $up attr-dict `:` type($dgate)";
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

def Graph_RopeOp : Graph_Composite<"rope", [AllTypesMatch<["x", "y"]>, AllTypesMatch<["cos", "sin"]>,
                                   DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "rotary position embedding of the first r elements of each head";
  let description = [{
    x is [batch, tokens, heads, head size]; the tables are f32 [tokens, r / 2]. For each pair:
    `y1 = x1 cos - x2 sin, y2 = x2 cos + x1 sin`, in f32. `inverse` rotates back (sin negated), which is
    the gradient. Elements from r on pass through. Su et al. 2021, arXiv 2104.09864.

    ```mlir
    %y = graph.rope half %x, %cos, %sin : tensor<2x4x3x8xbf16>, tensor<4x4xf32>
    ```
  }];
  let arguments = (ins Graph_RopeStyleAttr:$style, Graph_FloatTensor:$x, Graph_FloatTensor:$cos,
                       Graph_FloatTensor:$sin, UnitAttr:$inverse);
  let results = (outs Graph_FloatTensor:$y);
  let assemblyFormat = [{custom<PlainEnum>($style) (`inverse` $inverse^)? $x `,` $cos `,` $sin attr-dict `:`
                         type($x) `,` type($cos)}];
  let hasVerifier = 1;
}

def Graph_AttentionOp : Graph_Composite<"attention", [AllTypesMatch<["k", "v"]>, AttrSizedOperandSegments,
                                                 DeclareOpInterfaceMethods<Differentiable>]> {
  let summary = "scaled dot-product attention with grouped heads";
  let description = [{
    q is [batch, tokens, heads, head size], k and v [batch, keys, groups, head size]; heads is a multiple of groups and
    query head h reads group `h / (heads / groups)`. `softmax(softcap(scale q k^T) + mask) v` with the softmax in f32;
    probabilities are rounded to v's type before the second product. `causal`: key j is visible to query i iff `j <= i`;
    `window W`: also `i - j < W`. `softcap c`: `c tanh(s / c)` (0 = none). `lse` (f32 [batch, heads, tokens]) is the log
    of the softmax's denominator, kept for the gradient; it has no gradient of its own. A token that sees no key has
    output zero. With `positions` (i32 [tokens] and [keys]) the masks compare those instead of i and j: tokens that
    are stored in another order, or a part of them. `out` has q's type, or is f32 where results for parts of the keys are
    merged before they are rounded. (C1) q, k, v, out and lse have these shapes; (C2) q, k and v have one element type,
    out that or f32; (C3) window >= 1 and softcap >= 0; (C4) positions are given for tokens and keys, or for neither.

    ```mlir
    %o, %lse = graph.attention %q, %k, %v scale 0.125 {causal} : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16> -> tensor<2x6x4xf32>
    %p, %lsep = graph.attention %q, %k, %v positions %i, %j scale 0.125 {causal} : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16>, tensor<4xi32>, tensor<4xi32> -> tensor<2x6x4xf32>
    %r, %lser = graph.attention %q, %k, %v scale 0.125 : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16> -> tensor<2x4x6x8xf32>, tensor<2x6x4xf32>
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$q, Graph_FloatTensor:$k, Graph_FloatTensor:$v,
                       Optional<Graph_IntTensor>:$query_positions, Optional<Graph_IntTensor>:$key_positions,
                       F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window,
                       DefaultValuedAttr<F64Attr, "0.0">:$softcap);
  let results = (outs Graph_FloatTensor:$out, Graph_FloatTensor:$lse);
  let assemblyFormat = [{$q `,` $k `,` $v (`positions` $query_positions^ `,` $key_positions)?
                         `scale` custom<PlainFloat>($scale) attr-dict `:` type($q) `,` type($k)
                         (`,` type($query_positions)^ `,` type($key_positions))? `->`
                         custom<AttentionResults>(ref(type($q)), type($out), type($lse))}];
  let hasVerifier = 1;
}

def Graph_AttentionGradOp : Graph_Composite<"attention_grad", [
    AllTypesMatch<["q", "dout", "out"]>, AllTypesMatch<["k", "v"]>, AllTypesMatch<["dk", "dv"]>,
    AttrSizedOperandSegments]> {
  let summary = "gradients of attention with respect to q, k and v";
  let description = [{
    Created by attention's vjp. Recomputes the probabilities from `lse` (Dao et al. 2022, arXiv 2205.14135). They, and
    the gradient of `q k^T`, are rounded to q's type before the products. (C1) to (C4) of attention; (C5) dq has q's
    shape, dk and dv have k's, each in that operand's element type or in f32.

    ```mlir
    %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.125 {causal} : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16>, tensor<2x6x4xf32> -> tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16>
    %dqp, %dkp, %dvp = graph.attention_grad %do, %q, %k, %v, %o, %lse positions %i, %j scale 0.125 {causal} : tensor<2x4x6x8xbf16>, tensor<2x4x3x8xbf16>, tensor<2x6x4xf32>, tensor<4xi32>, tensor<4xi32> -> tensor<2x4x6x8xbf16>, tensor<2x4x3x8xf32>
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$dout, Graph_FloatTensor:$q, Graph_FloatTensor:$k,
                       Graph_FloatTensor:$v, Graph_FloatTensor:$out, Graph_FloatTensor:$lse,
                       Optional<Graph_IntTensor>:$query_positions, Optional<Graph_IntTensor>:$key_positions,
                       F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window,
                       DefaultValuedAttr<F64Attr, "0.0">:$softcap);
  let results = (outs Graph_FloatTensor:$dq, Graph_FloatTensor:$dk, Graph_FloatTensor:$dv);
  let assemblyFormat = [{$dout `,` $q `,` $k `,` $v `,` $out `,` $lse
                         (`positions` $query_positions^ `,` $key_positions)? `scale` custom<PlainFloat>($scale)
                         attr-dict `:` type($q) `,` type($k) `,` type($lse)
                         (`,` type($query_positions)^ `,` type($key_positions))? `->` type($dq) `,` type($dk)}];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Loss
//===----------------------------------------------------------------------===//

def Graph_CrossEntropyOp : Graph_Composite<"cross_entropy", [DeclareOpInterfaceMethods<Differentiable>], ["localize"]> {
  let summary = "output projection and cross-entropy in one, without a tensor of all logits";
  let description = [{
    x is [tokens..., width], weight [vocabulary, width], labels i32 [tokens...]; a negative label is ignored. Per token:
    `lse - logit[label]` with logits = x weight^T in f32. Results: the sum of the losses and the number of valid tokens
    (f32 scalars, or f32 [groups] for equal groups along x's first dimension), and `lse` (f32 [tokens...]) for the
    gradient (it has none of its own). The loss is divided by numbers of valid tokens later. `vocabulary` counts the
    weight's rows that take part; rows from there on are padding and have probability zero. (C1) operands and results
    have these shapes; (C2) x and weight have one element type; (C3) vocabulary is between 1 and the weight's number of
    rows; (C4) the number of groups divides the first dimension.

    ```mlir
    %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 97 : (tensor<8x16xf32>, tensor<97x16xf32>, tensor<8xi32>) -> (tensor<f32>, tensor<f32>, tensor<8xf32>)
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$x, Graph_FloatTensor:$weight, Graph_IntTensor:$labels, I64Attr:$vocabulary);
  let results = (outs Graph_FloatTensor:$loss, Graph_FloatTensor:$valid, Graph_FloatTensor:$lse);
  let assemblyFormat = [{$x `,` $weight `,` $labels `vocabulary` $vocabulary attr-dict `:`
                         functional-type(operands, results)}];
  let hasVerifier = 1;
}

def Graph_CrossEntropyPartOp : Graph_Composite<"cross_entropy_part"> {
  let summary = "what one rank knows of cross_entropy when the vocabulary is split";
  let description = [{
    The weight has the rows from `offset` (i32 scalar) on of a weight whose first `vocabulary` rows take part. `lse` is
    the log of the sum of exponentials of these rows' logits, or so small that its exponential is zero where all of them
    are padding; `target` is the label's logit if it is among them, else zero. Both are f32 [tokens...]. (C1) to (C3) of
    cross_entropy, but for the weight's number of rows.

    ```mlir
    %lse, %target = graph.cross_entropy_part %x, %w, %labels, %offset vocabulary 97 : (tensor<2x4x16xf32>, tensor<50x16xf32>, tensor<2x4xi32>, tensor<i32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$x, Graph_FloatTensor:$weight, Graph_IntTensor:$labels,
                       Graph_IntTensor:$offset, I64Attr:$vocabulary);
  let results = (outs Graph_FloatTensor:$lse, Graph_FloatTensor:$target);
  let assemblyFormat = [{$x `,` $weight `,` $labels `,` $offset `vocabulary` $vocabulary attr-dict `:`
                         functional-type(operands, results)}];
  let hasVerifier = 1;
}

def Graph_CrossEntropyGradOp : Graph_Composite<"cross_entropy_grad", [], ["localize"]> {
  let summary = "gradients of cross_entropy with respect to x and the weight";
  let description = [{
    Created by cross_entropy's vjp. `dlogits = dloss (softmax - onehot)` for valid tokens, rounded to x's type before
    the two products; dloss is a scalar or one value per group. `dweight` is f32. With `offset` (i32 scalar) the weight
    has the rows from there on of one with `vocabulary` rows; dx is then the part of a sum. (C1) to (C3) of
    cross_entropy, the last without an offset only; (C4) dx has x's shape and element type; (C5) dweight has the weight's
    shape.

    ```mlir
    %dx, %dw = graph.cross_entropy_grad %dloss, %x, %w, %labels, %lse vocabulary 97 : (tensor<f32>, tensor<8x16xf32>, tensor<97x16xf32>, tensor<8xi32>, tensor<8xf32>) -> (tensor<8x16xf32>, tensor<97x16xf32>)
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$dloss, Graph_FloatTensor:$x, Graph_FloatTensor:$weight,
                       Graph_IntTensor:$labels, Graph_FloatTensor:$lse, Optional<Graph_IntTensor>:$offset,
                       I64Attr:$vocabulary);
  let results = (outs Graph_FloatTensor:$dx, Graph_FloatTensor:$dweight);
  let assemblyFormat = [{$dloss `,` $x `,` $weight `,` $labels `,` $lse (`offset` $offset^)? `vocabulary` $vocabulary
                         attr-dict `:` functional-type(operands, results)}];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Optimizer
//===----------------------------------------------------------------------===//

def Graph_AdamWOp : Graph_Composite<"adamw"> {
  let summary = "one AdamW update of a parameter and its moments";
  let description = [{
    With g = grad * scale (the clipping coefficient): `m' = beta1 m + (1 - beta1) g`, `v' = beta2 v + (1 - beta2) g^2`,
    `p' = p - lr (m' / c1 / (sqrt(v' / c2) + eps) + weight_decay p)` where c1 = 1 - beta1^t and c2 = 1 - beta2^t are
    inputs. Loshchilov and Hutter 2017, arXiv 1711.05101. It is computed in f32; moments may be kept in bf16. Where scale
    is NaN, nothing changes: so a step is skipped whose gradients are no numbers.

    ```mlir
    %p1, %m1, %v1 = graph.adamw %p, %m, %v, %g, %scale, %lr, %c1, %c2 {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, weight_decay = 0.1} : tensor<8x8xf32>
    %p2, %m2, %v2 = graph.adamw %p, %narrow, %v, %g, %scale, %lr, %c1, %c2 {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, weight_decay = 0.1} : tensor<8x8xf32> moments tensor<8x8xbf16>, tensor<8x8xf32>
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$param, Graph_FloatTensor:$m, Graph_FloatTensor:$v, Graph_FloatTensor:$grad,
                       Graph_FloatTensor:$scale, Graph_FloatTensor:$lr, Graph_FloatTensor:$c1, Graph_FloatTensor:$c2,
                       F64Attr:$beta1, F64Attr:$beta2, F64Attr:$eps, F64Attr:$weight_decay);
  let results = (outs Graph_FloatTensor:$new_param, Graph_FloatTensor:$new_m, Graph_FloatTensor:$new_v);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

#endif // PRIMUS_IR_GRAPH_COMPOSITES
