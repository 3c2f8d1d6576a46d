//===- Environment.cpp - ${VAR:default} -----------------------------------===//

#include "frontend/config/yaml/Environment.h"

#include "frontend/config/yaml/Scalar.h"

#include <fmt/format.h>

#include <cstdlib>

namespace primus::config {

/// One reference found in a string: `\${([^:{}]+)(?::([^}]*))?}`.
struct Reference {
  size_t begin, end;
  std::string name;
  std::optional<std::string> fallback;
};

static std::optional<Reference> findReference(const std::string &text, size_t from) {
  for (size_t begin = text.find("${", from); begin != std::string::npos; begin = text.find("${", begin + 1)) {
    size_t nameEnd = text.find_first_of(":{}", begin + 2);
    if (nameEnd == std::string::npos || nameEnd == begin + 2 || text[nameEnd] == '{')
      continue;
    std::string name = text.substr(begin + 2, nameEnd - begin - 2);
    if (text[nameEnd] == '}')
      return Reference{begin, nameEnd + 1, std::move(name), std::nullopt};
    size_t close = text.find('}', nameEnd);
    if (close == std::string::npos)
      continue;
    return Reference{begin, close + 1, std::move(name), text.substr(nameEnd + 1, close - nameEnd - 1)};
  }
  return std::nullopt;
}

static void substituteString(Value &value, Diagnostics &diagnostics) {
  const std::string &text = *value.asString();
  std::string result;
  size_t position = 0;
  while (std::optional<Reference> reference = findReference(text, position)) {
    result.append(text, position, reference->begin - position);
    position = reference->end;
    if (const char *set = std::getenv(reference->name.c_str()))
      result += set;
    else if (reference->fallback)
      result += *reference->fallback;
    else
      diagnostics.error(value.location(), fmt::format("the environment variable '{}' is not set", reference->name),
                        fmt::format("set it, or write ${{{}:default}}", reference->name));
  }
  if (position == 0)
    return;
  result.append(text, position);
  if (result != text)
    value = substitutedScalar(result, Location(value.location()), diagnostics);
}

void substituteEnvironment(Value &value, Diagnostics &diagnostics) {
  if (value.asString())
    return substituteString(value, diagnostics);
  if (List *list = value.asList())
    for (Value &element : *list)
      substituteEnvironment(element, diagnostics);
  if (Map *map = value.asMap())
    for (auto &[key, entry] : *map)
      substituteEnvironment(entry.value, diagnostics);
}

} // namespace primus::config
