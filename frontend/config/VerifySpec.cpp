//===- VerifySpec.cpp - The rules that a TrainingSpec has to fit ----------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/Config.h"
#include "frontend/config/PipelineStages.h"
#include "frontend/config/SpecChecker.h"

#include <fmt/format.h>

namespace primus::config {

namespace {

/// Checks the relations between fields. Types and required keys are the flavours' business.
class SpecVerifier : public SpecChecker {
public:
  using SpecChecker::SpecChecker;

  void verify() {
    verifyModel();
    verifyTraining();
    verifyOptimizer();
    verifyData();
  }

private:
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
      if (model.layers(i).count() > mostLayers)
        error(path + "count", fmt::format("'{}' must be at most {}, but is {}", name(path + "count"), mostLayers,
                                          model.layers(i).count()));
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
            fmt::format("change one of them ({})", place(path + "heads")));
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
    verifyBatch();
    int64_t layers = countLayers(spec.model());
    if (training.recompute_layers() > layers)
      error("training.recompute_layers",
            fmt::format("{} {} is more than the model's {} layers", name("training.recompute_layers"),
                        training.recompute_layers(), layers));
  }

  void verifyBatch() {
    const spec::Training &training = spec.training();
    int64_t data = spec.parallelism().data();
    int64_t perMicrobatch = saturatingProduct({training.micro_batch_size(), data});
    if (training.global_batch_size() % perMicrobatch == 0)
      return;
    std::string ranks = data == 1 ? "" : fmt::format(" times {} data ranks", data);
    std::string plan = fmt::format("set {}={}", name("training.global_batch_size"),
                                   (training.global_batch_size() / perMicrobatch + 1) * perMicrobatch);
    if (name("parallelism.world_size") == "--ranks") {
      int64_t fewer = data;
      while (fewer > 1 && training.global_batch_size() % (training.micro_batch_size() * fewer) != 0)
        --fewer;
      if (training.global_batch_size() % (training.micro_batch_size() * fewer) == 0)
        plan += fmt::format(", or use --ranks {}", spec.parallelism().world_size() / data * fewer);
    }
    if (data > 1)
      plan += fmt::format(" ({})", place("training.micro_batch_size"));
    error("training.global_batch_size",
          fmt::format("{} {} is not a multiple of {} {}{}", name("training.global_batch_size"),
                      training.global_batch_size(), name("training.micro_batch_size"), training.micro_batch_size(),
                      ranks),
          plan);
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
            fmt::format("lower it too ({})", place("optimizer.learning_rate")));
    atLeast("optimizer.decay_steps", optimizer.decay_steps(), 1);
    atLeast("optimizer.stable_steps", optimizer.stable_steps(), 0);
    if (optimizer.warmup_steps() >= optimizer.decay_steps() && optimizer.warmup_steps() > 0)
      error("optimizer.warmup_steps",
            fmt::format("the warm-up of {} steps leaves nothing of the {} steps over which the learning rate decays",
                        optimizer.warmup_steps(), optimizer.decay_steps()),
            fmt::format("set {} to at most {} ({})", name("optimizer.warmup_steps"), optimizer.decay_steps() - 1,
                        place("optimizer.decay_steps")));
    if (optimizer.warmup_init() > optimizer.learning_rate())
      error("optimizer.warmup_init",
            fmt::format("{} {} is above {} {}", name("optimizer.warmup_init"), optimizer.warmup_init(),
                        name("optimizer.learning_rate"), optimizer.learning_rate()),
            fmt::format("warm-up begins below the highest rate ({})", place("optimizer.learning_rate")));
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

};

} // namespace

void verifySpec(const spec::TrainingSpec &spec, Diagnostics &diagnostics) {
  SpecVerifier verifier(spec, diagnostics);
  verifier.verify();
  if (diagnostics.hasErrors())
    return;
  verifyParallelism(verifier);
  if (!diagnostics.hasErrors())
    verifyFp8(verifier);
  if (!diagnostics.hasErrors())
    verifyMemory(verifier);
  refuseUnsupportedAxes(verifier);
}

} // namespace primus::config
