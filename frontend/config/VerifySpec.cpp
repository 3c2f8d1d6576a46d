//===- VerifySpec.cpp - The rules that a TrainingSpec has to fit ----------===//

#include "frontend/config/Config.h"

#include <fmt/format.h>

#include <unordered_map>

namespace primus::config {

namespace {

/// Checks the relations between fields. Types and required keys are the flavours' business.
class SpecVerifier {
public:
  SpecVerifier(const spec::TrainingSpec &spec, Diagnostics &diagnostics) : spec(spec), diagnostics(diagnostics) {
    for (const spec::Source &source : spec.sources())
      sources[source.field()] = &source;
  }

  void verify() {
    verifyModel();
    verifyTraining();
    verifyOptimizer();
    verifyData();
  }

private:
  /// The place of a field's value.
  Location at(const std::string &field) const {
    auto it = sources.find(field);
    if (it == sources.end())
      return inFile(field);
    const spec::Source &source = *it->second;
    Location location{nullptr, source.line(), source.column(), Layer::Default};
    if (!source.file().empty())
      location.file = std::make_shared<const std::string>(source.file());
    for (Layer layer : {Layer::Derived, Layer::ModelPreset, Layer::ModulePreset, Layer::Experiment, Layer::CommandLine})
      if (source.layer() == layerName(layer))
        location.layer = layer;
    return location;
  }

  /// What the user calls a field: the key that set it.
  std::string name(const std::string &field) const {
    auto it = sources.find(field);
    bool isKey = it != sources.end() && !it->second->key().empty() && it->second->key().find(' ') == std::string::npos;
    return isKey ? it->second->key() : field;
  }

  void error(const std::string &field, std::string message, std::string suggestion = {}) {
    diagnostics.error(at(field), std::move(message), std::move(suggestion));
  }

  /// `value` of `field` must be at least `minimum`.
  bool atLeast(const std::string &field, int64_t value, int64_t minimum) {
    if (value >= minimum)
      return true;
    error(field, fmt::format("'{}' must be at least {}, but is {}", name(field), minimum, value));
    return false;
  }

  bool areAtLeastOne(const std::vector<std::pair<std::string, int64_t>> &fields) {
    bool all = true;
    for (const auto &[field, value] : fields)
      all &= atLeast(field, value, 1);
    return all;
  }

  void verifyModel() {
    const spec::Model &model = spec.model();
    atLeast("model.width", model.width(), 1);
    if (model.layers().empty())
      error("model.layers", "the model has no layers");
    if (atLeast("model.embedding.vocabulary", model.embedding().vocabulary(), 1) &&
        model.embedding().padded_vocabulary() < model.embedding().vocabulary())
      error("model.embedding.padded_vocabulary",
            fmt::format("{} rows do not hold a vocabulary of {}", model.embedding().padded_vocabulary(),
                        model.embedding().vocabulary()));
    for (int i = 0; i < model.layers_size(); ++i) {
      std::string path = fmt::format("model.layers[{}].", i);
      atLeast(path + "count", model.layers(i).count(), 1);
      if (model.layers(i).layer().has_attention())
        verifyAttention(path + "layer.attention.", model.layers(i).layer().attention());
      if (model.layers(i).layer().has_feed_forward())
        atLeast(path + "layer.feed_forward.width", model.layers(i).layer().feed_forward().width(), 1);
    }
    int64_t positions = model.embedding().learned_positions();
    if (positions > 0 && spec.training().sequence_length() > positions)
      error("training.sequence_length",
            fmt::format("{} {} is longer than the table of {} learned positions", name("training.sequence_length"),
                        spec.training().sequence_length(), positions),
            fmt::format("lower {}, or raise {} ({})", name("training.sequence_length"),
                        name("model.embedding.learned_positions"), at("model.embedding.learned_positions").str()));
    for (auto [field, value] :
         {std::pair{"model.init_std", model.init_std()}, {"model.output_init_std", model.output_init_std()}})
      if (!(value >= 0))
        error(field, fmt::format("'{}' must not be negative, but is {}", name(field), value));
  }

  void verifyAttention(const std::string &path, const spec::Attention &attention) {
    if (!areAtLeastOne({{path + "heads", attention.heads()},
                        {path + "groups", attention.groups()},
                        {path + "head_size", attention.head_size()}}))
      return;
    if (attention.heads() % attention.groups() != 0)
      error(path + "groups",
            fmt::format("{} {} is not a multiple of {} {}", name(path + "heads"), attention.heads(),
                        name(path + "groups"), attention.groups()),
            fmt::format("change one of them ({} stands at {})", name(path + "heads"), at(path + "heads").str()));
    if (attention.position() != spec::ROPE)
      return;
    int64_t rotated = attention.rope().dimensions();
    if (rotated < 2 || rotated % 2 != 0 || rotated > attention.head_size())
      error(path + "rope.dimensions",
            fmt::format("RoPE rotates pairs: {} elements of a head of {} are not possible", rotated,
                        attention.head_size()),
            "choose an even number of at most the head size");
    if (!(attention.rope().theta() > 0))
      error(path + "rope.theta",
            fmt::format("'{}' must be greater than 0, but is {}", name(path + "rope.theta"), attention.rope().theta()));
    if (attention.rope().scaling().kind() != "none" && !(attention.rope().scaling().factor() > 0))
      error(path + "rope.scaling.factor",
            fmt::format("'{}' must be greater than 0, but is {}", name(path + "rope.scaling.factor"),
                        attention.rope().scaling().factor()));
  }

  void verifyTraining() {
    const spec::Training &training = spec.training();
    atLeast("training.steps", training.steps(), 1);
    atLeast("training.sequence_length", training.sequence_length(), 1);
    if (!areAtLeastOne({{"training.micro_batch_size", training.micro_batch_size()},
                        {"training.global_batch_size", training.global_batch_size()},
                        {"parallelism.data", spec.parallelism().data()}}))
      return;
    int64_t perMicrobatch = training.micro_batch_size() * spec.parallelism().data();
    if (training.global_batch_size() % perMicrobatch != 0)
      error("training.global_batch_size",
            fmt::format(
                "{} {} is not a multiple of {} {}{}", name("training.global_batch_size"), training.global_batch_size(),
                name("training.micro_batch_size"), training.micro_batch_size(),
                spec.parallelism().data() == 1 ? "" : fmt::format(" times {} data ranks", spec.parallelism().data())),
            fmt::format("set {}={}", name("training.global_batch_size"),
                        (training.global_batch_size() / perMicrobatch + 1) * perMicrobatch));
    int64_t layers = 0;
    for (const spec::LayerGroup &group : spec.model().layers())
      layers += group.count();
    if (training.recompute_layers() > layers)
      error("training.recompute_layers",
            fmt::format("{} {} is more than the model's {} layers", name("training.recompute_layers"),
                        training.recompute_layers(), layers));
  }

  void verifyOptimizer() {
    const spec::Optimizer &optimizer = spec.optimizer();
    auto inRange = [&](const char *field, double value, double low, double high, const char *range) {
      if (!(value >= low && value < high))
        error(field, fmt::format("'{}' must be {}, but is {}", name(field), range, value));
    };
    constexpr double infinity = std::numeric_limits<double>::infinity();
    inRange("optimizer.learning_rate", optimizer.learning_rate(), 0, infinity, "at least 0");
    inRange("optimizer.min_learning_rate", optimizer.min_learning_rate(), 0, infinity, "at least 0");
    inRange("optimizer.warmup_init", optimizer.warmup_init(), 0, infinity, "at least 0");
    inRange("optimizer.beta1", optimizer.beta1(), 0, 1, "at least 0 and below 1");
    inRange("optimizer.beta2", optimizer.beta2(), 0, 1, "at least 0 and below 1");
    inRange("optimizer.weight_decay", optimizer.weight_decay(), 0, infinity, "at least 0");
    inRange("optimizer.clip", optimizer.clip(), 0, infinity, "at least 0");
    if (!(optimizer.epsilon() > 0))
      error("optimizer.epsilon",
            fmt::format("'{}' must be greater than 0, but is {}", name("optimizer.epsilon"), optimizer.epsilon()));
    if (optimizer.min_learning_rate() > optimizer.learning_rate())
      error("optimizer.min_learning_rate",
            fmt::format("{} {} is above {} {}", name("optimizer.min_learning_rate"), optimizer.min_learning_rate(),
                        name("optimizer.learning_rate"), optimizer.learning_rate()),
            fmt::format("lower it too ({} stands at {})", name("optimizer.learning_rate"),
                        at("optimizer.learning_rate").str()));
    atLeast("optimizer.decay_steps", optimizer.decay_steps(), 1);
    if (optimizer.warmup_steps() >= optimizer.decay_steps() && optimizer.warmup_steps() > 0)
      diagnostics.warning(at("optimizer.warmup_steps"),
                          fmt::format("the learning rate warms up over {} of {} steps and never decays",
                                      optimizer.warmup_steps(), optimizer.decay_steps()));
  }

  void verifyData() {
    const spec::Data &data = spec.data();
    if (data.kind() != "text" && data.kind() != "mock" && data.kind() != "indexed")
      error("data.kind", fmt::format("data cannot be '{}'", data.kind()), "text, mock or indexed");
    else if (data.kind() != "mock" && data.paths().empty())
      error("data.kind", fmt::format("{} data has no path", data.kind()));
    if (data.kind() == "text" && spec.model().embedding().vocabulary() < 256)
      error("model.embedding.vocabulary",
            fmt::format("text is read as bytes, which a vocabulary of {} does not hold",
                        spec.model().embedding().vocabulary()),
            "use 256 or more");
  }

  const spec::TrainingSpec &spec;
  Diagnostics &diagnostics;
  std::unordered_map<std::string, const spec::Source *> sources;
};

} // namespace

void verifySpec(const spec::TrainingSpec &spec, Diagnostics &diagnostics) { SpecVerifier(spec, diagnostics).verify(); }

} // namespace primus::config
