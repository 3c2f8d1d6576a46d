//===- HtmlPage.h - A dump as one page for a browser --------------*- C++ -*-===//

#pragma once

#include "frontend/cli/CommandLine.h"

#include "mlir/IR/BuiltinOps.h"

#include <nlohmann/json.hpp>

#include <map>

namespace primus::cli {

/// Collects what a compilation shows of itself and writes it as one HTML file that needs no other one and no network: the phases' texts with
/// repeated layers folded, memory over the step, and kernels. The scripts and styles are the files of frontend/dump/html.
class HtmlPage {
public:
  /// A phase without text (objects).
  void addPhase(unsigned phase);
  /// A phase that is a text.
  void addText(unsigned phase, const std::string &text);
  /// A phase that is a module. From `step` on with memory and kernels.
  void addModule(unsigned phase, mlir::ModuleOp module);
  /// Facts of the experiment, for the page's head.
  void setFacts(const spec::TrainingSpec &spec, const CompileOptions &options);

  /// PipelineFigures::toPage.
  void setPipeline(nlohmann::ordered_json figures) { pipeline = std::move(figures); }

  bool isEmpty() const { return phases.empty(); }
  /// The page; `report` is what --report prints.
  std::string render(const nlohmann::ordered_json &report) const;

private:
  /// Number of the text, which is kept once.
  unsigned addLines(nlohmann::ordered_json lines);

  nlohmann::ordered_json phases = nlohmann::ordered_json::array(), texts = nlohmann::ordered_json::array(), facts, memory, kernels, pipeline;
  std::map<std::string, unsigned> knownTexts;
  double flopsPerStep = 0;
};

/// JSON as the content of a script element: no text in it can end the element or start a comment.
std::string escapeForScript(const nlohmann::ordered_json &value);

} // namespace primus::cli
