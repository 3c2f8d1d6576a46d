//===- Fp8Keys.cpp - 8-bit products as Megatron asks for them -------------===//

#include "frontend/config/Fp8.h"
#include "frontend/config/megatron/Megatron.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace primus::config::megatron {

/// The layers at both ends that first_last_layers_bf16 leaves as they are.
static void mapKeptLayers(Mapping &m) {
  Setting<bool> ends = m.keys.boolean("first_last_layers_bf16", false);
  Setting<int64_t> first = m.keys.count("num_layers_at_start_in_bf16", 1, 0);
  Setting<int64_t> last = m.keys.count("num_layers_at_end_in_bf16", 1, 0);
  if (!ends.value)
    return;
  int64_t depth = 0;
  for (const spec::LayerGroup &group : m.spec.get().model().layers())
    depth += group.count();
  std::vector<std::string> kept;
  for (int64_t layer = 0; layer < depth; ++layer)
    if (layer < first.value || layer >= depth - last.value)
      kept.push_back(fmt::format("layers.{}", layer));
  m.spec.set("training.fp8.keep", ends.with(kept));
}

void mapFp8(Mapping &m) {
  std::vector<std::string> recipes = fp8RecipeNames();
  if (auto named = m.keys.tryText("fp8_recipe"); named && isFourBits(named->value))
    return refuseFp8Recipe(m, *named, fmt::format("{}", fmt::join(recipes, ", ")));
  Setting<std::string> recipe = m.keys.choice("fp8_recipe", "delayed", recipes);
  Setting<int64_t> margin = m.keys.integer("fp8_margin", 0), history = m.keys.count("fp8_amax_history_len", 1, 1);
  Setting<std::string> algorithm = m.keys.choice("fp8_amax_compute_algo", "most_recent", {"most_recent", "max"});
  Setting<bool> weightGradients = m.keys.boolean("fp8_wgrad", true);
  std::optional<Setting<std::string>> contexts = m.keys.tryText("te_precision_config_file");
  std::optional<Setting<std::string>> encoding;
  if (m.keys.isSet("fp8_encoding"))
    encoding = m.keys.choice("fp8_encoding", "ocp", {"ocp", "fnuz"});
  // `fp8=false` is how our own messages say null on the command line.
  const Value *written = m.keys.value("fp8");
  const bool *flag = written ? written->asBool() : nullptr;
  if (!written || (flag && !*flag)) {
    for (const Origin &origin : {recipe.origin, margin.origin, history.origin, algorithm.origin, weightGradients.origin})
      if (origin.isOwn())
        m.warnOfNoEffect(origin, "fp8", "fp8=hybrid");
    return;
  }
  Setting<std::string> format = m.keys.choice("fp8", "hybrid", {"e4m3", "hybrid"});
  if (contexts)
    m.diagnostics.error(contexts->origin.location,
                        fmt::format("'te_precision_config_file: \"{}\"' is not supported: precision by a file of contexts",
                                    contexts->value),
                        "set te_precision_config_file=None");
  m.spec.set("training.fp8.recipe", recipe);
  m.spec.set("training.fp8.format", format);
  m.spec.set("training.fp8.margin", margin);
  m.spec.set("training.fp8.history", history);
  m.spec.set("training.fp8.algorithm", algorithm);
  m.spec.set("training.fp8.wide_wgrad", weightGradients.with(!weightGradients.value));
  setFp8Encoding(m, recipe, encoding);
  mapKeptLayers(m);
}

} // namespace primus::config::megatron
