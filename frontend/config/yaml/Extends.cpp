//===- Extends.cpp - A YAML file with all that it extends -----------------===//

#include "frontend/config/yaml/Extends.h"

#include "frontend/config/Suggestion.h"
#include "frontend/config/yaml/Environment.h"
#include "frontend/config/yaml/Merge.h"
#include "frontend/config/yaml/Parser.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

namespace fs = std::filesystem;

namespace primus::config {

namespace {

class ExtendsLoader {
public:
  explicit ExtendsLoader(Diagnostics &diagnostics) : diagnostics(diagnostics) {}

  std::optional<Value> load(const fs::path &path) {
    size_t errorsBefore = diagnostics.all().size();
    std::optional<Value> value = readYaml(path.string(), path.string(), diagnostics);
    if (!value)
      return std::nullopt;
    if (value->isNull()) {
      diagnostics.error(inFile(path.string()), "is empty", "write a mapping of keys to values");
      return std::nullopt;
    }
    if (!value->isMap()) {
      diagnostics.error(value->location(),
                        fmt::format("expected a mapping of keys to values, but the file holds {}", value->kindName()));
      return std::nullopt;
    }
    substituteEnvironment(*value, diagnostics);

    std::vector<Value> targets = takeExtends(*value->asMap());
    chain.push_back({path, fs::weakly_canonical(path)});
    Map merged;
    bool complete = true;
    for (const Value &target : targets) {
      std::optional<Value> base = loadTarget(path, target);
      if (base)
        mergeMap(merged, *base->asMap());
      complete &= base.has_value();
    }
    chain.pop_back();
    mergeMap(merged, *value->asMap());
    if (!complete || hasErrorsSince(errorsBefore))
      return std::nullopt;
    return Value(std::move(merged), value->location());
  }

private:
  struct Link {
    fs::path path;
    fs::path canonical;
  };

  bool hasErrorsSince(size_t count) const {
    for (size_t i = count; i < diagnostics.all().size(); ++i)
      if (diagnostics.all()[i].severity == Diagnostic::Severity::Error)
        return true;
    return false;
  }

  /// Removes `extends` from the map and gives its entries, each a string.
  std::vector<Value> takeExtends(Map &map) {
    auto it = map.find("extends");
    if (it == map.end())
      return {};
    Value extends = std::move(it->second.value);
    Location keyLocation = it->second.keyLocation;
    map.erase(it);
    List entries = extends.asList() ? std::move(*extends.asList()) : List{std::move(extends)};
    std::vector<Value> targets;
    for (Value &entry : entries) {
      if (entry.asString() && !entry.asString()->empty())
        targets.push_back(std::move(entry));
      else
        diagnostics.error(entry.location().line ? entry.location() : keyLocation,
                          fmt::format("'extends' names a file or a list of files, but this is {}",
                                      entry.asString() ? "empty" : entry.kindName()),
                          "name a file relative to this one, or remove the key");
    }
    return targets;
  }

  std::optional<Value> loadTarget(const fs::path &includer, const Value &target) {
    fs::path path = (includer.parent_path() / *target.asString()).lexically_normal();
    std::error_code error;
    if (!fs::exists(path, error)) {
      diagnostics.error(target.location(),
                        fmt::format("extends '{}', but there is no file {}", *target.asString(), path.string()),
                        suggestFile(path));
      return std::nullopt;
    }
    fs::path canonical = fs::weakly_canonical(path);
    for (size_t i = 0; i < chain.size(); ++i) {
      if (chain[i].canonical != canonical)
        continue;
      std::vector<std::string> names;
      for (size_t j = i; j < chain.size(); ++j)
        names.push_back(chain[j].path.string());
      names.push_back(path.string());
      diagnostics.error(target.location(), fmt::format("'extends' goes in a circle: {}", fmt::join(names, " -> ")),
                        "remove one of these lines");
      return std::nullopt;
    }
    return load(path);
  }

  static std::string suggestFile(const fs::path &path) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator it(path.parent_path().empty() ? "." : path.parent_path(), error), end;
         !error && it != end; it.increment(error))
      if (it->path().extension() == ".yaml")
        names.push_back(it->path().filename().string());
    std::sort(names.begin(), names.end());
    return didYouMean(path.filename().string(), names, "paths are relative to the file that says 'extends'");
  }

  Diagnostics &diagnostics;
  /// The files being read, outermost first.
  std::vector<Link> chain;
};

} // namespace

std::optional<Value> loadWithExtends(const std::string &path, Diagnostics &diagnostics) {
  return ExtendsLoader(diagnostics).load(path);
}

} // namespace primus::config
