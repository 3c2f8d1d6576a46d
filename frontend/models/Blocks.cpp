//===- Blocks.cpp - The building blocks of a decoder ----------------------===//

#include "frontend/models/Blocks.h"

using namespace mlir;
using namespace primus;
using namespace primus::models;

static ArrayRef<int64_t> shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

static Value reshape(LayerFunction &f, Value x, ArrayRef<int64_t> shape, const Twine &name) {
  return graph::ReshapeOp::create(f.builder, f.loc(name), f.tensor(shape), x);
}

/// Adds a vector to the last dimension.
static Value addVector(LayerFunction &f, Value x, Value vector, const Twine &name) {
  int64_t last = shapeOf(x).size() - 1;
  Value wide = graph::BroadcastOp::create(f.builder, f.loc(name), x.getType(), vector, f.builder.getDenseI64ArrayAttr({last}));
  return graph::AddOp::create(f.builder, f.loc(name), x, wide);
}

static Value add(LayerFunction &f, Value a, Value b, const Twine &name) {
  return graph::AddOp::create(f.builder, f.loc(name), a, b);
}

Value models::buildScale(LayerFunction &f, Value x, double factor) {
  if (factor == 0 || factor == 1)
    return x;
  Value constant = graph::ConstantOp::create(f.builder, f.loc("scale"), cast<RankedTensorType>(x.getType()), factor);
  return graph::MulOp::create(f.builder, f.loc("scaled"), x, constant);
}

/// Values of the residual stream times a constant.
static Value scaleStream(LayerFunction &f, Value x, double factor) {
  Value scaled = buildScale(f, x, factor);
  return scaled == x ? x : f.pin(scaled, kStreamDims);
}

Value models::buildLinear(LayerFunction &f, Value x, const Twine &prefix, int64_t outputs, LogicalDims dims,
                          const spec::WeightInit &init, bool bias) {
  std::string name = prefix.str();
  ArrayRef<int64_t> shape = shapeOf(x);
  Value weight = f.matrix(name + ".weight", {outputs, shape.back()}, dims, init);
  SmallVector<int64_t> resultShape(shape.drop_back());
  resultShape.push_back(outputs);
  auto recipe = f.fp8.find(name);
  Value y = graph::MatmulOp::create(f.builder, f.loc(name), f.tensor(resultShape), "bsi,oi->bso", x, weight,
                                    recipe == f.fp8.end() ? graph::Fp8Attr() : recipe->second);
  if (!bias)
    return y;
  Value vector = f.parameter(name + ".bias", {outputs}, dims.take_front(), f.filled(0), /*decay=*/false);
  Value biased = addVector(f, y, vector, name + ".biased");
  return dims.front().empty() ? f.pin(biased, kStreamDims) : biased;
}

Value models::buildNorm(LayerFunction &f, Value x, const spec::Norm &norm, const Twine &prefix) {
  if (norm.kind() == spec::NORM_NONE)
    return x;
  std::string name = prefix.str();
  auto type = cast<RankedTensorType>(x.getType());
  RankedTensorType rows = f.tensor(type.getShape().drop_back(), f.builder.getF32Type());
  int64_t width = type.getShape().back();
  Value weight, bias;
  if (norm.weight())
    weight = f.parameter(name + ".weight", {width}, {""}, f.filled(1 - norm.offset()), /*decay=*/false);
  if (norm.bias())
    bias = f.parameter(name + ".bias", {width}, {""}, f.filled(0), /*decay=*/false);
  FloatAttr epsilon = f.builder.getF64FloatAttr(norm.epsilon()), offset = f.builder.getF64FloatAttr(norm.offset());
  if (norm.kind() == spec::RMS_NORM) {
    Value y = graph::RmsNormOp::create(f.builder, f.loc(name), type, rows, x, weight, epsilon, offset).getY();
    return bias ? addVector(f, y, bias, name + ".biased") : y;
  }
  return graph::LayerNormOp::create(f.builder, f.loc(name), type, rows, rows, x, weight, bias, epsilon, offset).getY();
}

/// The parameter of initialisers whose values lie in the order in which context parallel ranks store tokens; none if there
/// is one rank.
static void addContextRanks(SmallVectorImpl<NamedAttribute> &params, Builder &b, const Dimensions &dims) {
  if (dims.contextRanks > 1)
    params.push_back(b.getNamedAttr("ranks", b.getF64FloatAttr(static_cast<double>(dims.contextRanks))));
}

/// The position of each stored token; null where tokens are stored in their order.
static Value buildPositions(LayerFunction &f, const Dimensions &dims) {
  if (dims.contextRanks == 1)
    return {};
  Builder &b = f.builder;
  SmallVector<NamedAttribute> params;
  addContextRanks(params, b, dims);
  auto init = graph::InitAttr::get(b.getContext(), b.getStringAttr("positions"), b.getDictionaryAttr(params));
  return f.constant("@positions", f.tensor({dims.tokens}, b.getI32Type()), {"sequence"}, init);
}

/// Rotates x [batch, tokens, heads, head size] by the tables of its positions.
static Value buildRope(LayerFunction &f, Value x, const spec::Rope &rope, const Dimensions &dims, const Twine &name) {
  std::vector<double> frequencies = ropeFrequencies(rope);
  Builder &b = f.builder;
  auto table = [&](StringRef kind) {
    SmallVector<NamedAttribute> params = {b.getNamedAttr("inv_freq", b.getDenseF64ArrayAttr(frequencies)),
                                          b.getNamedAttr("scale", b.getF64FloatAttr(1))};
    addContextRanks(params, b, dims);
    auto init = graph::InitAttr::get(b.getContext(), b.getStringAttr(("rope_" + kind).str()),
                                     b.getDictionaryAttr(params));
    // Layers with equal tables share them; the name tells tables apart.
    std::string id = "@rope." + kind.str();
    if (!rope.scaling().kind().empty() && rope.scaling().kind() != "none")
      id += "." + rope.scaling().kind();
    id += "." + std::to_string(rope.dimensions()) + "." + std::to_string(static_cast<int64_t>(rope.theta()));
    return f.constant(id, f.tensor({dims.tokens, rope.dimensions() / 2}, b.getF32Type()), {"sequence", ""}, init);
  };
  Value cos = table("cos"), sin = table("sin");
  auto style = rope.style() == spec::INTERLEAVED ? graph::RopeStyle::Interleaved : graph::RopeStyle::Half;
  return graph::RopeOp::create(f.builder, f.loc(name), x.getType(),
                               graph::RopeStyleAttr::get(b.getContext(), style), x, cos, sin, UnitAttr());
}

Value models::buildAttention(LayerFunction &f, Value x, const spec::Attention &attention, const Dimensions &dims) {
  int64_t size = attention.head_size(), heads = attention.heads(), groups = attention.groups();
  auto project = [&](StringRef name, int64_t count) {
    const spec::WeightInit &init = name == "q" ? dims.init.query() : dims.init.key_value();
    Value flat = buildLinear(f, x, "attention." + name, count * size, {"heads", ""}, init, attention.qkv_bias());
    return reshape(f, flat, {dims.batch, dims.tokens, count, size}, "attention." + name + ".heads");
  };
  Value q = project("q", heads), k = project("k", groups), v = project("v", groups);
  q = buildNorm(f, q, attention.query_norm(), "attention.q_norm");
  k = buildNorm(f, k, attention.key_norm(), "attention.k_norm");
  if (attention.position() == spec::ROPE) {
    q = buildRope(f, q, attention.rope(), dims, "attention.q.rotated");
    k = buildRope(f, k, attention.rope(), dims, "attention.k.rotated");
  }
  double scale = attention.scale() != 0 ? attention.scale() : 1 / std::sqrt(static_cast<double>(size));
  Builder &b = f.builder;
  Value positions = attention.causal() || attention.window() ? buildPositions(f, dims) : Value();
  auto op = graph::AttentionOp::create(
      f.builder, f.loc("attention"), q.getType(), f.tensor({dims.batch, heads, dims.tokens}, b.getF32Type()), q, k, v,
      /*query_positions=*/positions, /*key_positions=*/positions,
      b.getF64FloatAttr(scale), attention.causal() ? b.getUnitAttr() : UnitAttr(),
      attention.window() ? b.getI64IntegerAttr(attention.window()) : IntegerAttr(), b.getF64FloatAttr(attention.softcap()));
  Value merged = reshape(f, op.getOut(), {dims.batch, dims.tokens, heads * size}, "attention.merged");
  return buildLinear(f, merged, "attention.output", dims.width, {"", "heads"}, dims.init.attention_output(),
                     attention.output_bias());
}

Value models::buildFeedForward(LayerFunction &f, Value x, const spec::FeedForward &block, const Dimensions &dims) {
  auto kind = graph::symbolizeActivation(block.activation());
  auto activation = graph::ActivationAttr::get(f.builder.getContext(), kind.value_or(graph::Activation::Silu));
  Value hidden;
  if (block.kind() == spec::GATED) {
    Value gate = buildLinear(f, x, "feed_forward.gate", block.width(), {"ffn", ""}, dims.init.gate(), block.bias());
    Value up = buildLinear(f, x, "feed_forward.up", block.width(), {"ffn", ""}, dims.init.up(), block.bias());
    hidden = graph::GluOp::create(f.builder, f.loc("feed_forward.hidden"), gate.getType(), activation, gate, up);
  } else {
    Value up = buildLinear(f, x, "feed_forward.up", block.width(), {"ffn", ""}, dims.init.up(), block.bias());
    hidden = graph::ActivationOp::create(f.builder, f.loc("feed_forward.hidden"), up.getType(), activation, up);
  }
  return buildLinear(f, hidden, "feed_forward.down", dims.width, {"", "ffn"}, dims.init.down(), block.bias());
}

Value models::buildEmbedding(LayerFunction &f, Value tokens, const spec::Embedding &embedding, const Dimensions &dims) {
  Value table = f.matrix("weight", {embedding.padded_vocabulary(), dims.width}, {"vocabulary", ""}, dims.init.embedding());
  RankedTensorType type = f.tensor({dims.batch, dims.tokens, dims.width});
  IntegerAttr untrained;
  if (embedding.has_padding_token())
    untrained = f.builder.getI64IntegerAttr(embedding.padding_token());
  Value x = graph::GatherOp::create(f.builder, f.loc("embedding"), type, table, tokens, untrained);
  x = scaleStream(f, x, embedding.scale());
  if (embedding.learned_positions()) {
    Value positions = f.matrix("position.weight", {embedding.learned_positions(), dims.width}, {"", ""}, dims.init.embedding());
    Value used = positions;
    if (Value stored = buildPositions(f, dims))
      used = graph::GatherOp::create(f.builder, f.loc("positions.rows"), f.tensor({dims.tokens, dims.width}), positions,
                                     stored);
    else if (embedding.learned_positions() != dims.tokens)
      used = graph::SliceOp::create(f.builder, f.loc("positions"), f.tensor({dims.tokens, dims.width}), positions,
                                    f.builder.getDenseI64ArrayAttr({0, 0}));
    Value wide = graph::BroadcastOp::create(f.builder, f.loc("positions"), type, used, f.builder.getDenseI64ArrayAttr({1, 2}));
    x = f.pin(add(f, x, wide, "embedding.positioned"), kStreamDims);
  }
  return buildNorm(f, x, embedding.norm(), "norm");
}

Value models::buildLayer(LayerFunction &f, Value x, const spec::Layer &layer, const Dimensions &dims) {
  auto attention = [&](Value input) {
    return scaleStream(f, buildAttention(f, input, layer.attention(), dims), layer.branch_scale());
  };
  auto feedForward = [&](Value input) {
    return scaleStream(f, buildFeedForward(f, input, layer.feed_forward(), dims), layer.branch_scale());
  };
  auto addToStream = [&](Value stream, Value y, const Twine &name) {
    return f.pin(add(f, stream, y, name), kStreamDims);
  };
  bool hasAttention = layer.has_attention(), hasFeedForward = layer.has_feed_forward();

  if (layer.topology() == spec::PARALLEL_ONE_NORM || layer.topology() == spec::PARALLEL_TWO_NORMS) {
    Value first = buildNorm(f, x, layer.attention_norm(), "attention_norm");
    Value second = layer.topology() == spec::PARALLEL_ONE_NORM ? first : buildNorm(f, x, layer.feed_forward_norm(), "feed_forward_norm");
    Value sum = hasAttention ? addToStream(x, attention(first), "attention.residual") : x;
    return hasFeedForward ? addToStream(sum, feedForward(second), "feed_forward.residual") : sum;
  }

  // One branch at a time: `norm` before it (or, for POST_NORM, after the sum), `post` on the branch.
  auto branch = [&](Value input, function_ref<Value(Value)> body, const spec::Norm &norm, const spec::Norm &post, StringRef name) {
    bool before = layer.topology() == spec::PRE_NORM || layer.topology() == spec::SANDWICH;
    Value y = body(before ? buildNorm(f, input, norm, name + "_norm") : input);
    if (layer.topology() == spec::SANDWICH || layer.topology() == spec::BRANCH_POST_NORM)
      y = buildNorm(f, y, post, name + "_post_norm");
    Value sum = addToStream(input, y, name + ".residual");
    return layer.topology() == spec::POST_NORM ? buildNorm(f, sum, norm, name + "_norm") : sum;
  };
  if (hasAttention)
    x = branch(x, attention, layer.attention_norm(), layer.attention_post_norm(), "attention");
  if (hasFeedForward)
    x = branch(x, feedForward, layer.feed_forward_norm(), layer.feed_forward_post_norm(), "feed_forward");
  return x;
}
