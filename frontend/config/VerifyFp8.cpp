//===- VerifyFp8.cpp - Whether layers can be quantised as asked -----------===//

#include "frontend/config/Fp8.h"
#include "frontend/config/SpecChecker.h"
#include "passes/fp8/RecipeTable.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace primus::config {

/// Sizes that a recipe divides into blocks, each a rank's part.
static void verifyBlocks(SpecChecker &check, int64_t block) {
  const spec::TrainingSpec &spec = check.spec;
  const std::string &recipe = spec.training().fp8().recipe();
  auto divides = [&](const std::string &field, int64_t size, int64_t ranks, const std::string &axis) {
    if (size % std::max<int64_t>(ranks, 1) != 0)
      return;
    int64_t part = size / std::max<int64_t>(ranks, 1);
    // What is smaller than a block is one, as long as no two ranks share it.
    if (part % block == 0 || (part < block && part == size))
      return;
    std::string parts = part == size ? "" : fmt::format(", {} on each of the {} ranks of {},", part, ranks, axis);
    check.error("training.fp8.recipe",
                fmt::format("'{}' {} divides sizes into blocks of {}, but {} {}{} is no multiple of it",
                            check.name("training.fp8.recipe"), recipe, block, check.name(field), size, parts),
                fmt::format("change it ({}), or the recipe", check.place(field)));
  };
  const spec::Parallelism &parallel = spec.parallelism();
  const std::string tensor = check.name("parallelism.tensor"), context = check.name("parallelism.context");
  divides("model.width", spec.model().width(), 1, tensor);
  divides("training.sequence_length", spec.training().sequence_length(), parallel.context(), context);
  for (int i = 0; i < spec.model().layers_size(); ++i) {
    const spec::Layer &layer = spec.model().layers(i).layer();
    std::string path = fmt::format("model.layers[{}].layer.", i);
    if (layer.has_attention()) {
      divides(path + "attention.heads", layer.attention().heads() * layer.attention().head_size(), parallel.tensor(), tensor);
      divides(path + "attention.groups", layer.attention().groups() * layer.attention().head_size(), parallel.tensor(), tensor);
    }
    if (layer.has_feed_forward())
      divides(path + "feed_forward.width", layer.feed_forward().width(), parallel.tensor(), tensor);
    if (check.diagnostics.hasErrors())
      return;
  }
}

void verifyFp8(SpecChecker &check) {
  const spec::Fp8 &settings = check.spec.training().fp8();
  if (settings.recipe().empty())
    return;
  const auto *recipe = std::find_if(std::begin(fp8::kRecipes), std::end(fp8::kRecipes),
                                    [&](const fp8::RecipeTraits &known) { return known.name == settings.recipe(); });
  if (recipe == std::end(fp8::kRecipes))
    return check.error("training.fp8.recipe", fmt::format("'{}' is {}, which is no recipe", check.name("training.fp8.recipe"), settings.recipe()),
                       fmt::format("known: {}", fmt::join(fp8RecipeNames(), ", ")));
  constexpr int64_t largestMargin = 64;
  if (std::abs(settings.margin()) > largestMargin)
    check.error("training.fp8.margin",
                fmt::format("'{}' must be between {} and {}, but is {}", check.name("training.fp8.margin"), -largestMargin,
                            largestMargin, settings.margin()));
  if (recipe->hasState)
    check.atLeast("training.fp8.history", settings.history(), 1);
  if (recipe->block)
    verifyBlocks(check, recipe->block);
}

} // namespace primus::config
