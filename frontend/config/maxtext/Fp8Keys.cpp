//===- Fp8Keys.cpp - 8-bit products as MaxText asks for them --------------===//

#include "frontend/config/Fp8.h"
#include "frontend/config/maxtext/MaxText.h"

#include <fmt/format.h>

namespace primus::config::maxtext {

void mapFp8(Mapping &m) {
  Setting<std::string> kind = m.keys.text("quantization", "");
  if (kind.value.empty())
    return;
  if (kind.value != "fp8" && kind.value != "nanoo_fp8") {
    m.diagnostics.error(kind.origin.location,
                        fmt::format("'quantization: \"{}\"' is not supported: that kind of quantisation", kind.value),
                        "supported: fp8, nanoo_fp8");
    return;
  }
  // flax.linen.fp8_ops: scales from the largest values of 1024 steps, e5m2 for the gradients of outputs.
  Setting<std::string> recipe = derived<std::string>("delayed", "quantization " + kind.value, kind.origin);
  m.spec.set("training.fp8.recipe", recipe);
  m.spec.set("training.fp8.format", derived<std::string>("hybrid", "quantization " + kind.value, kind.origin));
  m.spec.set("training.fp8.history", derived<int64_t>(1024, "quantization " + kind.value, kind.origin));
  m.spec.set("training.fp8.algorithm", derived<std::string>("max", "quantization " + kind.value, kind.origin));
  setFp8Encoding(m, recipe, kind.with<std::string>(kind.value == "nanoo_fp8" ? "fnuz" : "ocp"));
}

} // namespace primus::config::maxtext
