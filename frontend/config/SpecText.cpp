//===- SpecText.cpp - TrainingSpec as text and back -----------------------===//

#include "frontend/config/Config.h"
#include "frontend/config/Suggestion.h"

#include <fmt/format.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

namespace primus::config {

namespace {

/// Hands protobuf's messages to Diagnostics.
class ErrorCollector : public google::protobuf::io::ErrorCollector {
public:
  ErrorCollector(const std::string &name, Diagnostics &diagnostics)
      : file(std::make_shared<const std::string>(name)), diagnostics(diagnostics) {}

  void AddError(int line, int column, const std::string &message) override {
    diagnostics.error({file, line + 1, column + 1, Layer::Experiment}, message);
  }
  void AddWarning(int line, int column, const std::string &message) override {
    diagnostics.warning({file, line + 1, column + 1, Layer::Experiment}, message);
  }

private:
  std::shared_ptr<const std::string> file;
  Diagnostics &diagnostics;
};

} // namespace

std::string printSpec(const spec::TrainingSpec &spec) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseShortRepeatedPrimitives(true);
  std::string text;
  printer.PrintToString(spec, &text);
  return text;
}

std::optional<spec::TrainingSpec> parseSpec(const std::string &text, const std::string &name,
                                            Diagnostics &diagnostics) {
  google::protobuf::TextFormat::Parser parser;
  ErrorCollector collector(name, diagnostics);
  parser.RecordErrorsTo(&collector);
  spec::TrainingSpec spec;
  if (!parser.ParseFromString(text, &spec))
    return std::nullopt;
  Diagnostics rules;
  verifySpec(spec, rules);
  bool failed = rules.hasErrors();
  diagnostics.append(rules);
  return failed ? std::nullopt : std::optional(std::move(spec));
}

std::string sourceOf(const spec::TrainingSpec &spec, const std::string &field) {
  for (const spec::Source &source : spec.sources()) {
    if (source.field() != field)
      continue;
    if (source.file().empty())
      return source.layer();
    return source.line() ? fmt::format("{}:{}", source.file(), source.line()) : source.file();
  }
  return "default";
}

} // namespace primus::config
