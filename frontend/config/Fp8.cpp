//===- Fp8.cpp - Linear layers of 8-bit floats ----------------------------===//

#include "frontend/config/Fp8.h"

#include "passes/fp8/RecipeTable.h"

#include <fmt/format.h>

namespace primus::config {

std::span<const char *const> linearNames() {
  static constexpr const char *names[] = {"attention.q",       "attention.k",     "attention.v",      "attention.output",
                                          "feed_forward.gate", "feed_forward.up", "feed_forward.down"};
  return names;
}

std::vector<std::string> fp8RecipeNames() {
  std::vector<std::string> names;
  for (const fp8::RecipeTraits &recipe : fp8::kRecipes)
    names.emplace_back(recipe.name);
  return names;
}

bool isFourBits(std::string_view recipe) { return recipe.find("fp4") != recipe.npos; }

void refuseFp8Recipe(Mapping &m, const Setting<std::string> &recipe, std::string_view supported) {
  m.diagnostics.error(recipe.origin.location,
                      fmt::format("'{}: \"{}\"' is not supported: {}", recipe.origin.key, recipe.value,
                                  isFourBits(recipe.value) ? "MXFP4 and other 4-bit formats" : "that recipe of 8-bit products"),
                      fmt::format("supported: {}", supported));
}

void setFp8Encoding(Mapping &m, const Setting<std::string> &recipe, std::optional<Setting<std::string>> wanted) {
  const std::string &target = m.config.target;
  std::string native = target == "gfx942" ? "fnuz" : "ocp";
  if (!wanted)
    wanted = derived(native, fmt::format("--target {}", target), recipe.origin);
  if (target != "cpu" && wanted->value != native)
    m.diagnostics.error(wanted->origin.location,
                        fmt::format("'{}' asks for 8-bit floats of encoding {}, but {} computes in {}",
                                    wanted->origin.key, wanted->value, target, native),
                        "leave the choice to the target, or use --target cpu, which computes in either");
  if (recipe.value == "mxfp8" && wanted->value == "fnuz")
    m.diagnostics.error(recipe.origin.location,
                        fmt::format("'{}' asks for mxfp8, which is not supported: it exists in the encoding ocp only, not in fnuz",
                                    recipe.origin.key),
                        target == "gfx942" ? "use --target gfx950 or cpu, or another recipe" : "use the encoding ocp");
  m.spec.set("training.fp8.encoding", *wanted);
}

} // namespace primus::config
