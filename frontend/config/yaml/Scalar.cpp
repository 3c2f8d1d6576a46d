//===- Scalar.cpp - Which text is which scalar ----------------------------===//

#include "frontend/config/yaml/Scalar.h"

#include "frontend/config/yaml/PythonLiteral.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace primus::config {

static bool isDigit(char c) { return c >= '0' && c <= '9'; }

static std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

/// True if `text` is any of `words` in lower case, Capitalised or UPPER case: YAML's three spellings.
static bool isWord(std::string_view text, std::initializer_list<std::string_view> words) {
  for (std::string_view word : words) {
    if (text.size() != word.size() || lower(text) != word)
      continue;
    std::string_view rest = text.substr(1);
    bool restLower = rest == word.substr(1);
    bool allUpper = std::none_of(text.begin(), text.end(), [](unsigned char c) { return std::islower(c); });
    if (restLower || allUpper)
      return true;
  }
  return false;
}

std::optional<double> parseFloat(std::string_view text, bool underscores) {
  std::string digits;
  size_t i = 0, whole = 0, fraction = 0;
  auto eatDigits = [&] {
    size_t count = 0;
    for (; i < text.size() && (isDigit(text[i]) || (underscores && count && text[i] == '_')); ++i) {
      if (text[i] == '_')
        continue;
      digits += text[i];
      ++count;
    }
    return count;
  };
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) {
    if (text[i] == '-')
      digits += '-';
    ++i;
  }
  whole = eatDigits();
  if (i < text.size() && text[i] == '.') {
    digits += '.';
    ++i;
    fraction = eatDigits();
  }
  if (whole + fraction == 0)
    return std::nullopt;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    digits += text[i++];
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) {
      if (text[i] == '-')
        digits += '-';
      ++i;
    }
    if (eatDigits() == 0)
      return std::nullopt;
  }
  if (i != text.size())
    return std::nullopt;
  double value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::result_out_of_range)
    return digits.find("e-") != std::string::npos || digits.find("E-") != std::string::npos
               ? 0.0
               : (digits[0] == '-' ? -1 : 1) * std::numeric_limits<double>::infinity();
  return value;
}

/// Decimal, octal, hexadecimal or binary digits with a sign already taken off; nullopt if they are none.
static std::optional<Value> parseDigits(std::string_view digits, int base, bool negative, const Location &location,
                                        Diagnostics &diagnostics) {
  std::string clean;
  for (char c : digits)
    if (c != '_')
      clean += c;
  if (clean.empty())
    return std::nullopt;
  uint64_t magnitude = 0;
  auto [end, error] = std::from_chars(clean.data(), clean.data() + clean.size(), magnitude, base);
  if (end != clean.data() + clean.size() && error == std::errc())
    return std::nullopt;
  uint64_t limit = uint64_t(std::numeric_limits<int64_t>::max()) + (negative ? 1 : 0);
  if (error == std::errc::result_out_of_range || magnitude > limit) {
    diagnostics.error(location, fmt::format("the integer {}{} does not fit in 64 bits", negative ? "-" : "", digits),
                      "write a smaller value, or quote it if text is meant");
    return Value(int64_t(0), location);
  }
  if (error != std::errc())
    return std::nullopt;
  return Value(static_cast<int64_t>(negative ? uint64_t(0) - magnitude : magnitude), location);
}

/// An integer of YAML 1.1 such as 190:20:30; nullopt if it is none.
static std::optional<int64_t> parseSexagesimal(std::string_view text) {
  if (text.empty() || text[0] < '1' || text[0] > '9' || text.find(':') == std::string_view::npos)
    return std::nullopt;
  int64_t value = 0;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(':', begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    int digit = 0;
    auto [last, error] = std::from_chars(part.data(), part.data() + part.size(), digit);
    if (error != std::errc() || last != part.data() + part.size() || part.empty() ||
        (begin && (digit > 59 || part.size() > 2)))
      return std::nullopt;
    value = value * 60 + digit;
    begin = end + 1;
  }
  return value;
}

static std::optional<Value> yamlInteger(std::string_view text, const Location &location, Diagnostics &diagnostics) {
  bool negative = text[0] == '-';
  std::string_view digits = text[0] == '-' || text[0] == '+' ? text.substr(1) : text;
  if (digits.empty() || !isDigit(digits[0]))
    return std::nullopt;
  if (digits.starts_with("0b"))
    return parseDigits(digits.substr(2), 2, negative, location, diagnostics);
  if (digits.starts_with("0x"))
    return parseDigits(digits.substr(2), 16, negative, location, diagnostics);
  if (digits.size() > 1 && digits[0] == '0')
    return parseDigits(digits.substr(1), 8, negative, location, diagnostics);
  if (std::optional<int64_t> value = parseSexagesimal(digits))
    return Value(negative ? -*value : *value, location);
  return parseDigits(digits, 10, negative, location, diagnostics);
}

Value plainScalar(std::string_view text, const Location &location, Diagnostics &diagnostics) {
  if (text.empty() || text == "~" || isWord(text, {"null"}))
    return Value::null(location);
  if (isWord(text, {"yes", "true", "on"}))
    return Value(true, location);
  if (isWord(text, {"no", "false", "off"}))
    return Value(false, location);
  if (std::optional<Value> integer = yamlInteger(text, location, diagnostics))
    return *integer;
  std::string_view unsignedText = text[0] == '-' || text[0] == '+' ? text.substr(1) : text;
  if (isWord(unsignedText, {".inf"}))
    return Value((text[0] == '-' ? -1 : 1) * std::numeric_limits<double>::infinity(), location);
  if (text == ".nan" || text == ".NaN" || text == ".NAN")
    return Value(std::numeric_limits<double>::quiet_NaN(), location);
  // A leading zero without a dot is octal or text, never a float: 08 is a string.
  bool leadingZero = unsignedText.size() > 1 && unsignedText[0] == '0' && isDigit(unsignedText[1]) &&
                     unsignedText.find_first_of(".eE") == std::string_view::npos;
  std::optional<double> number = leadingZero ? std::nullopt : parseFloat(text, /*underscores=*/true);
  if (!number)
    return Value(std::string(text), location);
  Value value(*number, location);
  size_t exponent = text.find_first_of("eE");
  bool signedExponent = exponent == std::string_view::npos || text[exponent + 1] == '-' || text[exponent + 1] == '+';
  if (text.find('.') == std::string_view::npos || !signedExponent)
    value.markUpstreamText();
  return value;
}

Value substitutedScalar(const std::string &text, const Location &location, Diagnostics &diagnostics) {
  std::string word = lower(text);
  if (word == "true" || word == "false")
    return Value(word == "true", location);
  std::string_view digits = text;
  if (digits.starts_with("-"))
    digits.remove_prefix(1);
  if (!digits.empty() && std::all_of(digits.begin(), digits.end(), isDigit))
    return *parseDigits(digits, 10, text[0] == '-', location, diagnostics);
  if (!text.starts_with("+"))
    if (std::optional<double> value = parseFloat(text, /*underscores=*/false))
      return Value(*value, location);
  return Value(text, location);
}

Value commandLineScalar(const std::string &text, const Location &location, Diagnostics &diagnostics) {
  std::string word = lower(text);
  if (word == "true" || word == "false")
    return Value(word == "true", location);
  if (text == "None")
    return Value::null(location);
  if (!text.empty() && std::string_view("[({").find(text[0]) != std::string_view::npos)
    if (std::optional<Value> literal = parsePythonLiteral(text, location))
      return *literal;
  std::string_view digits = text;
  if (digits.starts_with("-") || digits.starts_with("+"))
    digits.remove_prefix(1);
  bool isInteger = !digits.empty() && isDigit(digits.front()) && isDigit(digits.back()) &&
                   std::all_of(digits.begin(), digits.end(), [](char c) { return isDigit(c) || c == '_'; }) &&
                   digits.find("__") == std::string_view::npos;
  if (isInteger)
    return *parseDigits(digits, 10, text[0] == '-', location, diagnostics);
  bool hasFraction = text.find_first_of(".eE") != std::string::npos;
  std::optional<double> number = hasFraction ? parseFloat(text, /*underscores=*/true) : std::nullopt;
  if (!number)
    return Value(text, location);
  Value value(*number, location);
  if (text.find('.') == std::string::npos)
    value.markUpstreamText();
  return value;
}

} // namespace primus::config
