//===- FoldLines.cpp - Repeated layers of a text, shown once --------------===//

#include "frontend/dump/FoldLines.h"

#include <cctype>
#include <cstdint>
#include <optional>

using namespace primus::cli;

/// Lines of the longest block that may repeat: more than one layer's buffers and variables.
static constexpr size_t kLongestBlock = 512;

namespace {

struct Line {
  std::string_view text;
  /// Hash of what instances have in common.
  size_t key;
  /// The first instance that the line names.
  std::string_view instance;
  int64_t number = -1;
};

} // namespace

static bool isNameCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '$' || c == '-'; }

static bool isDigit(char c) { return c >= '0' && c <= '9'; }

static size_t skipDigits(std::string_view text, size_t at) {
  while (at < text.size() && isDigit(text[at]))
    ++at;
  return at;
}

/// End of the instance's name (stem and number) that starts at `at`, or 0.
static size_t matchInstance(std::string_view text, size_t at, const std::vector<std::string> &stems) {
  if (at > 0 && isNameCharacter(text[at - 1]))
    return 0;
  for (const std::string &stem : stems)
    if (text.substr(at, stem.size()) == stem)
      if (size_t end = skipDigits(text, at + stem.size()); end > at + stem.size() && end - at - stem.size() < 10)
        return end;
  return 0;
}

static Line readLine(std::string_view text, const std::vector<std::string> &stems) {
  Line line{text, 0, {}};
  std::string key;
  auto note = [&](size_t at, size_t end) {
    if (line.number >= 0)
      return;
    size_t digits = end;
    while (isDigit(text[digits - 1]))
      --digits;
    line.instance = text.substr(at, end - at);
    line.number = std::stoll(std::string(text.substr(digits, end - digits)));
  };
  int depth = 0;
  for (size_t at = 0; at < text.size();) {
    char c = text[at];
    if (size_t end = matchInstance(text, at, stems)) {
      note(at, end);
      key += '*';
      at = end;
    } else if (c == '%') {
      // A value, whatever its name, and whichever of several results it is: a layer's input may be another layer's first result.
      ++at;
      if (size_t end = matchInstance(text, at, stems))
        note(at, end);
      while (at < text.size() && isNameCharacter(text[at]))
        ++at;
      if (at < text.size() && text[at] == '#')
        at = skipDigits(text, at + 1);
      key += c;
    } else if (depth == 0 && isDigit(c)) {
      key += '0';
      at = skipDigits(text, at);
    } else {
      depth += c == '<';
      depth -= c == '>' && depth > 0 && text[at - 1] != '-';
      key += c;
      ++at;
    }
  }
  line.key = std::hash<std::string>()(key);
  return line;
}

/// The first instance that the block names.
static const Line *findInstance(const std::vector<Line> &lines, size_t begin, size_t length) {
  for (size_t i = begin; i < begin + length; ++i)
    if (lines[i].number >= 0)
      return &lines[i];
  return nullptr;
}

/// How often the block repeats, itself included: each repetition names another instance, always one step further.
static int64_t countRepeats(const std::vector<Line> &lines, size_t begin, size_t length) {
  auto matches = [&](size_t at) {
    for (size_t i = 0; i < length; ++i)
      if (lines[at + i].key != lines[begin + i].key)
        return false;
    return true;
  };
  const Line *before = findInstance(lines, begin, length);
  if (!before)
    return 1;
  int64_t repeats = 1, step = 0;
  for (size_t at = begin + length; at + length <= lines.size() && matches(at); at += length, ++repeats) {
    const Line *present = findInstance(lines, at, length);
    int64_t difference = present->number - before->number;
    if (difference == 0 || (step && difference != step))
      break;
    step = difference;
    before = present;
  }
  return repeats;
}

std::vector<FoldedLines> primus::cli::foldLines(std::string_view text, const std::vector<std::string> &stems) {
  std::vector<Line> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(readLine(text.substr(at, end - at), stems));
    at = end + 1;
  }
  std::vector<FoldedLines> parts;
  auto append = [](std::string &to, std::string_view line) {
    if (!to.empty())
      to += '\n';
    to += line;
  };
  for (size_t at = 0; at < lines.size();) {
    size_t length = 0, covered = 0;
    for (size_t candidate = 1; candidate <= kLongestBlock && at + 2 * candidate <= lines.size(); ++candidate) {
      if (lines[at].key != lines[at + candidate].key)
        continue;
      int64_t repeats = countRepeats(lines, at, candidate);
      if (repeats > 1 && repeats * candidate > covered) {
        length = candidate;
        covered = repeats * candidate;
      }
    }
    if (!length) {
      if (parts.empty() || parts.back().repeats > 1)
        parts.emplace_back();
      append(parts.back().text, lines[at++].text);
      continue;
    }
    FoldedLines &part = parts.emplace_back();
    part.repeats = covered / length;
    part.first = findInstance(lines, at, length)->instance;
    part.last = findInstance(lines, at + covered - length, length)->instance;
    for (size_t i = 0; i < length; ++i)
      append(part.text, lines[at + i].text);
    at += covered;
  }
  return parts;
}
