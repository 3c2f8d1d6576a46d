//===- Toml.cpp - A TOML document as a Value ------------------------------===//

#include "frontend/config/toml/Toml.h"

#include "frontend/config/yaml/Parser.h"

#include <fmt/format.h>

// Errors are values; nothing is linked.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

namespace primus::config {

namespace {

class TomlConverter {
public:
  TomlConverter(const std::string &name, Diagnostics &diagnostics)
      : file(std::make_shared<const std::string>(name)), diagnostics(diagnostics) {}

  Location at(const toml::source_region &region) const {
    return {file, int(region.begin.line), int(region.begin.column), Layer::Experiment};
  }

  Value convert(const toml::node &node) {
    Location location = at(node.source());
    if (const toml::table *table = node.as_table()) {
      Map map;
      for (auto &&[key, value] : *table)
        map.insert_or_assign(std::string(key.str()), Entry{at(key.source()), convert(value)});
      return Value(std::move(map), location);
    }
    if (const toml::array *array = node.as_array()) {
      List list;
      for (const toml::node &element : *array)
        list.push_back(convert(element));
      return Value(std::move(list), location);
    }
    if (const auto *flag = node.as_boolean())
      return Value(flag->get(), location);
    if (const auto *number = node.as_integer())
      return Value(static_cast<int64_t>(number->get()), location);
    if (const auto *number = node.as_floating_point())
      return Value(number->get(), location);
    if (const auto *text = node.as_string())
      return Value(text->get(), location);
    diagnostics.error(location, "a date or time, which no key has", "put it in quotes");
    return Value::null(location);
  }

private:
  std::shared_ptr<const std::string> file;
  Diagnostics &diagnostics;
};

} // namespace

std::optional<Value> parseToml(const std::string &text, const std::string &name, Diagnostics &diagnostics) {
  toml::parse_result document = toml::parse(std::string_view(text), std::string_view(name));
  if (!document) {
    const toml::parse_error &error = document.error();
    diagnostics.error(TomlConverter(name, diagnostics).at(error.source()),
                      fmt::format("not TOML: {}", error.description()));
    return std::nullopt;
  }
  Diagnostics own;
  Value value = TomlConverter(name, own).convert(document.table());
  bool failed = own.hasErrors();
  diagnostics.append(own);
  return failed ? std::nullopt : std::optional(std::move(value));
}

std::optional<Value> readToml(const std::string &path, Diagnostics &diagnostics) {
  std::optional<std::string> text = readTextFile(path, path, diagnostics);
  return text ? parseToml(*text, path, diagnostics) : std::nullopt;
}

} // namespace primus::config
