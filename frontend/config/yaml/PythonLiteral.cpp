//===- PythonLiteral.cpp - Lists and dicts on the command line ------------===//

#include "frontend/config/yaml/PythonLiteral.h"

#include "frontend/config/yaml/Scalar.h"

#include <cctype>
#include <charconv>

namespace primus::config {

namespace {

/// Recursive descent over one literal. Every method returns nullopt where the text is not of that form.
class LiteralParser {
public:
  LiteralParser(std::string_view text, const Location &location) : text(text), location(location) {}

  std::optional<Value> parse() {
    std::optional<Value> value = parseValue(0);
    skipSpace();
    return position == text.size() ? value : std::nullopt;
  }

private:
  static constexpr int maxDepth = 64;

  void skipSpace() {
    while (position < text.size() && std::isspace(static_cast<unsigned char>(text[position])))
      ++position;
  }

  bool consume(char c) {
    skipSpace();
    if (position >= text.size() || text[position] != c)
      return false;
    ++position;
    return true;
  }

  std::optional<Value> parseValue(int depth) {
    if (depth > maxDepth)
      return std::nullopt;
    if (consume('['))
      return parseList(']', depth);
    if (consume('('))
      return parseList(')', depth);
    if (consume('{'))
      return parseDict(depth);
    skipSpace();
    if (position < text.size() && (text[position] == '"' || text[position] == '\''))
      return parseString();
    return parseAtom();
  }

  std::optional<Value> parseList(char close, int depth) {
    List list;
    bool comma = false;
    while (!consume(close)) {
      if (!list.empty() && !comma)
        return std::nullopt;
      std::optional<Value> element = parseValue(depth + 1);
      if (!element)
        return std::nullopt;
      list.push_back(std::move(*element));
      comma = consume(',');
    }
    // (x) without a comma is x in parentheses.
    if (close == ')' && list.size() == 1 && !comma)
      return list.front();
    return Value(std::move(list), location);
  }

  std::optional<Value> parseDict(int depth) {
    Map map;
    bool comma = true;
    while (!consume('}')) {
      if (!comma)
        return std::nullopt;
      std::optional<Value> key = parseValue(depth + 1);
      if (!key || !key->asString() || !consume(':'))
        return std::nullopt;
      std::optional<Value> value = parseValue(depth + 1);
      if (!value)
        return std::nullopt;
      map[*key->asString()] = {location, std::move(*value)};
      comma = consume(',');
    }
    return Value(std::move(map), location);
  }

  std::optional<Value> parseString() {
    char quote = text[position++];
    std::string content;
    while (position < text.size() && text[position] != quote) {
      char c = text[position++];
      if (c == '\\' && position < text.size()) {
        char escaped = text[position++];
        c = escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped;
      }
      content += c;
    }
    if (position >= text.size())
      return std::nullopt;
    ++position;
    return Value(std::move(content), location);
  }

  std::optional<Value> parseAtom() {
    size_t begin = position;
    while (position < text.size() && std::string_view(",:]})").find(text[position]) == std::string_view::npos &&
           !std::isspace(static_cast<unsigned char>(text[position])))
      ++position;
    std::string_view atom = text.substr(begin, position - begin);
    if (atom == "True" || atom == "False")
      return Value(atom == "True", location);
    if (atom == "None")
      return Value::null(location);
    int64_t integer = 0;
    auto [end, error] = std::from_chars(atom.data(), atom.data() + atom.size(), integer);
    if (error == std::errc() && end == atom.data() + atom.size() && !atom.empty())
      return Value(integer, location);
    if (std::optional<double> number = parseFloat(atom, /*underscores=*/true))
      return Value(*number, location);
    return std::nullopt;
  }

  std::string_view text;
  const Location &location;
  size_t position = 0;
};

} // namespace

std::optional<Value> parsePythonLiteral(std::string_view text, const Location &location) {
  return LiteralParser(text, location).parse();
}

} // namespace primus::config
