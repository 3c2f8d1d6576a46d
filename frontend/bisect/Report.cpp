//===- Report.cpp - What a bisection found, for people and programs -------===//

#include "frontend/bisect/Bisect.h"

#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

using namespace primus;
using namespace primus::bisect;

static std::string formatDifference(double value) { return value < 0 ? "-" : fmt::format("{:.1e}", value); }

static std::string describeFinding(const Finding &finding) {
  std::string text;
  auto line = [&](const char *label, const std::string &content) {
    if (!content.empty())
      text += fmt::format("  {:<9}{}\n", label, content);
  };
  line("pass", finding.pass);
  if (!finding.function.empty())
    line("call", fmt::format("@{} for {}{}", finding.function, finding.instance,
                             finding.occurrence ? fmt::format(", call {} of it", finding.occurrence + 1) : ""));
  if (!finding.kernel.empty())
    line("kernel", finding.kernel);
  line("family", finding.family);
  if (!finding.op.empty())
    line("op", finding.op + (finding.composite.empty() ? "" : ", in the definition of " + finding.composite));
  if (!finding.value.empty())
    line("value", fmt::format("{}.{}{}", finding.instance, finding.value, finding.type.empty() ? "" : " : " + finding.type));
  if (finding.hasValue()) {
    line("element", fmt::format("[{}] was {:.9g}, is {:.9g}: a relative difference of {:.3g}", fmt::join(finding.element, ", "),
                                finding.expected, finding.actual, finding.relative));
    if (finding.count > 0)
      line("elements", fmt::format("{} of {} differ", finding.count, finding.size));
  }
  if (finding.confirmed)
    line("proof", "with the value from before here, the function's results are those from before");
  line("note", finding.note);
  return text;
}

std::string bisect::describe(const BisectResult &result) {
  std::string text = fmt::format("loss {:.9g}\n\n{:<9} {:<9} {:<9} {:>9} {:>10} {:>11} {:>9}\n", result.loss, "phase", "against", "mode",
                                 "loss", "gradients", "parameters", "kernels");
  for (const PhaseComparison &comparison : result.comparisons)
    text += fmt::format("{:<9} {:<9} {:<9} {:>9} {:>10} {:>11} {:>9}  {}\n", comparison.phase, comparison.before, comparison.mode,
                        formatDifference(comparison.loss), formatDifference(comparison.gradients),
                        formatDifference(comparison.parameters), formatDifference(comparison.kernels),
                        comparison.differs ? fmt::format("DIFFERS ({}; allowed {:g})", comparison.worst, comparison.tolerance) : "OK");
  if (!result.finding) {
    text += "\nAll phases agree.\n";
    if (!std::isfinite(result.loss))
      text += "The loss is no number, though: NaN agrees with NaN. Look at the model, or try another seed.\n";
    return text;
  }
  const PhaseComparison &last = result.comparisons.back();
  text += fmt::format("\nPhase {} differs from phase {}:\n{}", last.phase, last.before, describeFinding(*result.finding));
  return text;
}

/// JSON has no infinities and no NaN.
static nlohmann::ordered_json toNumber(double value) {
  if (std::isfinite(value))
    return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

nlohmann::ordered_json bisect::toJson(const BisectResult &result) {
  nlohmann::ordered_json json = {{"loss", toNumber(result.loss)}, {"agrees", !result.finding.has_value()}};
  auto &comparisons = json["comparisons"] = nlohmann::ordered_json::array();
  for (const PhaseComparison &comparison : result.comparisons) {
    nlohmann::ordered_json &entry = comparisons.emplace_back();
    entry = {{"phase", comparison.phase}, {"against", comparison.before}, {"mode", comparison.mode}};
    for (auto [name, value] : {std::pair("loss", comparison.loss), {"gradients", comparison.gradients},
                               {"parameters", comparison.parameters}, {"kernels", comparison.kernels}})
      if (!(value < 0))
        entry[name] = toNumber(value);
    entry["tolerance"] = comparison.tolerance;
    entry["differs"] = comparison.differs;
    if (comparison.differs)
      entry["worst"] = comparison.worst;
  }
  if (!result.finding)
    return json;
  const Finding &finding = *result.finding;
  nlohmann::ordered_json &found = json["finding"];
  found["phase"] = result.comparisons.back().phase;
  for (auto [name, value] : {std::pair("pass", &finding.pass), {"function", &finding.function}, {"instance", &finding.instance},
                             {"kernel", &finding.kernel}, {"family", &finding.family}, {"op", &finding.op},
                             {"composite", &finding.composite}, {"value", &finding.value}, {"type", &finding.type}, {"note", &finding.note}})
    if (!value->empty())
      found[name] = *value;
  found["call"] = finding.occurrence;
  if (finding.hasValue()) {
    found["element"] = std::vector<int64_t>(finding.element.begin(), finding.element.end());
    found["expected"] = toNumber(finding.expected);
    found["actual"] = toNumber(finding.actual);
    found["absolute_difference"] = toNumber(std::abs(finding.actual - finding.expected));
    found["relative_difference"] = toNumber(finding.relative);
    if (finding.count > 0)
      found["elements_that_differ"] = finding.count;
    found["elements"] = finding.size;
  }
  found["confirmed"] = finding.confirmed;
  return json;
}
