//===- Fp8Keys.cpp - 8-bit products as TorchTitan asks for them -----------===//

#include "frontend/config/Fp8.h"
#include "frontend/config/torchtitan/TorchTitan.h"

#include <fmt/format.h>

#include <algorithm>

namespace primus::config::torchtitan {

/// What TorchTitan's Llama calls a linear layer.
static const char *moduleName(std::string_view linear) {
  static constexpr std::pair<std::string_view, const char *> names[] = {
      {"attention.q", "attention.wq"},         {"attention.k", "attention.wk"},
      {"attention.v", "attention.wv"},         {"attention.output", "attention.wo"},
      {"feed_forward.gate", "feed_forward.w1"}, {"feed_forward.up", "feed_forward.w3"},
      {"feed_forward.down", "feed_forward.w2"}};
  return std::find_if(std::begin(names), std::end(names), [&](auto &entry) { return entry.first == linear; })->second;
}

/// The linear layers whose names (layers.0.attention.wq) contain one of the filters.
static std::vector<std::string> findKept(const std::vector<std::string> &filters, int64_t depth) {
  auto matches = [&](const std::string &name) {
    return std::any_of(filters.begin(), filters.end(), [&](const std::string &filter) { return name.find(filter) != name.npos; });
  };
  std::vector<std::string> kept;
  for (const char *linear : linearNames()) {
    std::vector<std::string> ofLayers;
    for (int64_t layer = 0; layer < depth; ++layer)
      if (matches(fmt::format("layers.{}.{}", layer, moduleName(linear))))
        ofLayers.push_back(fmt::format("layers.{}.{}", layer, linear));
    if (static_cast<int64_t>(ofLayers.size()) == depth)
      ofLayers = {linear};
    kept.insert(kept.end(), ofLayers.begin(), ofLayers.end());
  }
  return kept;
}

void mapFp8(Mapping &m) {
  Setting<std::vector<std::string>> none = {{}, m.keys.origin("model.converters")};
  Setting<std::vector<std::string>> converters = m.keys.tryTexts("model.converters").value_or(none);
  Setting<std::string> floatRecipe = m.keys.text("quantize.linear.float8.recipe_name", "tensorwise");
  Setting<std::string> mxRecipe = m.keys.text("quantize.linear.mx.recipe_name", "mxfp8_cublas");
  auto floatFilters = m.keys.tryTexts("quantize.linear.float8.filter_fqns"), mxFilters = m.keys.tryTexts("quantize.linear.mx.filter_fqns");
  bool isFloat8 = false, isMx = false;
  for (const std::string &converter : converters.value) {
    isFloat8 |= converter == "quantize.linear.float8";
    isMx |= converter == "quantize.linear.mx";
    // Exchanges kernels of a library that is not used here.
    if (converter != "primus_turbo" && converter != "quantize.linear.float8" && converter != "quantize.linear.mx")
      m.diagnostics.error(converters.origin.location,
                          fmt::format("'model.converters: \"{}\"' is not supported: that converter", converter),
                          "supported: primus_turbo, quantize.linear.float8, quantize.linear.mx");
  }
  if (isFloat8 && isMx)
    m.diagnostics.error(converters.origin.location, "quantize.linear.float8 and quantize.linear.mx exclude each other",
                        "name one of them only in model.converters");
  if (!isFloat8 && !isMx)
    return;
  const Setting<std::string> &name = isMx ? mxRecipe : floatRecipe;
  if (isMx && !name.value.starts_with("mxfp8"))
    refuseFp8Recipe(m, name, "mxfp8_cublas, mxfp8_emulated");
  if (!isMx && name.value != "tensorwise" && name.value != "rowwise")
    refuseFp8Recipe(m, name, "tensorwise, rowwise");
  Setting<std::string> recipe = isMx ? name.with<std::string>("mxfp8") : name;
  m.spec.set("training.fp8.recipe", recipe);
  // torchao quantises the outputs' gradients to e5m2 where a tensor has one scale, and all to e4m3 otherwise.
  m.spec.set("training.fp8.format", derived<std::string>(recipe.value == "tensorwise" ? "hybrid" : "e4m3",
                                                         "the recipe's formats", name.origin));
  m.spec.set("training.fp8.history", derived<int64_t>(1, "scales of the values themselves", name.origin));
  setFp8Encoding(m, recipe, std::nullopt);
  int64_t depth = m.spec.get().model().layers(0).count();
  if (const auto &filters = isMx ? mxFilters : floatFilters)
    m.spec.set("training.fp8.keep", filters->with(findKept(filters->value, depth)));
  m.notes.push_back("the projection to the vocabulary is never quantised, whatever " +
                    std::string(isMx ? "quantize.linear.mx" : "quantize.linear.float8") + ".filter_fqns says");
}

} // namespace primus::config::torchtitan
