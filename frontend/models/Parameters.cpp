//===- Parameters.cpp - The parameters that a model has -------------------===//

#include "frontend/models/Parameters.h"

namespace primus::models {

namespace {

class ParameterList {
public:
  explicit ParameterList(const spec::Model &model) : model(model) {}

  std::vector<Parameter> build() {
    const spec::Embedding &embedding = model.embedding();
    addTable("embedding.weight");
    if (embedding.learned_positions())
      add("embedding.position.weight", {embedding.learned_positions(), model.width()});
    addNorm("embedding.norm", embedding.norm(), model.width());
    int64_t index = 0;
    for (const spec::LayerGroup &group : model.layers())
      for (int64_t i = 0; i < group.count(); ++i)
        addLayer("layers." + std::to_string(index++) + ".", group.layer());
    addNorm("head.norm", model.head().norm(), model.width());
    if (!model.head().tied())
      addTable("head.weight");
    return std::move(list);
  }

private:
  void add(std::string name, std::vector<int64_t> shape) { list.push_back({std::move(name), std::move(shape)}); }

  void addTable(const char *name) {
    const spec::Embedding &embedding = model.embedding();
    add(name, {embedding.padded_vocabulary(), model.width()});
    list.back().padding = embedding.padded_vocabulary() - embedding.vocabulary();
  }

  void addNorm(const std::string &name, const spec::Norm &norm, int64_t width) {
    if (norm.kind() == spec::NORM_NONE)
      return;
    if (norm.weight())
      add(name + ".weight", {width});
    if (norm.bias())
      add(name + ".bias", {width});
  }

  void addLinear(const std::string &name, int64_t outputs, int64_t inputs, bool bias) {
    add(name + ".weight", {outputs, inputs});
    if (bias)
      add(name + ".bias", {outputs});
  }

  void addLayer(const std::string &prefix, const spec::Layer &layer) {
    bool post = layer.topology() == spec::SANDWICH || layer.topology() == spec::BRANCH_POST_NORM;
    bool own = layer.topology() != spec::BRANCH_POST_NORM;
    bool sharedNorm = layer.topology() == spec::PARALLEL_ONE_NORM;
    if (own && (layer.has_attention() || sharedNorm))
      addNorm(prefix + "attention_norm", layer.attention_norm(), model.width());
    if (layer.has_attention()) {
      addAttention(prefix + "attention.", layer.attention());
      if (post)
        addNorm(prefix + "attention_post_norm", layer.attention_post_norm(), model.width());
    }
    if (!layer.has_feed_forward())
      return;
    if (own && !sharedNorm)
      addNorm(prefix + "feed_forward_norm", layer.feed_forward_norm(), model.width());
    addFeedForward(prefix + "feed_forward.", layer.feed_forward());
    if (post)
      addNorm(prefix + "feed_forward_post_norm", layer.feed_forward_post_norm(), model.width());
  }

  void addAttention(const std::string &prefix, const spec::Attention &attention) {
    int64_t size = attention.head_size(), queries = attention.heads() * size, keys = attention.groups() * size;
    addLinear(prefix + "q", queries, model.width(), attention.qkv_bias());
    addLinear(prefix + "k", keys, model.width(), attention.qkv_bias());
    addLinear(prefix + "v", keys, model.width(), attention.qkv_bias());
    addNorm(prefix + "q_norm", attention.query_norm(), size);
    addNorm(prefix + "k_norm", attention.key_norm(), size);
    addLinear(prefix + "output", model.width(), queries, attention.output_bias());
  }

  void addFeedForward(const std::string &prefix, const spec::FeedForward &block) {
    if (block.kind() == spec::GATED)
      addLinear(prefix + "gate", block.width(), model.width(), block.bias());
    addLinear(prefix + "up", block.width(), model.width(), block.bias());
    addLinear(prefix + "down", model.width(), block.width(), block.bias());
  }

  const spec::Model &model;
  std::vector<Parameter> list;
};

} // namespace

std::vector<Parameter> listParameters(const spec::Model &model) { return ParameterList(model).build(); }

} // namespace primus::models
