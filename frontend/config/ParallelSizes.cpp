//===- ParallelSizes.cpp - How many ranks share what ----------------------===//

#include "frontend/config/ParallelSizes.h"

#include "frontend/config/CommonKeys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

namespace primus::config {

/// All sizes that multiply to the world size. Ranks of expert parallelism are among the data ranks.
static std::array<ParallelSize *, 5> factors(ParallelSizes &sizes) {
  return {&sizes.tensor, &sizes.pipeline, &sizes.context, &sizes.replicate, &sizes.shard};
}

static int64_t multiply(ParallelSizes &sizes) {
  int64_t product = 1;
  for (const ParallelSize *factor : factors(sizes))
    product = saturatingProduct({product, factor->size.value});
  return product;
}

/// "tensor_model_parallel_size 2 (exp.yaml:12:3) * context_parallel_size 4 (command line)".
static std::string describe(ParallelSizes &sizes) {
  std::vector<std::string> parts;
  for (const ParallelSize *factor : factors(sizes))
    if (factor->size.value > 1)
      parts.push_back(fmt::format("{} {} ({})", factor->size.origin.key, factor->size.value,
                                  factor->size.origin.location.str()));
  return fmt::format("{}", fmt::join(parts, " * "));
}

/// Where --ranks stands.
static Location atCommandLine() { return {nullptr, 0, 0, Layer::CommandLine}; }

/// The ranks that are left for the size that takes them; 1, after an error, where they do not come out even.
static int64_t shareRanks(Mapping &m, ParallelSizes &sizes, bool hasRest) {
  int64_t ranks = m.config.ranks, product = multiply(sizes);
  if (ranks == 0 || ranks == product)
    return 1;
  if (hasRest && ranks % product == 0)
    return ranks / product;
  if (hasRest) {
    int64_t below = ranks / product * product;
    m.diagnostics.error(atCommandLine(),
                        fmt::format("--ranks {} is not a multiple of the {} ranks of {}", ranks, product,
                                    describe(sizes)),
                        below ? fmt::format("use --ranks {} or --ranks {}", below, below + product)
                              : fmt::format("use --ranks {}", product));
    return 1;
  }
  std::string what = product == 1 ? "the one rank of this experiment's parallel sizes"
                                  : fmt::format("the {} ranks of {}", product, describe(sizes));
  m.diagnostics.error(atCommandLine(), fmt::format("--ranks {} does not match {}", ranks, what),
                      fmt::format("use --ranks {}, or set {}=-1, which takes the ranks that are left", product,
                                  sizes.shard.size.origin.key));
  return 1;
}

ParallelSizes setParallelSizes(Mapping &m, ParallelSizes sizes) {
  ParallelSize *taker = nullptr;
  for (ParallelSize *factor : factors(sizes))
    if (factor->rest)
      taker = factor;
  int64_t left = shareRanks(m, sizes, taker != nullptr);
  if (taker) {
    std::string reason = m.config.ranks ? fmt::format("the ranks that are left of --ranks {}", m.config.ranks)
                                        : "the ranks that are left: as few as there may be (--ranks)";
    taker->size = derived(saturatingProduct({taker->size.value, left}), std::move(reason), *taker->rest);
    taker->rest.reset();
  }
  m.spec.set("parallelism.tensor", sizes.tensor.size);
  m.spec.set("parallelism.pipeline", sizes.pipeline.size);
  m.spec.set("parallelism.context", sizes.context.size);
  m.spec.set("parallelism.expert", sizes.expert.size);
  m.spec.set("parallelism.replicate", sizes.replicate.size);
  m.spec.set("parallelism.shard", sizes.shard.size);
  const Setting<int64_t> &larger =
      sizes.replicate.size.value > sizes.shard.size.value ? sizes.replicate.size : sizes.shard.size;
  m.spec.set("parallelism.data",
             derived(saturatingProduct({sizes.replicate.size.value, sizes.shard.size.value}),
                     "parallelism.replicate * parallelism.shard", larger.origin));
  m.spec.set("parallelism.world_size", m.config.ranks
                                           ? Setting<int64_t>{multiply(sizes), {"--ranks", atCommandLine()}}
                                           : derived(multiply(sizes), "the product of the parallel sizes",
                                                     sizes.tensor.size.origin));
  return sizes;
}

/// Beyond lies a slip of the pen.
static constexpr int64_t mostTokens = int64_t(1) << 31;

void padVocabulary(Mapping &m, const Origin &tokens) {
  int64_t vocabulary = m.spec.get().model().embedding().vocabulary(), ranks = m.spec.get().parallelism().tensor();
  if (vocabulary > mostTokens || ranks > mostTokens) {
    m.diagnostics.error(tokens.location, fmt::format("a vocabulary of {} tokens for {} tensor parallel ranks is out of "
                                                     "range",
                                                     vocabulary, ranks));
    return;
  }
  int64_t padding = (ranks - vocabulary % ranks) % ranks;
  m.spec.set("model.embedding.padded_vocabulary",
             derived(vocabulary + padding,
                     padding ? fmt::format("{} and {} rows, so that {} ranks share them evenly", tokens.key, padding,
                                           ranks)
                             : tokens.key + " (this framework does not pad it)",
                     tokens));
}

} // namespace primus::config
