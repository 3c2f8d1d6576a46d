//===- Parser.cpp - One YAML document as a Value --------------------------===//

#include "frontend/config/yaml/Parser.h"

#include "frontend/config/yaml/Scalar.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unordered_map>

namespace primus::config {

namespace {

constexpr std::string_view yamlTagPrefix = "tag:yaml.org,2002:";

/// Builds a Value from yaml-cpp's events. Events carry the mark of every scalar, which its Node tree loses for aliases.
class ValueBuilder : public YAML::EventHandler {
public:
  ValueBuilder(const std::string &name, Diagnostics &diagnostics)
      : file(std::make_shared<const std::string>(name)), diagnostics(diagnostics) {}

  std::optional<Value> take() { return std::move(result); }
  Location at(const YAML::Mark &mark) const { return {file, mark.line + 1, mark.column + 1, Layer::Experiment}; }

  void OnDocumentStart(const YAML::Mark &) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark &mark, YAML::anchor_t anchor) override {
    // An empty value has the mark of what follows; it stands at its key.
    bool afterKey = !frames.empty() && frames.back().key && frames.back().key->location.line < mark.line + 1;
    Location location = afterKey ? frames.back().key->location : at(mark);
    add(Value::null(location), location, anchor);
  }

  void OnScalar(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                const std::string &text) override {
    Location location = at(mark);
    // yaml-cpp says "?" for a plain scalar and "!" for a quoted one.
    bool mergeKey = tag == "?" && text == "<<" && !frames.empty() && frames.back().isMap && !frames.back().key;
    if (mergeKey) {
      frames.back().key = Key{"<<", location, /*merge=*/true};
      return;
    }
    add(tag == "?" || tag.empty() ? plainScalar(text, location, diagnostics) : taggedScalar(tag, text, location),
        location, anchor);
  }

  void OnAlias(const YAML::Mark &mark, YAML::anchor_t anchor) override {
    auto it = anchors.find(anchor);
    if (it == anchors.end()) {
      diagnostics.error(at(mark), "an alias stands inside the value that it names",
                        "give the anchor to a value that is complete before this line");
      add(Value::null(at(mark)), at(mark), 0);
      return;
    }
    add(it->second, at(mark), 0);
  }

  void OnSequenceStart(const YAML::Mark &mark, const std::string &, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    frames.push_back({/*isMap=*/false, at(mark), anchor});
  }
  void OnMapStart(const YAML::Mark &mark, const std::string &, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    frames.push_back({/*isMap=*/true, at(mark), anchor});
  }
  void OnSequenceEnd() override {
    Frame frame = pop();
    add(Value(std::move(frame.list), frame.location), frame.location, frame.anchor);
  }
  void OnMapEnd() override {
    Frame frame = pop();
    // Own keys win over merged ones, earlier merged maps over later ones: insert() keeps what is there.
    for (const Value &merged : frame.merged)
      for (const auto &[key, entry] : *merged.asMap())
        frame.map.insert({key, entry});
    add(Value(std::move(frame.map), frame.location), frame.location, frame.anchor);
  }

private:
  struct Key {
    std::string name;
    Location location;
    bool merge = false;
  };

  struct Frame {
    bool isMap;
    Location location;
    YAML::anchor_t anchor;
    List list = {};
    Map map = {};
    std::optional<Key> key = {};
    List merged = {};
  };

  /// Aliases of aliases grow exponentially; real files hold thousands of values.
  static constexpr size_t maxValues = 1'000'000;

  Frame pop() {
    Frame frame = std::move(frames.back());
    frames.pop_back();
    return frame;
  }

  static size_t countValues(const Value &value) {
    size_t count = 1;
    if (const List *list = value.asList())
      for (const Value &element : *list)
        count += countValues(element);
    if (const Map *map = value.asMap())
      for (const auto &[key, entry] : *map)
        count += countValues(entry.value);
    return count;
  }

  Value taggedScalar(const std::string &tag, const std::string &text, const Location &location) {
    std::string_view kind = tag;
    if (kind == "!")
      return Value(text, location);
    if (kind.starts_with(yamlTagPrefix))
      kind.remove_prefix(yamlTagPrefix.size());
    if (kind == "str")
      return Value(text, location);
    if (kind == "int" || kind == "float" || kind == "bool" || kind == "null") {
      Value value = plainScalar(text, location, diagnostics);
      if (kind == "float" && value.asInt())
        return Value(static_cast<double>(*value.asInt()), location);
      bool fits = (kind == "int" && value.asInt()) || (kind == "float" && value.asFloat()) ||
                  (kind == "bool" && value.asBool()) || (kind == "null" && value.isNull());
      if (fits)
        return value;
      diagnostics.error(location, fmt::format("'{}' is tagged !!{} but is {}", text, kind, value.kindName()));
      return value;
    }
    diagnostics.error(location, fmt::format("unknown YAML tag '{}'", tag),
                      "use !!str, !!int, !!float, !!bool or !!null, or none");
    return Value(text, location);
  }

  /// A complete value: the next key or value of the innermost collection, or the document itself.
  void add(Value value, const Location &location, YAML::anchor_t anchor) {
    if (anchor)
      anchors.insert_or_assign(anchor, value);
    if (frames.empty()) {
      result = std::move(value);
      return;
    }
    Frame &frame = frames.back();
    if (!frame.isMap) {
      if (fits(value, location))
        frame.list.push_back(std::move(value));
      return;
    }
    if (!frame.key) {
      addKey(frame, value, location);
      return;
    }
    Key key = std::move(*frame.key);
    frame.key.reset();
    if (!fits(value, location))
      return;
    if (key.merge)
      return addMerge(frame, value, location);
    auto [it, inserted] = frame.map.insert_or_assign(key.name, Entry{key.location, std::move(value)});
    if (inserted)
      return;
    diagnostics.warning(key.location, fmt::format("'{}' is written twice in one mapping; this one wins", key.name),
                        "remove one of them");
  }

  void addKey(Frame &frame, const Value &value, const Location &location) {
    if (const std::string *name = value.asString()) {
      frame.key = Key{*name, location};
      return;
    }
    diagnostics.error(location, fmt::format("a key must be text, but this one is {}", value.kindName()),
                      value.asList() || value.asMap() ? "" : "put it in quotes");
    frame.key = Key{value.str(), location};
  }

  void addMerge(Frame &frame, const Value &value, const Location &location) {
    List sources = value.asList() ? *value.asList() : List{value};
    for (Value &source : sources) {
      if (source.isMap())
        frame.merged.push_back(std::move(source));
      else
        diagnostics.error(location, fmt::format("'<<' merges mappings, but this is {}", source.kindName()),
                          "write '<<: *name' where &name marks a mapping");
    }
  }

  bool fits(const Value &value, const Location &location) {
    values += countValues(value);
    if (values <= maxValues)
      return true;
    if (!overflowed)
      diagnostics.error(location, fmt::format("the document expands to more than {} values", maxValues),
                        "use fewer nested aliases");
    overflowed = true;
    return false;
  }

  std::shared_ptr<const std::string> file;
  Diagnostics &diagnostics;
  std::vector<Frame> frames;
  std::unordered_map<YAML::anchor_t, Value> anchors;
  std::optional<Value> result;
  size_t values = 0;
  bool overflowed = false;
};

} // namespace

/// PyYAML refuses a tab in indentation; yaml-cpp reads it as some number of blanks.
static bool checkTabs(const std::string &text, const std::string &name, Diagnostics &diagnostics) {
  int line = 1;
  for (size_t begin = 0; begin < text.size(); ++line) {
    size_t end = std::min(text.find('\n', begin), text.size());
    size_t content = text.find_first_not_of(' ', begin);
    if (content < end && text[content] == '\t' && text.find_first_not_of(" \t\r", content) < end &&
        text[text.find_first_not_of(" \t\r", content)] != '#') {
      Location location{std::make_shared<const std::string>(name), line, int(content - begin) + 1, Layer::Experiment};
      diagnostics.error(location, "a tab in the indentation", "indent with blanks");
      return false;
    }
    begin = end + 1;
  }
  return true;
}

std::optional<Value> parseYaml(const std::string &text, const std::string &name, Diagnostics &diagnostics) {
  if (!checkTabs(text, name, diagnostics))
    return std::nullopt;
  ValueBuilder builder(name, diagnostics);
  std::istringstream stream(text);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder))
      return Value::null(inFile(name));
    ValueBuilder rest(name, diagnostics);
    if (parser.HandleNextDocument(rest)) {
      std::optional<Value> second = rest.take();
      diagnostics.error(second ? second->location() : inFile(name), "a second YAML document in one file",
                        "remove the '---' line and what follows");
      return std::nullopt;
    }
  } catch (const YAML::Exception &error) {
    diagnostics.error(error.mark.is_null() ? inFile(name) : builder.at(error.mark), "not YAML: " + error.msg);
    return std::nullopt;
  }
  std::optional<Value> value = builder.take();
  return value ? value : Value::null(inFile(name));
}

std::optional<std::string> readTextFile(const std::string &path, const std::string &name, Diagnostics &diagnostics) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    diagnostics.error(inFile(name), "is a folder, not a file");
    return std::nullopt;
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (file)
    text << file.rdbuf();
  if (!file) {
    diagnostics.error(inFile(name), fmt::format("cannot be read: {}", errno ? std::strerror(errno) : "unknown error"));
    return std::nullopt;
  }
  return text.str();
}

std::optional<Value> readYaml(const std::string &path, const std::string &name, Diagnostics &diagnostics) {
  std::optional<std::string> text = readTextFile(path, name, diagnostics);
  return text ? parseYaml(*text, name, diagnostics) : std::nullopt;
}

} // namespace primus::config
