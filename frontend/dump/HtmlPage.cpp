//===- HtmlPage.cpp - A dump as one page for a browser --------------------===//

#include "frontend/dump/HtmlPage.h"

#include "frontend/dump/MemoryTimeline.h"
#include "frontend/dump/PageAssets.h"
#include "frontend/dump/PageSections.h"
#include "frontend/dump/PhaseFigures.h"
#include "frontend/models/ModelBuilder.h"
#include "ir/step/StepDialect.h"
#include "passes/Pipeline.h"

#include <fmt/format.h>

using namespace mlir;
using namespace primus;
using namespace primus::cli;
using Json = nlohmann::ordered_json;

static Json describePhase(unsigned index) {
  const Phase &phase = getPhases()[index];
  return {{"name", phase.name.str()},
          {"summary", phase.summary.str()},
          {"file", fmt::format("{:02}-{}.{}", index, phase.name.str(), phase.extension.str())},
          {"sections", Json::array()}};
}

void HtmlPage::addPhase(unsigned index) { phases.push_back(describePhase(index)); }

unsigned HtmlPage::addLines(Json lines) {
  auto [entry, isNew] = knownTexts.try_emplace(lines.dump(-1, ' ', false, Json::error_handler_t::replace), texts.size());
  if (isNew)
    texts.push_back(std::move(lines));
  return entry->second;
}

void HtmlPage::addText(unsigned index, const std::string &text) {
  Json phase = describePhase(index);
  phase["sections"] = {{{"kind", "text"}, {"name", phase["name"]}, {"text", addLines(Json::array({text}))}}};
  phases.push_back(std::move(phase));
}

void HtmlPage::addModule(unsigned index, ModuleOp module) {
  Json phase = describePhase(index);
  Json &list = phase["sections"];
  for (const PageSection &section : getSections(module)) {
    Json lines = Json::array();
    for (const FoldedLines &part : section.lines) {
      if (part.repeats == 1)
        lines.push_back(part.text);
      else
        lines.push_back({{"repeats", part.repeats}, {"first", part.first}, {"last", part.last}, {"text", part.text}});
    }
    Json &entry = list.emplace_back(Json{{"kind", section.kind}, {"name", section.name}, {"text", addLines(std::move(lines))}});
    if (section.ops)
      entry["ops"] = section.ops;
    if (section.flops)
      entry["flops"] = section.flops;
    if (section.calls)
      entry.update({{"calls", section.calls}, {"first", section.first}, {"last", section.last}});
  }
  phases.push_back(std::move(phase));
  flopsPerStep = models::getModelFlops(module).value_or(flopsPerStep);

  if (module.getOps<step::ProgramOp>().empty())
    return;
  memory = MemoryTimeline::of(module).toJson();
  kernels = Json::array();
  for (const PageKernel &kernel : getKernels(module)) {
    Json arguments = Json::array();
    for (const PageKernel::Argument &argument : kernel.arguments)
      arguments.push_back({argument.name, argument.type, argument.access});
    kernels.push_back({{"name", kernel.name},
                       {"family", kernel.family},
                       {"defined_by", kernel.definedBy},
                       {"grid", kernel.grid},
                       {"flops", kernel.flops},
                       {"bytes", kernel.bytes},
                       {"launches", kernel.launches},
                       {"arguments", arguments}});
  }
}

void HtmlPage::setFacts(const spec::TrainingSpec &spec, const CompileOptions &options) {
  int64_t layers = 0;
  for (const spec::LayerGroup &group : spec.model().layers())
    layers += group.count();
  facts = {{"model", spec.model().name()},
           {"target", spec.target().empty() ? "cpu" : spec.target()},
           {"layers", layers},
           {"width", spec.model().width()},
           {"sequence length", spec.training().sequence_length()},
           {"sequences per microbatch", spec.training().micro_batch_size()},
           {"sequences per step", spec.training().global_batch_size()},
           {"precision", llvm::StringRef(spec::Precision_Name(spec.training().precision())).lower()},
           {"ranks", std::max<int64_t>(spec.parallelism().world_size(), 1)}};
  if (!options.cpuFeatures.empty())
    facts["CPU features"] = options.cpuFeatures;
  // Paths are facts of a machine.
  std::string overrides;
  for (const std::string &entry : options.config.overrides)
    if (entry.find('/') == std::string::npos)
      overrides += (overrides.empty() ? "" : " ") + entry;
  if (!overrides.empty())
    facts["command line"] = overrides;
}

std::string cli::escapeForScript(const Json &value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace), result;
  result.reserve(text.size() + text.size() / 16);
  // Outside of strings JSON has none of these.
  for (char c : text)
    if (c == '<' || c == '>' || c == '&')
      result += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      result += c;
  return result;
}

std::string HtmlPage::render(const Json &report) const {
  std::string json = escapeForScript({{"facts", facts},
                                      {"flops_per_step", describeCount(flopsPerStep)},
                                      {"report", report},
                                      {"phases", phases},
                                      {"texts", texts},
                                      {"memory", memory},
                                      {"kernels", kernels},
                                      {"pipeline", pipeline}});
  // The page's template marks where things go; what goes in is not searched again.
  std::string page;
  for (llvm::StringRef rest = assets::page; !rest.empty();) {
    auto [before, tail] = rest.split("{{");
    page += before;
    auto [name, after] = tail.split("}}");
    page += name == "style" ? assets::style : name == "script" ? assets::script : name == "data" ? llvm::StringRef(json) : "";
    rest = after;
  }
  return page;
}
