//===- Fp8.cpp - Linear layers of 8-bit floats ----------------------------===//

#include "frontend/config/Fp8.h"

#include <fmt/format.h>

namespace primus::config {

std::span<const char *const> linearNames() {
  static constexpr const char *names[] = {"attention.q",       "attention.k",     "attention.v",      "attention.output",
                                          "feed_forward.gate", "feed_forward.up", "feed_forward.down"};
  return names;
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
