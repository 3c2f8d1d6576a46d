//===- VerifyParallelism.cpp - Parallel sizes against what they split -----===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/Config.h"
#include "frontend/config/SpecChecker.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace primus::config {

namespace {

/// A parallel size, and quantities that it has to divide.
class Divider {
public:
  Divider(SpecChecker &check, std::string field, int64_t size) : check(check), field(std::move(field)), size(size) {}

  /// `factor`: into how many equal parts the quantity is split besides; `reason` says by what.
  void add(std::string quantityField, int64_t quantity, int64_t factor = 1, std::string reason = {}) {
    common = std::gcd(common, quantity % factor == 0 ? quantity / factor : 1);
    if (offender.empty() && quantity % (factor * size) != 0) {
      offender = std::move(quantityField);
      amount = quantity;
      others = factor == 1 ? "" : reason + " * ";
    }
  }

  /// One error for the first quantity that does not divide, with the nearest smaller size that divides all.
  void finish() const {
    if (offender.empty())
      return;
    int64_t fit = std::min(size - 1, common);
    while (fit > 1 && common % fit != 0)
      --fit;
    fit = std::max<int64_t>(fit, 1);
    std::string name = check.name(field);
    check.error(field,
                fmt::format("{} {} is not a multiple of {}{} {}", check.name(offender), amount, others, name, size),
                fmt::format("set {}={} ({})", name, fit, check.place(offender)));
  }

private:
  SpecChecker &check;
  std::string field, offender, others;
  int64_t size, common = 0, amount = 0;
};

} // namespace

static void verifyTensor(SpecChecker &check) {
  const spec::TrainingSpec &spec = check.spec;
  Divider divider(check, "parallelism.tensor", spec.parallelism().tensor());
  for (int i = 0; i < spec.model().layers_size(); ++i) {
    const spec::Layer &layer = spec.model().layers(i).layer();
    std::string path = fmt::format("model.layers[{}].layer.", i);
    if (layer.has_attention()) {
      divider.add(path + "attention.heads", layer.attention().heads());
      divider.add(path + "attention.groups", layer.attention().groups());
    }
    if (layer.has_feed_forward())
      divider.add(path + "feed_forward.width", layer.feed_forward().width());
  }
  divider.add("model.embedding.padded_vocabulary", spec.model().embedding().padded_vocabulary());
  int64_t context = spec.parallelism().context();
  if (spec.parallelism().sequence_parallel())
    divider.add("training.sequence_length", spec.training().sequence_length(), context,
                fmt::format("{} {}", check.name("parallelism.context"), context));
  divider.finish();
}

/// Ranks of context parallelism hold one share from the beginning and one from the end of a sequence, so that a causal
/// mask gives all of them the same work.
static void verifyContext(SpecChecker &check) {
  if (check.spec.parallelism().context() == 1)
    return;
  Divider divider(check, "parallelism.context", check.spec.parallelism().context());
  divider.add("training.sequence_length", check.spec.training().sequence_length(), /*factor=*/2, "2");
  divider.finish();
}

static void verifyWorldSize(SpecChecker &check) {
  const spec::Parallelism &parallel = check.spec.parallelism();
  if (parallel.data() != parallel.replicate() * parallel.shard())
    check.error("parallelism.data", fmt::format("{} data ranks are not {} groups of {}", parallel.data(),
                                                parallel.replicate(), parallel.shard()));
  if (parallel.zero_stage() < 0 || parallel.zero_stage() > 3)
    check.error("parallelism.zero_stage",
                fmt::format("'{}' must be from 0 to 3, but is {}", check.name("parallelism.zero_stage"),
                            parallel.zero_stage()));
  int64_t product =
      saturatingProduct({parallel.data(), parallel.tensor(), parallel.pipeline(), parallel.context()});
  if (parallel.world_size() != product)
    check.error("parallelism.world_size",
                fmt::format("{} ranks are not data {} * tensor {} * pipeline {} * context {}", parallel.world_size(),
                            parallel.data(), parallel.tensor(), parallel.pipeline(), parallel.context()));
}

/// Every parallel size with its field.
static std::array<std::pair<const char *, int64_t>, 6> parallelSizes(const spec::Parallelism &parallel) {
  return {{{"parallelism.tensor", parallel.tensor()},
           {"parallelism.pipeline", parallel.pipeline()},
           {"parallelism.context", parallel.context()},
           {"parallelism.expert", parallel.expert()},
           {"parallelism.replicate", parallel.replicate()},
           {"parallelism.shard", parallel.shard()}}};
}

void verifyParallelism(SpecChecker &check) {
  bool valid = true;
  for (auto [field, size] : parallelSizes(check.spec.parallelism())) {
    valid &= check.atLeast(field, size, 1) && size <= mostRanks;
    if (size > mostRanks)
      check.error(field, fmt::format("'{}' must be at most {}, but is {}", check.name(field), mostRanks, size));
  }
  if (!valid)
    return;
  verifyTensor(check);
  verifyContext(check);
  verifyPipeline(check);
  verifyWorldSize(check);
}

void refuseUnsupportedAxes(SpecChecker &check) {
  const char *field = "parallelism.expert";
  if (int64_t size = check.spec.parallelism().expert(); size > 1)
    check.error(field, fmt::format("{} = {} is not supported: expert parallelism", check.name(field), size),
                fmt::format("set {}=1", check.name(field)));
}

} // namespace primus::config
