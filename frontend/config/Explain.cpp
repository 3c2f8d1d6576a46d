//===- Explain.cpp - Where every value came from --------------------------===//

#include "frontend/config/Config.h"
#include "frontend/config/SpecWriter.h"
#include "frontend/config/Suggestion.h"

#include <fmt/format.h>

#include <algorithm>

namespace primus::config {

namespace {

/// Writes the answers to --explain and --explain=KEY.
class Explainer {
public:
  Explainer(const ResolvedConfig &config, const SpecResult &result) : config(config), result(result) {}

  std::string all() {
    text = fmt::format("{} ({}, module {})\n", config.experimentFile, config.framework, config.module);
    text += "\nValues that count, and where each was set:\n";
    for (const auto &[key, fate] : result.fates)
      if (fate.kind == KeyFate::Kind::Mapped)
        addKey(key, fate);
    addFacts();
    section("Derived values:", "derived");
    addAccumulation();
    section("Defaults of the flavour, set nowhere:", "default");
    addHidden(/*key=*/{});
    text += "\nKeys without effect:\n";
    for (const auto &[key, fate] : result.fates)
      if (fate.kind != KeyFate::Kind::Mapped)
        text += fmt::format("  {} = {}: {}\n", key, value(key), fate.detail);
    addNotes();
    return std::move(text);
  }

  std::string one(const std::string &key) {
    auto fate = result.fates.find(key);
    bool found = fate != result.fates.end();
    if (found) {
      if (fate->second.kind == KeyFate::Kind::Mapped)
        addKey(key, fate->second);
      else
        text += fmt::format("  {} = {}  [{}] no effect: {}\n", key, value(key), place(key), fate->second.detail);
    }
    for (const spec::Source &source : result.spec.sources()) {
      bool isField = source.field() == key || source.field().ends_with("." + key);
      bool isUnwrittenKey = source.key() == key && fate == result.fates.end();
      if (isField || isUnwrittenKey || (source.key() == key && source.layer() == "default")) {
        addSource(source);
        found = true;
      }
    }
    addHidden(key);
    if (found)
      return std::move(text);
    std::vector<std::string> known;
    for (const auto &[name, ignored] : result.fates)
      known.push_back(name);
    return fmt::format("nothing is known of '{}'; {}\n", key,
                       didYouMean(key, known, "name a key of the experiment or a field of the spec"));
  }

private:
  std::string value(const std::string &key) const { return findPath(config.params, key)->str(); }

  /// "configs/models/megatron/llama_base.yaml:12:5, model preset".
  static std::string place(const Location &location) {
    std::string where = location.str();
    return where == layerName(location.layer) ? where : fmt::format("{}, {}", where, layerName(location.layer));
  }
  std::string place(const std::string &key) const { return place(findPath(config.params, key)->location()); }

  void addKey(const std::string &key, const KeyFate &fate) {
    std::string fields;
    for (const spec::Source &source : result.spec.sources())
      if (source.layer() != "default" && mentions(source.key(), key))
        fields += (fields.empty() ? "" : ", ") + source.field();
    text += fmt::format("  {} = {}  [{}] {}{}\n", key, value(key), place(key),
                        fields.empty() ? fmt::format("bears on: {}", fate.detail) : "-> " + fields,
                        findPath(config.params, key)->isUpstreamText() ? " (a number here; upstream keeps it as text)"
                                                                       : "");
  }

  /// True if the key is in the experiment or its presets.
  bool isWritten(const std::string &key) const { return findPath(config.params, key) != nullptr; }

  /// What follows from the model's name: sources in files of facts.
  void addFacts() {
    bool titled = false;
    for (const spec::Source &source : result.spec.sources()) {
      if (source.layer() != layerName(Layer::ModelPreset) || isWritten(source.key()))
        continue;
      if (!titled)
        text += "\nWhat the model's name stands for:\n";
      titled = true;
      addSource(source);
    }
  }

  void addAccumulation() {
    const spec::Training &training = result.spec.training();
    int64_t data = std::max<int64_t>(result.spec.parallelism().data(), 1);
    text += fmt::format("  gradient accumulation = {}: training.global_batch_size / (training.micro_batch_size * "
                        "parallelism.data)\n",
                        training.global_batch_size() / (training.micro_batch_size() * data));
    text += fmt::format("  sequences of one step on each data rank = {}: training.global_batch_size / parallelism.data\n",
                        training.global_batch_size() / data);
  }

  /// True if `text` (a key, or what a derived value follows from) holds `key` as a whole word.
  static bool mentions(std::string_view text, std::string_view key) {
    auto isWord = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    for (size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
      size_t end = at + key.size();
      if ((at == 0 || !isWord(text[at - 1])) && (end == text.size() || !isWord(text[end])))
        return true;
    }
    return false;
  }

  void addSource(const spec::Source &source) {
    std::string where =
        source.file().empty() ? "" : fmt::format("  [{}:{}:{}]", source.file(), source.line(), source.column());
    text += fmt::format("  {} = {}: {}{}\n", source.field(), printField(result.spec, source.field()),
                        source.layer() == "default" ? "default of " + source.key() : "from " + source.key(), where);
  }

  void section(const char *title, std::string_view layer) {
    text += fmt::format("\n{}\n", title);
    for (const spec::Source &source : result.spec.sources())
      if (source.layer() == layer)
        addSource(source);
  }

  /// Values that lost; of one key, or of all.
  void addHidden(const std::string &key) {
    bool titled = false;
    for (const Hidden &hidden : config.hidden) {
      if (!key.empty() && hidden.key != key)
        continue;
      if (!titled)
        text += "\nHidden values:\n";
      titled = true;
      text += fmt::format("  {} = {}  [{}] hidden by {}{}\n", hidden.key, hidden.value.str(),
                          place(hidden.value.location()), place(hidden.winner),
                          hidden.surprising ? " (a module preset wins over a model preset)" : "");
    }
  }

  /// Where we read a key otherwise than upstream does.
  void addNotes() {
    std::string notes;
    for (const std::string &note : result.notes)
      notes += "  " + note + "\n";
    if (config.experiment.count("env"))
      notes += "  'env' sets variables of upstream's libraries, which are not used here.\n";
    if (config.experiment.count("platform"))
      notes += "  'platform' names variables of a cluster, which are not read here.\n";
    if (!notes.empty())
      text += "\nNotes:\n" + notes;
  }

  const ResolvedConfig &config;
  const SpecResult &result;
  std::string text;
};

} // namespace

std::string explain(const ResolvedConfig &config, const SpecResult &result, const std::string &key) {
  Explainer explainer(config, result);
  return key.empty() ? explainer.all() : explainer.one(key);
}

} // namespace primus::config
