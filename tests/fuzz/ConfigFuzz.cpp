//===- ConfigFuzz.cpp - The configuration loader over damaged input -------===//

#include "tests/fuzz/ConfigFuzz.h"

#include "frontend/config/Flavour.h"
#include "frontend/config/toml/Toml.h"
#include "frontend/config/yaml/Environment.h"
#include "frontend/config/yaml/Merge.h"
#include "frontend/config/yaml/Parser.h"

#include <cstdlib>

using namespace primus::config;

/// Ends the process unless exactly one of a value and an error is there.
static void checkOutcome(bool hasValue, const Diagnostics &diagnostics) {
  if (!hasValue && (!diagnostics.hasErrors() || diagnostics.str().empty()))
    std::abort();
}

/// The flavours' part: keys are judged, mapped and explained.
static void buildSpecs(const Map &params) {
  for (const Flavour &flavour : flavours()) {
    ResolvedConfig config;
    config.framework = flavour.framework;
    config.module = "pre_trainer";
    config.params = params;
    config.json();
    Diagnostics diagnostics;
    std::optional<SpecResult> result = buildSpec(config, diagnostics);
    checkOutcome(result.has_value(), diagnostics);
    if (result)
      explain(config, *result);
  }
}

bool primus::test::fuzzConfig(std::string_view bytes) {
  bool accepted = false;
  std::string text(bytes);
  for (auto *parse : {+[](const std::string &input, Diagnostics &diagnostics) {
                        return parseYaml(input, "input.yaml", diagnostics);
                      },
                      +[](const std::string &input, Diagnostics &diagnostics) {
                        return parseToml(input, "input.toml", diagnostics);
                      }}) {
    Diagnostics diagnostics;
    std::optional<Value> value = parse(text, diagnostics);
    checkOutcome(value.has_value(), diagnostics);
    if (!value || diagnostics.hasErrors())
      continue;
    accepted = true;
    substituteEnvironment(*value, diagnostics);
    if (!value->isMap())
      continue;
    Map merged = *value->asMap();
    std::vector<Hidden> hidden;
    mergeMap(merged, *value->asMap(), {/*nullStrings=*/true, &hidden});
    buildSpecs(merged);
  }
  return accepted;
}
